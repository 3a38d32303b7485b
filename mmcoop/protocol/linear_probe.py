"""The paper's linear probe: logistic regression on frozen image features.

What is measured and how C is searched are those of the published probe
(``lpclip`` in KaiyangZhou/CoOp); the solver is scikit-learn's.
"""
import copy
import logging
import os.path as osp
import time
import warnings
from contextlib import nullcontext
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..command_line import build_runner
from ..engine import FeatureCacheHook, apply_recipe
from ..engine.recipe import LOADERS, SEED, SHOTS
from ..engine.result_hook import (config_as_run, data_of, reset_peak_memory,
                                  write_result)
from ..features.keys import HashCache, NotCacheable
from ..features.source import FeatureSource
from .probe_transfer import save_probe

try:
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
except ImportError:
    raise ImportError('the linear probe needs scikit-learn: '
                      "pip install -e '.[linear_probe]'") from None

GRID = (6, 4, 2, 0, -2, -4, -6)  # log10 C, in the published order
STEPS = 8
MAX_ITER = 1000
RESULT = 'result.json'


class Labelled(NamedTuple):
    """Image features, not normalised, and their labels."""
    features: np.ndarray  # (n, E), float64
    labels: np.ndarray  # (n, )


class Found(NamedTuple):
    """What :func:`search` chose."""
    C: float
    val_accuracy: float  # percent
    trace: List[dict]  # every fit: C, val_accuracy, converged, seconds
    classifier: LogisticRegression


def search(train: Labelled, val: Labelled) -> Found:
    """Choose C by the accuracy on validation images.

    First seven powers of ten, of which the largest C wins a tie. Then eight
    steps of bisection in log10 C, from a tenth to ten times the best: the
    better end is kept (the smaller C at a tie) and the other end moves to the
    middle. The better end of the last step is chosen. No C is fitted twice.

    Args:
        train: What is fitted.
        val: What is looked at.
    """
    tried = {}  # log10 C: (accuracy, classifier)
    trace = []

    def accuracy(exponent: float) -> float:
        if exponent not in tried:
            start, C = time.perf_counter(), 10.**exponent
            classifier, converged = fit(train, C)
            percent = score(classifier, val)
            seconds = round(time.perf_counter() - start, 3)
            tried[exponent] = percent, classifier
            trace.append(dict(C=C, val_accuracy=percent, converged=converged,
                              seconds=seconds))
            print_log(f'Fit {len(trace)}: C={C:.4g}, {percent:.2f} % on val, '
                      f'{seconds:.1f} s', 'current', logging.INFO)
        return tried[exponent][0]

    best = max(GRID, key=accuracy)
    left, right = best - 1, best + 1
    for _ in range(STEPS):
        middle = (left + right) / 2  # exact: a binary fraction
        if accuracy(left) < accuracy(right):
            best, left = right, middle
        else:
            best, right = left, middle
    short = [f'{row["C"]:.4g}' for row in trace if not row['converged']]
    if short:
        print_log(
            f'{len(short)} of {len(trace)} fits had not converged after '
            f'{MAX_ITER} iterations and are taken as they are, as published '
            f'(C: {", ".join(short)}).', 'current', logging.INFO)
    percent, classifier = tried[best]
    return Found(10.**best, percent, trace, classifier)


def fit(train: Labelled, C: float) -> Tuple[LogisticRegression, bool]:
    """Logistic regression by L-BFGS with L2: and whether it converged."""
    classifier = LogisticRegression(C=C, solver='lbfgs', max_iter=MAX_ITER)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', ConvergenceWarning)
        classifier.fit(*train)
    return classifier, not any(
        issubclass(warning.category, ConvergenceWarning)
        for warning in caught)


def score(classifier: LogisticRegression, images: Labelled) -> float:
    """Top-1 accuracy in percent."""
    right = classifier.predict(images.features) == images.labels
    return 100 * int(right.sum()) / len(right)


def probe(cfg: Config) -> dict:
    """Run the linear probe of a few-shot config.

    Training images are the config's draw, validation images the published
    validation draw, both in the view of the test pipeline. C is chosen on
    validation images; test images are seen once, at the end. (ImageNet has no
    validation split, and the published search looks at its test images; here
    training images that were not drawn take their place.) Features are those
    of the cache that CoOp's own runs use.

    Args:
        cfg: A merged config of a few-shot run; it is left as it is. What it
            says of prompts and optimisers is not used. Without ``work_dir``
            the folder is
            work_dirs/linear_probe/<config name>/shots<k>_seed<s>.

    Returns:
        What is written into ``result.json`` in ``work_dir``.

    Raises:
        ValueError: No few-shot draw, several processes, other classes in
            testing, or images that cannot be encoded once and for all.
    """
    start = time.perf_counter()
    reset_peak_memory()
    runner = build_runner(plan(cfg), LOADERS)
    sources = feature_sources(runner)
    train, val, test = map(load, sources)
    found = search(train, val)
    top1 = score(found.classifier, test)
    print_log(
        f'Linear probe: {top1:.2f} % on {len(test.labels)} test images (C='
        f'{found.C:.4g}, {found.val_accuracy:.2f} % on val)', 'current',
        logging.INFO)
    save_probe(runner.work_dir, found.classifier, dict(
        clip=runner.model.clip_name, tower=sources[0].identity['tower'],
        shots=sources[0].images.shots, seed=runner.seed,
        **{key: sources[0].images.metainfo.get(key)
           for key in ('dataset', 'class_subset', 'classes')}))
    return _write(runner, sources, found, top1, start)


def _write(runner: Runner, sources: List[FeatureSource], found: Found,
           top1: float, start: float) -> dict:
    cfg, (train, val, test) = runner.cfg, [s.images for s in sources]
    split = val.metainfo.get('split')
    result = write_result(
        cfg, runner.work_dir, RESULT, start,
        metrics={'accuracy/top1': top1},
        method='linear-probe',
        experiment=runner.experiment_name,
        config=config_as_run(runner),
        shots=train.shots,
        C=found.C,
        val_accuracy=found.val_accuracy,
        search=found.trace,
        solver=f'scikit-learn {sklearn.__version__}',
        selected_on=f'{"val draw" if split == "val" else split}, '
        f'{len(val)} images',
        **data_of(test),
        clip=runner.model.clip_name,
        num_images=len(train))
    print_log(f'Result: {osp.join(runner.work_dir, RESULT)}', 'current',
              logging.INFO)
    return result


def plan(cfg: Config) -> Config:
    """The config as the probe runs it: data loaders for its three parts.

    Raises:
        ValueError: See :func:`probe`.
    """
    cfg = copy.deepcopy(cfg)
    if cfg.get('train_dataloader') is None:
        raise ValueError('this config has no train_dataloader, whose few-shot '
                         'draw a linear probe is fitted on: take one of '
                         'configs/coop.')
    if cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'launcher={cfg.launcher!r}: the linear probe runs '
                         'in one process.')
    cfg.val_dataloader = copy.deepcopy(cfg.test_dataloader)
    cfg.val_cfg, cfg.val_evaluator = dict(), cfg.test_evaluator
    cfg.val_split = 'val'
    draw = cfg.train_dataloader.dataset
    apply_recipe(cfg)
    cfg.train_dataloader = ConfigDict(
        cfg.test_dataloader,
        dataset=dict(cfg.train_dataloader.dataset,
                     pipeline=cfg.val_dataloader.dataset.pipeline))
    if cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(cfg.filename or 'config'))[0]
        cfg.work_dir = osp.join(
            'work_dirs/linear_probe', name,
            f'shots{draw.get("shots", SHOTS)}_seed{draw.get("seed", SEED)}')
    return cfg


def feature_sources(runner: Runner, names: Sequence[str] = LOADERS
                    ) -> List[FeatureSource]:
    """Sources of the features to train, choose and test on.

    Raises:
        ValueError: See :func:`probe`.
    """
    folder = next((hook.folder for hook in runner.hooks
                   if isinstance(hook, FeatureCacheHook)), None)
    digests, sources = HashCache(), []
    for name in names:
        loader = runner.build_dataloader(runner.cfg[name], runner.seed)
        try:
            sources.append(FeatureSource(runner.model, loader, nullcontext,
                                         digests, folder=folder))
        except NotCacheable as error:
            raise ValueError(
                f'the linear probe encodes each image of {name} once, which '
                f'is not possible here: {error}.') from error
    given = [source.images.metainfo.get('classes') for source in sources]
    if None in given or any(list(c) != list(given[0]) for c in given):
        raise ValueError(
            'the class names in testing are not those in training (metainfo '
            'classes), and a linear probe knows no others: test on the same '
            'classes.')
    return sources


def load(source: FeatureSource) -> Labelled:
    """Features, from the cache or computed, with their labels."""
    data = source.load().dataset
    labels = [data.get_data_info(i)['gt_label'] for i in range(len(data))]
    # the published probe computes in double precision too
    return Labelled(data.features[0].double().numpy(), np.array(labels))
