"""mmengine's Runner, adapted to few-shot runs on a frozen CLIP."""
import atexit
import contextlib
import gc
import io
import logging
import os
from pathlib import Path
from typing import Any, Iterator, Optional

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..checkpoints import find_last_checkpoint
from ..config import resolve
from ..config.arguments import check_arguments
from ..config.quick import QuickConfig
from ..errors import LogFailure, is_of_lost_rank
from ..files import (check_writable, explain, holding, is_explained, is_full,
                     remove_leftovers, replacing)
from ..registry import DATASETS, RUNNERS
from .checks import check_amp, check_cached_views, check_checkpoint


@RUNNERS.register_module()
class FewShotRunner(Runner):
    """mmengine's Runner for few-shot runs on frozen towers.

    In addition, it

    - resolves the variables of the config (:func:`mmcoop.resolve`);
    - sets the classes of class-specific heads before DDP wraps the model;
    - supports distributed training without GPUs (torchrun, gloo);
    - leaves the console to a :class:`mmcoop.ConsoleHook`, if there is one;
    - limits workers to the CPUs of a rank, and never drops the only batch;
    - loads checkpoints with ``weights_only=True`` on every mmengine;
    - writes checkpoints and the config whole or not at all, and resumes from
      the last whole checkpoint (:func:`mmcoop.checkpoints.
      find_last_checkpoint`).

    Attributes:
        last_checkpoint: That was saved last, or resumed from; or None.
    """
    count = 0  # in this process
    last_checkpoint: Optional[str] = None

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'FewShotRunner':
        cfg = resolve(cfg if isinstance(cfg, Config) else Config(cfg))
        check_arguments(cfg)
        check_amp(cfg)
        check_cached_views(cfg)
        check_writable(cfg.work_dir)
        quick = QuickConfig.of(cfg)
        # mmengine names logs by the second; runs may be quicker
        FewShotRunner.count += 1
        if FewShotRunner.count > 1 and quick.get('experiment_name') is None:
            quick.experiment_name = f'run{FewShotRunner.count}'
        return super().from_cfg(quick)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """A logger that leaves the console to :class:`ConsoleHook`."""
        logger = super().build_logger(*args, **kwargs)
        from .console_hook import is_quiet, quieten
        if is_quiet(self.cfg):
            quieten(logger)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = LogFailure(handler)
        return logger

    def train(self) -> nn.Module:
        with holding(self.work_dir, is_main_process()), self._ending_well():
            return super().train()

    def test(self) -> dict:
        with self._ending_well():
            return super().test()

    @contextlib.contextmanager
    def _ending_well(self) -> Iterator[None]:
        """Close the console; say what a full disk or a lost rank leaves."""
        from .console_hook import ConsoleHook
        try:
            yield
        except OSError as error:
            if not is_full(error):
                raise
            if not is_explained(error):
                error = explain(error, error.filename or self.work_dir)
            kept = 'No checkpoint was saved before.' \
                if self.last_checkpoint is None else (
                    f'The last whole checkpoint is {self.last_checkpoint}: '
                    'go on from it with --resume.')
            whole = type(error)(f'{error} {kept}')
            whole.errno = error.errno
            raise whole from error
        except RuntimeError as error:
            if not (self.distributed and is_of_lost_rank(error)):
                raise
            raise RuntimeError(
                'another process of this run has ended: its own output says '
                'why. Go on from the last checkpoint with --resume, in all '
                f'{self.world_size} processes. [{error}]') from error
        finally:
            for hook in self._hooks:
                if isinstance(hook, ConsoleHook):
                    hook.close()  # a bar hides the cursor

    def setup_env(self, env_cfg: dict) -> None:
        """Initialise gloo where mmengine would require CUDA."""
        if self.launcher == 'pytorch' and not torch.cuda.is_available() \
                and not is_distributed():
            try:
                torch.distributed.init_process_group('gloo')
            except torch.distributed.DistNetworkError as error:
                if 'EADDRINUSE' not in str(error):
                    raise
                raise RuntimeError(
                    f'port {os.environ.get("MASTER_PORT")} is in use by '
                    'another run: PORT=29501 tools/dist_train.sh ..., or '
                    'torchrun --master-port 29501.') from error
            # without it, gloo's threads sometimes abort the process at exit
            atexit.register(_leave_group)
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: Optional[dict],
                   model: nn.Module) -> nn.Module:
        if self.distributed and not any(
                p.requires_grad for p in model.parameters()):
            return model.to(get_device())  # DDP refuses what learns nothing
        if self.distributed and not torch.cuda.is_available():
            model_wrapper_cfg = {
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get(
                    'find_unused_parameters', False),
                **(model_wrapper_cfg or {})}
            model_wrapper_cfg['device_ids'] = None
        return super().wrap_model(model_wrapper_cfg, model)

    def build_model(self, model: Any) -> nn.Module:
        model = super().build_model(model)
        if self.distributed:
            self._set_classes_early(unwrap(model))
        return model

    @staticmethod
    def build_dataloader(dataloader: Any, seed: Optional[int] = None,
                         diff_rank_seed: bool = False) -> Any:
        """Build a data loader suited to the machine and to few images.

        There are at most as many workers as CPUs per rank, and ``drop_last``
        never drops the only batch.
        """
        if not isinstance(dataloader, dict):
            return dataloader
        dataloader = dict(dataloader)
        cpus = len(os.sched_getaffinity(0)) if hasattr(
            os, 'sched_getaffinity') else os.cpu_count()
        ranks_here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
        dataloader['num_workers'] = min(
            dataloader.get('num_workers', 0), max(1, cpus // ranks_here))
        if not dataloader['num_workers']:
            dataloader['persistent_workers'] = False
        if dataloader.get('drop_last'):
            dataset = dataloader['dataset']
            if isinstance(dataset, dict):
                dataset = DATASETS.build(dataset)
            dataset.full_init()
            a_rank = -(-len(dataset) // get_world_size())
            dataloader.update(
                dataset=dataset,
                drop_last=a_rank >= dataloader['batch_size'])
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def _set_classes_early(self, model: nn.Module) -> None:
        """Set classes that parameter shapes depend on, before DDP wraps."""
        head, loader = getattr(model, 'head', None), self._train_dataloader
        if getattr(head, 'fixes_classes', False) and isinstance(loader, dict):
            if isinstance(loader['dataset'], dict):
                loader['dataset'] = DATASETS.build(loader['dataset'])
            loader['dataset'].full_init()
            set_classes_from(loader['dataset'], model)

    def save_checkpoint(self, out_dir: str, filename: str, *args,
                        **kwargs) -> None:
        """Save a checkpoint that is whole or not there."""
        if '://' in out_dir or not is_main_process():
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with replacing(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
        self.last_checkpoint = os.path.join(out_dir, filename)

    def load_or_resume(self) -> None:
        """Load or resume a checkpoint; without one, a resumed run starts."""
        if self._resume and self._load_from is None and not self._has_loaded:
            last = find_last_checkpoint(self.work_dir)
            if last is None:
                self.logger.warning(f'There is no checkpoint in '
                                    f'{self.work_dir} to resume: the run '
                                    'starts anew.')
            else:
                self.logger.info(f'Resuming from {last}.')
                self.resume(last)
            self._has_loaded = True
        super().load_or_resume()

    def resume(self, filename: str, *args, **kwargs) -> None:
        super().resume(filename, *args, **kwargs)
        self.last_checkpoint = filename

    def dump_config(self) -> None:
        """Write the config into the work folder, whole or not."""
        if not is_main_process():
            return
        remove_leftovers(self.work_dir)
        name = os.path.basename(self.cfg.filename or f'{self.timestamp}.py')
        with replacing(Path(self.work_dir) / name) as temporary:
            temporary.write_text(self.cfg.dump(), encoding='utf-8')

    def load_checkpoint(self, filename: str, *args, **kwargs) -> dict:
        """Load a checkpoint that holds tensors and plain values only.

        Raises:
            ValueError: The file is damaged, holds pickled objects, NaN or
                infinity, or its parameters have other shapes than the model's
                (mmengine only warns and keeps random weights).
        """
        check_checkpoint(filename)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        self.logger.info(printed.getvalue().strip())
        state = checkpoint.get('state_dict', checkpoint)
        odd = [f'{name} ({list(state[name].shape)} in the file, '
               f'{list(p.shape)} here)'
               for name, p in unwrap(self.model).named_parameters()
               if name in state and state[name].shape != p.shape]
        if odd:
            raise ValueError(
                f'{filename} does not fit: {", ".join(odd[:3])}. It was '
                'learned for other classes or another CLIP.')
        return checkpoint


def _leave_group() -> None:
    gc.unfreeze()
    gc.collect()  # DDP's reducer would keep the group's threads alive
    if is_distributed():
        torch.distributed.destroy_process_group()


def unwrap(model: nn.Module) -> nn.Module:
    """Return the classifier inside wrappers such as DDP or TTA."""
    while not hasattr(model, 'head') and hasattr(model, 'module'):
        model = model.module
    return model


def set_classes_from(dataset: Any, model: nn.Module) -> None:
    """Set the head's classes to those of a data set, if they differ.

    Args:
        dataset: A data set with ``metainfo['classes']``.
        model: The classifier, or a wrapper of it.

    Raises:
        ValueError: No class names are known, or the head cannot predict
            these classes.
    """
    model = unwrap(model)
    if not hasattr(model.head, 'set_classes'):
        return  # a linear head
    names = dataset.metainfo.get('classes')
    if names is None:
        if not model.head.class_names:
            raise ValueError(
                f'{type(dataset).__name__} has no class names (metainfo '
                'classes): set metainfo=dict(classes=[...]) on it, or '
                'classes=[...] on the head.')
    elif list(names) != list(model.head.class_names):
        getattr(model, 'set_classes', model.head.set_classes)(
            names, dataset.metainfo.get('class_ids'))
