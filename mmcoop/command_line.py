"""Flags and config merging that tools/train.py and tools/test.py share."""
import argparse
import ast
import atexit
import gc
import os
import os.path as osp
from typing import Any, Sequence

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS, DefaultScope
from mmengine.runner import Runner

from .catalog import find
from .datasets.coop_dataset import check_published
from .engine import apply_recipe
from .registry import DATASETS


class CfgOptions(DictAction):
    """mmengine's ``key=value`` pairs, but words keep their spaces.

    mmengine takes spaces out of every value and splits it at commas, which
    would turn "a photo of a" into "aphotoofa".
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        options = getattr(namespace, self.dest, None) or {}
        for pair in values:
            key, equals, value = pair.partition('=')
            if not equals:
                parser.error(f'{option_string} {pair}: write key=value')
            options[key] = self.parse(value)
        setattr(namespace, self.dest, options)

    def parse(self, value: str) -> Any:
        if value[:1] in '[(' and value[-1:] in '])':
            try:
                return ast.literal_eval(value)
            except (ValueError, SyntaxError):  # [a,b], without quotes
                return self._parse_iterable(value)
        if any(character.isspace() for character in value):
            return value
        return self._parse_iterable(value)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags every OpenMMLab tool has."""
    parser.add_argument('--work-dir', help='the folder for logs and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        help='override settings of the config as key=value, e.g. shots=4 '
        'seed=2 model.clip.model_name=RN50 model.head.prompt.n_ctx=4; words '
        'with spaces in quotation marks, ctx_init="a photo of a"; a list as '
        'in Python, templates="[\'a {}.\', \'the {}.\']"')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin memory in the data loaders')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def load_config(args: argparse.Namespace, work_dir: str) -> Config:
    """Read the config and put the common flags into it.

    Args:
        args: Parsed flags of :func:`add_common_arguments` and ``config``.
        work_dir: Folder under which to work if neither flag nor config says.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = Config.fromfile(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    cfg.overrides = args.cfg_options or {}  # for result.json
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join(work_dir, name)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) is None:
            continue
        defaults = ConfigDict(
            pin_memory=torch.cuda.is_available(),
            collate_fn=dict(type='default_collate'))
        cfg[name] = ConfigDict({**defaults, **cfg[name]})
        if args.no_pin_memory:
            cfg[name].pin_memory = False
    return cfg


def drop_training(cfg: Config) -> None:
    """Testing needs none of the training data."""
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper',
                 'param_scheduler', 'val_dataloader', 'val_cfg',
                 'val_evaluator'):
        cfg.pop(name, None)


def build_runner(cfg: Config, loaders: Sequence[str]) -> Runner:
    """The runner that the config asks for.

    Args:
        cfg: The config.
        loaders: Which data loaders the run will use. Their data are looked
            at first: a wrong path shows before a CLIP is fetched.
    """
    # each data set collects garbage, which takes 0.5 s with torch's modules
    gc.freeze()
    atexit.register(gc.unfreeze)  # else bindings complain of leaks at the end
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    if cfg.runner_type == 'mmcoop.FewShotRunner':
        cfg = apply_recipe(cfg)
        for name in loaders:
            if cfg.get(name) is not None:
                check_data(cfg[name].dataset)
    return RUNNERS.build(cfg)


def check_data(dataset: dict) -> None:
    """Build a data set, and drop it.

    Raises:
        Whatever is wrong with the files. Where a million images may have to
        be listed (ImageNet, mmpretrain's own) they are left to their time.
    """
    leaf = dataset
    while isinstance(leaf.get('dataset'), dict):
        leaf = leaf['dataset']
    if leaf['type'] == 'mmcoop.CoOpDataset' and \
            find(leaf['name']).by_class_folders:
        check_published(find(leaf['name']), leaf['data_root'], leaf['split'])
    elif leaf['type'] in ('mmcoop.CoOpDataset', 'mmcoop.SplitFileDataset',
                          'mmcoop.FolderDataset'):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            DATASETS.build(dataset)
