"""Checkpoints that are safe to load, and are there when a run is resumed."""
import contextlib
import logging
import os
from typing import Any, Dict, Iterator, List

import numpy as np
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log

from ..config import find_selection
from ..registry import HOOKS
from .feature_hook import cached_views
from .model_record import KEY, NotPlain, make_model_record

# what a test of the checkpoint says as well
OF_FITTED = ('selected_on', 'selected', 'protocol', 'cached_views')
MAX_HISTORY = 100  # log values kept for smoothing after a resume


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Save mmengine's log history as plain numbers, and restore it.

    mmengine pickles ``HistoryBuffer`` objects and numpy scalars into training
    checkpoints. torch >= 2.6 refuses to load them by default: mmengine 0.10.7
    cannot resume, and 0.11 disables the check.

    It also writes ``meta['mmcoop']``, what :func:`mmcoop.load` needs to use
    the checkpoint without a config (:func:`make_model_record`).

    Raises:
        ValueError: On resuming with other classes, shots, seed, epochs or
            cached views, where mmengine would silently keep the old schedule.
    """
    priority = 'VERY_LOW'

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        for key in checkpoint:
            if key not in ('state_dict', 'optimizer'):
                checkpoint[key] = _plain(checkpoint[key])
        fitted = getattr(runner.train_loop, 'fitted', {})
        checkpoint['meta']['recipe'] = dict(_recipe(runner), **_plain({
            key: fitted[key] for key in OF_FITTED if key in fitted}))
        try:
            checkpoint['meta'][KEY] = make_model_record(runner)
        except NotPlain as reason:
            print_log(f'mmcoop.load() will not read this checkpoint, only a '
                      f'test with its config will: {reason}.', 'current',
                      logging.WARNING)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        before = checkpoint.get('meta', {}).get('recipe')
        if runner._resume and before is not None:
            now = _plain(_recipe(runner))
            changed = [f'{key}={before.get(key)} (now {value})'
                       for key, value in now.items()
                       # earlier versions wrote less
                       if before.get(key, value) != value]
            changed += _changed_classes(runner, checkpoint)
            if changed:
                raise ValueError(
                    f'this run began with {", ".join(changed)}: draw, '
                    'schedule and what is learned would not fit together. '
                    'Resume with the same values, or start anew in another '
                    '--work-dir.')
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, value in scalars.items():
            if isinstance(value, dict):
                scalars[name] = HistoryBuffer(value['history'],
                                              value['counts'])


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's ``CheckpointHook``, with at least one checkpoint at any time.

    Old checkpoints (``max_keep_ckpts``, ``save_best``) are removed after the
    new one is written, not before; and those that a resumed run replaces are
    looked for where the run is now: mmengine would remove the best checkpoint
    of the run that this one is a copy of.
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        hub = runner.message_hub
        for key in list(hub.runtime_info):
            if key.startswith(('last_ckpt', 'best_ckpt')):
                hub.update_info(key, self._moved(hub.get_info(key)))
        if self.save_best is not None and len(self.key_indicators) == 1:
            self.best_ckpt_path = self._moved(self.best_ckpt_path)
        elif self.save_best is not None:
            self.best_ckpt_path_dict = {
                key: self._moved(path)
                for key, path in self.best_ckpt_path_dict.items()}

    def _moved(self, path: Any) -> Any:
        return path and self.file_backend.join_path(self.out_dir,
                                                    os.path.basename(path))

    def after_train_epoch(self, runner) -> None:
        with self._removing_last():
            super().after_train_epoch(runner)

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        with self._removing_last():
            super().after_train_iter(runner, *args, **kwargs)

    def after_val_epoch(self, runner, metrics: dict) -> None:
        with self._removing_last():
            super().after_val_epoch(runner, metrics)

    @contextlib.contextmanager
    def _removing_last(self) -> Iterator[None]:
        backend = self.file_backend
        if '://' in self.out_dir:
            yield
            return
        self.file_backend = _RemovingLast(backend)
        try:
            yield
            self.file_backend.finish()
        finally:
            self.file_backend = backend


class _RemovingLast:
    """A file backend whose removals wait for :meth:`finish`."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.waiting: Dict[str, int] = {}  # path: inode

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.waiting[path] = os.stat(path).st_ino

    def finish(self) -> None:
        for path, inode in self.waiting.items():
            # a file of this name may have been written since
            if os.path.isfile(path) and os.stat(path).st_ino == inode:
                self.backend.remove(path)


def _recipe(runner) -> dict:
    """Settings that must not change when a run is resumed."""
    views, data = cached_views(runner), runner.train_dataloader.dataset
    recipe = dict(
        dataset=data.metainfo.get('dataset'),
        class_subset=data.metainfo.get('class_subset'),
        optimizer=dict(runner.cfg.optim_wrapper.get('optimizer') or {}),
        shots=getattr(data, 'shots', None),
        seed=runner.seed,
        label_noise=getattr(data, 'label_noise', None),
        draw_file=getattr(data, 'draw_file', None),
        max_epochs=runner.max_epochs,
        recipe_epochs=runner.cfg.get('recipe_epochs'),
        selects=find_selection(runner.cfg),
        views=runner.cfg.get('views'))
    if not hasattr(runner.train_loop, 'fitted'):
        # as many views as epochs give the same results as no cache
        recipe['cached_views'] = None if views is None \
            or views >= runner.max_epochs else views
    return recipe


def _changed_classes(runner, checkpoint: dict) -> List[str]:
    """Says that a checkpoint was learned on other classes, if it was."""
    meta = checkpoint['meta'].get('dataset_meta') or {}
    before = meta.get('classes')
    now = runner.train_dataloader.dataset.metainfo.get('classes')
    if before is None or now is None or list(before) == list(now):
        return []
    odd = [name for name in (*before, *now)
           if (name in before) != (name in now)] or ['in another order']
    return [f'{len(before)} classes (now {len(now)}; {", ".join(odd[:3])})']


def _plain(value: Any) -> Any:
    """Convert buffers and numpy values in nested containers."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return dict(
            history=history[-MAX_HISTORY:].tolist(),
            counts=counts[-MAX_HISTORY:].tolist())
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return value
