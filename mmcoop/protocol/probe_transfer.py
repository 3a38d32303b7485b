"""A linear probe on another data set whose classes it knows.

ImageNet's probe is tested so on V2 and Sketch, which have its classes, and on
A and R, which have 200 of them (the paper's Table 1).
"""
import json
import os.path as osp
import time
from typing import List, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.logging import print_log
from safetensors import safe_open
from safetensors.numpy import save_file

from ..command_line import build_runner, drop_training
from ..datasets.coop_dataset import load_wordnet_ids
from ..engine.recipe import apply_recipe
from ..engine.result_hook import config_as_run, data_of, write_result

PROBE, RESULT = 'probe.safetensors', 'result_test.json'
SOME_OF_IMAGENET = ('imagenet_a', 'imagenet_r')


def save_probe(work_dir: str, classifier, about: dict) -> None:
    """Write a fitted logistic regression, without pickling anything.

    Args:
        work_dir: The folder to write to.
        classifier: scikit-learn's; ``weight`` (K, E) and ``bias`` (K, ).
        about: What it was fitted on: ``dataset``, ``classes``, ``tower`` ...
    """
    weight, bias = classifier.coef_, classifier.intercept_
    if len(weight) == 1:  # two classes: the first one's logit is 0
        weight, bias = [np.concatenate([np.zeros_like(part), part])
                        for part in (weight, bias)]
    weight = np.ascontiguousarray(weight)  # else safetensors transposes it
    save_file(dict(weight=weight, bias=bias), osp.join(work_dir, PROBE),
              metadata=dict(about=json.dumps(about)))


def transfer(cfg: Config, folder: str) -> dict:
    """Test a probe on the test images of a config.

    Args:
        cfg: A merged config; its data set is tested on. ``work_dir`` must be
            set.
        folder: Of a run of tools/linear_probe.py.

    Returns:
        What is written into ``result_test.json`` in ``work_dir``.

    Raises:
        FileNotFoundError: There is no probe in ``folder``.
        ValueError: It was fitted for another image tower, or knows other
            classes.
    """
    from .linear_probe import feature_sources, load  # needs scikit-learn
    start = time.perf_counter()
    path = osp.join(folder, PROBE)
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} is missing: run tools/linear_probe'
                                '.py, without a folder, first.')
    with safe_open(path, 'np') as file:
        weight, bias = file.get_tensor('weight'), file.get_tensor('bias')
        about = json.loads(file.metadata()['about'])
    cfg = apply_recipe(cfg)
    drop_training(cfg)
    runner = build_runner(cfg, ('test_dataloader', ))
    source, = feature_sources(runner, ('test_dataloader', ))
    if source.identity['tower'] != about['tower']:
        raise ValueError(f'{path} was fitted on features of another image '
                         f'tower ({about["clip"]}): set model.clip as there.')
    metainfo = source.images.metainfo
    rows = rows_for(about, metainfo.get('dataset'), metainfo['classes'])
    images = load(source)
    logits = images.features @ weight[rows].T + bias[rows]  # (n, classes)
    top1 = 100 * float((logits.argmax(1) == images.labels).mean())
    print_log(f'Linear probe of {about["dataset"]}: {top1:.2f} % on '
              f'{len(images.labels)} test images', 'current')
    return write_result(
        runner.cfg, runner.work_dir, RESULT, start,
        metrics={'accuracy/top1': top1},
        method='linear-probe',
        experiment=runner.experiment_name,
        config=config_as_run(runner),
        trained_on={key: about[key] for key in (
            'dataset', 'class_subset', 'shots', 'seed')},
        selected_on='val draw of the source',
        clip=runner.model.clip_name,
        **data_of(source.images))


def rows_for(about: dict, dataset: str, classes: Sequence[str]) -> List[int]:
    """Which classes of a probe are those of a data set, in its order."""
    if list(classes) == about['classes']:
        return list(range(len(classes)))
    if about['dataset'] == 'imagenet' and dataset in SOME_OF_IMAGENET:
        wnids = load_wordnet_ids('imagenet')
        ranks = {wnid: i for i, wnid in enumerate(wnids)}
        return [ranks[wnid] for wnid in load_wordnet_ids(dataset)]
    raise ValueError(
        f'a linear probe of {about["dataset"]} knows no classes of {dataset}: '
        'it can be tested on the same classes only (ImageNet\'s on its four '
        'variants).')
