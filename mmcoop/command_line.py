"""Flags and config merging that the tools share.

The tools answer ``--help`` and misspelt flags at once, so heavy imports stand
in the functions that need them.
"""
import argparse
import atexit
import contextlib
import gc
import logging
import os
import os.path as osp
import traceback
import warnings
from typing import TYPE_CHECKING, Iterator, List, Optional, Sequence

from .cfg_options import add_cfg_options, merge_options, parse_values
from .config import check_options, resolve
from .files import holding
from .methods import configs_folder

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import Runner

# what each sets for the processes that it starts
LAUNCHERS = dict(pytorch='RANK', slurm='SLURM_PROCID',
                 mpi='OMPI_COMM_WORLD_LOCAL_RANK')
# mmengine takes all of them or none
TOGETHER = [('train_dataloader', 'train_cfg', 'optim_wrapper')] + [
    (f'{split}_dataloader', f'{split}_cfg', f'{split}_evaluator')
    for split in ('val', 'test')]


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags every OpenMMLab tool has."""
    parser.add_argument('--work-dir', help='the folder for logs and results')
    add_cfg_options(parser, 'shots=4 seed=2 model.clip.model_name=RN50 '
                    'model.head.prompt.n_ctx=4')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin memory in the data loaders')
    parser.add_argument(
        '--verbose',
        action='store_true',
        help='the whole log on the console, instead of a short description, '
        'a progress bar and the result; it is in the log file in any case')
    parser.add_argument(
        '--launcher',
        choices=['none', *LAUNCHERS],
        default='none',
        help='job launcher')
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def parse_args(parser: argparse.ArgumentParser,
               argv: Optional[List[str]]) -> argparse.Namespace:
    """Parse a command line with a ``config``, and refuse what is misspelt."""
    args = parser.parse_args(argv)
    variable = LAUNCHERS.get(getattr(args, 'launcher', None))
    if variable and variable not in os.environ:
        parser.error(
            f'--launcher {args.launcher} did not start this process '
            f'({variable} is not set): use tools/dist_train.sh, torchrun, '
            'srun or mpirun, or leave the flag out')
    try:
        args.config = find_config(args.config)
    except FileNotFoundError as error:
        parser.error(str(error))
    try:
        check_options(args.config, args.cfg_options)
    except ValueError as error:
        parser.error(str(error))
    return args


def find_config(name: str) -> str:
    """A config file by its path, or by its place among this package's.

    Args:
        name: A path, ``coop/coop_demo.py`` or ``configs/coop/coop_demo.py``.

    Raises:
        FileNotFoundError: There is no such file.
    """
    folder = configs_folder()
    places = [name, folder / name, folder.parent / name]
    found = next(filter(osp.isfile, places), None)
    if found is None:
        raise FileNotFoundError(f'there is no config {name}, neither here nor '
                                f'in {folder}')
    return str(found)


def read_config(path: str) -> 'Config':
    """Read a config file.

    Raises:
        ValueError: It cannot be read; the message names the file and, where
            it is known, the line.
    """
    from mmengine.config import Config
    try:
        return Config.fromfile(path)
    except Exception as error:
        line = getattr(error, 'lineno', None)
        for frame, number in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename in ('', path):  # mmengine runs it so
                line = number
        where = f', line {line}' if line else ' or a base of it'
        raise ValueError(f'the config {path}{where}: {type(error).__name__}: '
                         f'{error}') from error


def ignore_host_warnings() -> None:
    """Of mmcv-lite: mmpretrain imports what nothing here needs."""
    warnings.filterwarnings('ignore', 'Fail to import', UserWarning)


def load_config(args: argparse.Namespace, work_dir: str,
                tta: Optional[str] = None) -> 'Config':
    """Read the config, put the common flags into it, and resolve it.

    Args:
        args: Parsed flags of :func:`add_common_arguments` and ``config``.
        work_dir: Folder under which to work if neither flag nor config says.
        tta: A config whose test-time adaptation replaces the config's own.
    """
    ignore_host_warnings()
    import torch
    from mmengine.config import ConfigDict
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    if tta is not None:
        for name in ('tta_model', 'tta_pipeline'):
            cfg.pop(name, None)
        cfg.merge_from_dict(read_config(tta).to_dict())
    merge_options(cfg, parse_values(args.cfg_options))
    if not cfg.get('model'):
        raise ValueError(f'{args.config} describes no model: name a config '
                         'such as coop/coop_vit-b16_16shot_custom.py.')
    cfg = resolve(cfg, args.cfg_options)
    cfg.launcher = args.launcher
    if args.verbose:
        (cfg.get('default_hooks') or {}).pop('console', None)
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join(work_dir, name)
    if not cfg.work_dir:
        raise ValueError('--work-dir is empty (a variable of the shell that '
                         'is not set?): name a folder.')
    levels = logging.getLevelNamesMapping()
    if cfg.get('log_level', 'INFO') not in levels:
        raise ValueError(f'log_level={cfg.log_level}: choose from '
                         f'{", ".join(levels)}.')
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


def drop_training(cfg: 'Config') -> None:
    """Remove what only training needs."""
    for name in ('train_dataloader', 'train_cfg', 'optim_wrapper',
                 'param_scheduler', 'val_dataloader', 'val_cfg',
                 'val_evaluator'):
        cfg.pop(name, None)


def build_runner(cfg: 'Config', loaders: Sequence[str]) -> 'Runner':
    """The runner that the config asks for.

    Args:
        cfg: A resolved config.
        loaders: The data loaders that the run will use. Their data are
            checked first: a wrong path shows before a CLIP is fetched.
    """
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    # each data set collects garbage, which takes 0.5 s with torch's modules
    gc.freeze()
    atexit.register(gc.unfreeze)  # else bindings complain of leaks at the end
    if osp.exists(cfg.work_dir) and not osp.isdir(cfg.work_dir):
        raise NotADirectoryError(f'--work-dir {cfg.work_dir} is no folder: '
                                 'name another.')
    for names in TOGETHER:
        given = [name for name in names if cfg.get(name) is not None]
        if given and len(given) < len(names):
            raise ValueError(
                f'the config sets {", ".join(given)} and not '
                f'{", ".join(set(names) - {*given})}: give all of them, or '
                'none (to train without validation: --no-validate).')
    if 'runner_type' not in cfg:
        return Runner.from_cfg(cfg)
    if cfg.runner_type == 'mmcoop.FewShotRunner':
        from .config.arguments import check_arguments
        from .engine.checks import (check_amp, check_checkpoint, check_data,
                                    check_validation_draw)
        from .features.limit import get_cache_limit
        get_cache_limit()
        check_arguments(cfg)
        check_amp(cfg)
        with _errors_only():  # the runner builds the data again, and warns
            for name in loaders:
                if cfg.get(name) is not None:
                    check_data(cfg[name].dataset)
            if 'train_dataloader' in loaders:
                check_validation_draw(cfg)
        alone = cfg.get('launcher', 'none') == 'none'
        if 'train_dataloader' in loaders and alone \
                and osp.isdir(cfg.work_dir):
            with holding(cfg.work_dir):
                pass
        if cfg.get('load_from') and '://' not in cfg.load_from:
            check_checkpoint(cfg.load_from)
    return RUNNERS.build(cfg)


@contextlib.contextmanager
def _errors_only() -> Iterator[None]:
    """Keep warnings off the console."""
    from mmengine.logging import MMLogger
    handlers = MMLogger.get_current_instance().handlers
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels):
            handler.setLevel(level)
