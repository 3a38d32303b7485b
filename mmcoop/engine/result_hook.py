"""One JSON a run, that tables are made from."""
import json
import os.path as osp
import resource
import time
from typing import Optional

import torch
from mmengine.dist import master_only
from mmengine.fileio import dump
from mmengine.hooks import Hook

import mmcoop

from ..registry import HOOKS
from .feature_hook import cached_views
from .runner import unwrap


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

    def before_run(self, runner) -> None:
        self.start = time.perf_counter()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def before_train(self, runner) -> None:
        self.evaluated = None  # the epoch that metrics are of

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self.metrics, self.evaluated = metrics, runner.epoch

    def after_test_epoch(self, runner,
                         metrics: Optional[dict] = None) -> None:
        self.metrics = metrics
        self._write(runner, 'result_test.json', runner.test_dataloader)

    def after_train(self, runner) -> None:
        if runner.val_loop is not None and self.evaluated != runner.epoch:
            # killed in its last evaluation and resumed: the epochs are over
            runner.val_loop.run()
        self._write(runner, 'result.json', runner.train_dataloader)

    @master_only
    def _write(self, runner, filename: str, dataloader) -> None:
        head = unwrap(runner.model).head
        cfg = runner.cfg
        result = dict(
            metrics=self.metrics,
            experiment=runner.experiment_name,
            config=_dumped_config(runner),
            seed=runner.seed,
            shots=getattr(dataloader.dataset, 'shots', cfg.get('shots')),
            epochs=runner.epoch if runner.iter else None,
            cached_views=cached_views(runner),
            clip=head.text_tower.name,
            prompt={**_prompt_config(cfg), **head.prompt.settings()},
            data_root=cfg.get('data_root'),
            num_images=len(dataloader.dataset),
            num_classes=len(head.class_names),
            seconds_of_this_session=round(time.perf_counter() - self.start, 2),
            peak_memory_mib=peak_memory_mib(),
            device=str(next(head.text_tower.parameters()).device),
            world_size=runner.world_size,
            checkpoint=runner.message_hub.get_info('last_ckpt')
            if 'last_ckpt' in runner.message_hub.runtime_info else None,
            mmcoop=mmcoop.__version__,
            finished=time.strftime('%Y-%m-%dT%H:%M:%S'))
        result = json.loads(json.dumps(result, default=str))
        path = osp.join(runner.work_dir, filename)
        dump(result, path, indent=1)
        runner.logger.info(f'Result: {path}')


def _dumped_config(runner) -> str:
    """The config as it was run, which mmengine wrote into the work folder."""
    name = osp.basename(runner.cfg.filename or f'{runner.timestamp}.py')
    return osp.join(runner.work_dir, name)


def _prompt_config(cfg) -> dict:
    model = cfg.get('model', {})
    while 'module' in model:  # test-time augmentation
        model = model['module']
    prompt = model.get('head', {}).get('prompt')
    return dict(prompt) if isinstance(prompt, dict) else {}


def peak_memory_mib() -> dict:
    """Peak memory of this process so far, in MiB."""
    peak = dict(host=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
    if torch.cuda.is_available():
        peak['gpu'] = torch.cuda.max_memory_allocated() >> 20
    return peak
