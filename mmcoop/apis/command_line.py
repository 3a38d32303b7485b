"""Flags and config merging that tools/train.py and tools/test.py share."""
import argparse
import os
import os.path as osp
from copy import deepcopy

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags every OpenMMLab tool has."""
    parser.add_argument('--work-dir', help='the folder for logs and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config as key=value, e.g. shots=4 '
        'seed=2 model.clip.model_name=RN50 model.head.prompt.n_ctx=4; a list '
        'is written key="[a,b]", without white space')
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
        cfg[name] = ConfigDict({**deepcopy(defaults), **cfg[name]})
        if args.no_pin_memory:
            cfg[name].pin_memory = False
    return cfg


def build_runner(cfg: Config) -> Runner:
    """The runner that the config asks for."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
