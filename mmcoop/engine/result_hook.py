"""One JSON a run, that tables are made from."""
import contextlib
import json
import os
import os.path as osp
import resource
import time
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import master_only
from mmengine.fileio import dump
from mmengine.hooks import Hook

import mmcoop

from ..registry import HOOKS
from .feature_hook import cached_views
from .runner import unwrap
from .selection import selects


@HOOKS.register_module()
class ResultHook(Hook):
    """Write ``result.json`` after training, ``result_test.json`` after a test.

    It holds the metrics of the last evaluation, what was run (config, seed,
    shots, epochs, tower, prompt, classes), the seconds and the peak memory.
    A resumed run whose epochs are over is evaluated if it was not yet.
    """
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.metrics: Optional[dict] = None
        self.trained_on: Optional[dict] = None

    def before_run(self, runner) -> None:
        self.start = time.perf_counter()
        reset_peak_memory()

    def before_train(self, runner) -> None:
        self.evaluated = None  # the epoch that metrics are of

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self.metrics, self.evaluated = metrics, runner.epoch

    def after_test_epoch(self, runner,
                         metrics: Optional[dict] = None) -> None:
        self.metrics = metrics
        self._write(runner, 'result_test.json', runner.test_dataloader,
                    runner.test_dataloader)

    def after_train(self, runner) -> None:
        if runner.val_loop is not None and self.evaluated != runner.epoch:
            # killed in its last evaluation and resumed: the epochs are over
            runner.val_loop.run()
        self._write(runner, 'result.json', runner.train_dataloader,
                    runner.val_loop and runner.val_dataloader)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume:
            self.trained_on = checkpoint.get('meta', {}).get('recipe')

    def _selected_on(self, runner) -> Optional[str]:
        """What chose the epoch of what is reported, if anything did."""
        if runner.iter:  # trained here: the last epoch is reported
            how, is_best = selects(runner.cfg), False
        else:
            how = (self.trained_on or {}).get('selects')
            is_best = osp.basename(str(runner._load_from)).startswith('best_')
        if not how or how == 'save_best' and not is_best:
            return None
        return f'{how}, on validation images'

    @master_only
    def _write(self, runner, filename: str, dataloader, evaluated) -> None:
        head = unwrap(runner.model).head
        prompt, cfg = getattr(head, 'prompt', None), runner.cfg
        write_result(
            cfg, runner.work_dir, filename, self.start,
            metrics=self.metrics,
            method=cfg.get('method') or prompt and prompt.method,
            experiment=runner.experiment_name,
            config=config_as_run(runner),
            shots=getattr(dataloader.dataset, 'shots', cfg.get('shots')),
            trained_on=None if runner.iter else self.trained_on,
            selected_on=self._selected_on(runner),
            epochs=runner.epoch if runner.iter else None,
            cached_views=cached_views(runner),
            clip=_clip_name(runner),
            prompt={**_model_config(cfg).get('head', {}).get('prompt', {}),
                    **prompt.settings()} if prompt else None,
            num_images=len(dataloader.dataset),
            **data_of(evaluated and evaluated.dataset, dataloader.dataset),
            world_size=runner.world_size,
            checkpoint=runner.message_hub.get_info('last_ckpt')
            if 'last_ckpt' in runner.message_hub.runtime_info else None)
        runner.logger.info(f'Result: {osp.join(runner.work_dir, filename)}')


def write_result(cfg, work_dir: str, filename: str, start: float,
                 **what) -> dict:
    """Write the JSON of a run that tables are made from, and return it.

    Args:
        cfg: The config as it was run.
        work_dir: The folder to write to.
        filename: ``result.json``, say.
        start: ``time.perf_counter()`` at the start.
        **what: What only the caller knows: ``metrics``, ``method``, ``clip``.
    """
    result = dict(
        what,
        seed=cfg.get('seed', cfg.get('randomness', {}).get('seed')),
        data_root=cfg.get('data_root'),
        pretrained=_model_config(cfg).get('clip', {}).get('pretrained'),
        overrides=cfg.get('overrides'),
        seconds_of_this_session=round(time.perf_counter() - start, 2),
        peak_memory_mib=peak_memory_mib(),
        device=torch.cuda.get_device_name() if torch.cuda.is_available()
        else 'cpu',
        mmcoop=mmcoop.__version__,
        finished=time.strftime('%Y-%m-%dT%H:%M:%S'))
    result = json.loads(json.dumps(result, default=str))
    temporary = osp.join(work_dir, f'.{filename}')
    dump(result, temporary, file_format='json', indent=1)
    os.replace(temporary, osp.join(work_dir, filename))  # whole or not at all
    return result


def data_of(evaluated, trained=None) -> dict:
    """What a result says of the images that it is of, as they say it.

    Args:
        evaluated: The data set that was tested on, or None.
        trained: The data set that was trained on.
    """
    about = (trained if evaluated is None else evaluated).metainfo
    return dict(
        dataset=about.get('dataset'),
        class_subset=about.get('class_subset'),
        evaluated_on=None if evaluated is None else about.get('split',
                                                              'test'),
        lists=about.get('lists'),  # of a published data set: published?
        num_images_evaluated=None if evaluated is None else len(evaluated),
        num_classes=len(about.get('classes') or ()))


def config_as_run(runner) -> str:
    """The config as it was run, which mmengine wrote into the work folder."""
    name = osp.basename(runner.cfg.filename or f'{runner.timestamp}.py')
    return osp.join(runner.work_dir, name)


def _clip_name(runner) -> Optional[str]:
    model = unwrap(runner.model)
    tower = getattr(model.head, 'text_tower', None)
    return tower.name if tower else getattr(model, 'clip_name', None)


def _model_config(cfg) -> dict:
    model = cfg.get('model', {})
    while 'module' in model:  # test-time augmentation
        model = model['module']
    return model


def reset_peak_memory() -> None:
    """Forget the peak of what this process did before (host: Linux only)."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mib() -> dict:
    """Peak memory of this process since it was reset, in MiB."""
    try:
        status = Path('/proc/self/status').read_text()
        host = int(status.partition('VmHWM:')[2].split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: of the process
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = dict(host=host >> 10)
    if torch.cuda.is_available():
        peak['gpu'] = torch.cuda.max_memory_allocated() >> 20
    return peak
