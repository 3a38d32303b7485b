"""Write the result of a run as JSON, from which tables are made."""
import contextlib
import json
import os.path as osp
import resource
import sys
import time
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import master_only
from mmengine.fileio import dump
from mmengine.hooks import Hook

import mmcoop

from ..config import find_model, find_selection
from ..files import replacing
from ..heads.selection import VAL_FREE, describe_protocol
from ..registry import HOOKS
from .adaptation_hook import describe_tta
from .feature_hook import cached_views
from .method_name import name_adapted, name_method
from .model_record import describe_preprocessing, find_test_pipeline
from .runner import unwrap

# in the message hub, for resuming
SECONDS, ADDED = 'seconds_of_training', 'added_to_result'


@HOOKS.register_module()
class ResultHook(Hook):
    """Write ``result.json`` after training, ``result_test.json`` after a test.

    It holds the metrics of the last evaluation, the settings of the run
    (config, seed, shots, epochs, tower, prompt, classes), its duration and
    its peak memory. A run that was interrupted in its last evaluation is
    evaluated when it is resumed.
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
        hub = runner.message_hub
        self.seconds_of_training = hub.get_info(SECONDS) \
            if SECONDS in hub.runtime_info else 0.  # of a resumed run

    def before_train_epoch(self, runner) -> None:
        self.last = time.perf_counter()

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        now = time.perf_counter()  # with the loading of images
        self.seconds_of_training += now - self.last
        self.last = now
        runner.message_hub.update_info(SECONDS, self.seconds_of_training)

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self.metrics, self.evaluated = metrics, runner.epoch
        self.last = time.perf_counter()  # of a loop that counts iterations

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
        """Describe what selected the reported model, and on which images."""
        if runner.iter:  # trained here: the last epoch is reported
            how, is_best = find_selection(runner.cfg), False
            fitted_on = None  # FitLoop's results say it themselves
        else:
            trained_on = self.trained_on or {}
            how, fitted_on = trained_on.get('selects'), trained_on.get(
                'selected_on')
            is_best = osp.basename(str(runner._load_from)).startswith('best_')
        if fitted_on:
            return fitted_on
        if not how or how == 'save_best' and not is_best:
            return None
        return f'{how}, on validation images'

    def _protocol(self, runner, selected_on: Optional[str]) -> str:
        """What was looked at beside the training images, as results say."""
        trained_on = self.trained_on or {}
        if not runner.iter and 'protocol' in trained_on:
            return trained_on['protocol']
        if selected_on is None:
            return VAL_FREE
        if not runner.iter:
            return describe_protocol(trained_on.get('shots'))
        return describe_protocol(getattr(runner.val_dataloader.dataset,
                                         'shots', None))

    @master_only
    def _write(self, runner, filename: str, dataloader, evaluated) -> None:
        model, cfg = unwrap(runner.model), runner.cfg
        prompt, data = getattr(model.head, 'prompt', None), dataloader.dataset
        trained = bool(runner.iter)
        fitted = getattr(runner.train_loop, 'fitted', {}) if trained else {}
        selected_on = self._selected_on(runner)
        tta, method = describe_tta(runner), name_method(cfg, model)
        learned = sum(p.numel() for p in model.parameters()
                      if p.requires_grad)
        if tta and learned and runner._load_from is None:
            # a context that starts from words, and no training behind it
            method, learned = f'zero-shot "{prompt.ctx_init}"', 0
        result = dict(
            metrics=self.metrics,
            method=name_adapted(method, tta) if tta else method,
            tta=tta,
            experiment=runner.experiment_name,
            config=saved_config_path(runner),
            seed=runner.seed,
            shots=getattr(data, 'shots', None),
            label_noise=getattr(data, 'label_noise', None),
            draw_file=getattr(data, 'draw_file', None),
            trained_on=None if trained else self.trained_on,
            selected_on=selected_on,
            protocol=self._protocol(runner, selected_on),
            epochs=runner.epoch if trained and not fitted else None,
            recipe_epochs=getattr(runner.train_loop, 'recipe_epochs',
                                  cfg.get('recipe_epochs'))
            if trained else None,
            views=cfg.get('views') if trained and not fitted else None,
            cached_views=cached_views(runner),
            seconds_of_training=self.seconds_of_training if trained else None,
            clip=_clip_name(model),
            pretrained=find_model(cfg).get('clip', {}).get('pretrained'),
            preprocessing=describe_preprocessing(model,
                                                 find_test_pipeline(cfg)),
            prompt={**find_model(cfg).get('head', {}).get('prompt', {}),
                    **prompt.settings()} if prompt else None,
            learned_parameters=learned,
            num_images=len(data),
            **describe_data(evaluated and evaluated.dataset, data),
            world_size=runner.world_size,
            checkpoint=runner.message_hub.get_info('last_ckpt')
            if 'last_ckpt' in runner.message_hub.runtime_info else None,
            overrides=cfg.get('overrides'),
            seconds_of_this_session=round(
                time.perf_counter() - self.start, 2),
            peak_memory_mib=peak_memory_mib(),
            device=torch.cuda.get_device_name()
            if torch.cuda.is_available() else 'cpu',
            mmcoop=mmcoop.__version__,
            finished=time.strftime('%Y-%m-%dT%H:%M:%S'))
        result.update(fitted)
        result.update(added_to_result(runner))
        path = osp.join(runner.work_dir, filename)
        write_json(result, path)
        runner.logger.info(f'Result: {path}')


def add_to_result(runner, **entries) -> None:
    """Add entries to the result file; they survive a resume."""
    runner.message_hub.update_info(
        ADDED, {**added_to_result(runner), **entries})


def added_to_result(runner) -> dict:
    """What :func:`add_to_result` has added."""
    hub = runner.message_hub
    return hub.get_info(ADDED) if ADDED in hub.runtime_info else {}


def write_json(content: dict, path: str) -> None:
    """Write a JSON file atomically."""
    content = json.loads(json.dumps(content, default=str))
    with replacing(path) as temporary:
        dump(content, str(temporary), file_format='json', indent=1)


def describe_data(evaluated, trained=None) -> dict:
    """Describe the data sets of a run by their metainfo.

    Args:
        evaluated: The data set of the evaluation, or None.
        trained: The training data set.

    Returns:
        Entries of the result file.
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


def saved_config_path(runner) -> str:
    """Path of the config that mmengine saved in the work directory."""
    name = osp.basename(runner.cfg.filename or f'{runner.timestamp}.py')
    return osp.join(runner.work_dir, name)


def _clip_name(model) -> Optional[str]:
    tower = getattr(model.head, 'text_tower', None)
    return tower.name if tower else getattr(model, 'clip_name', None)


def reset_peak_memory() -> None:
    """Reset the peak memory of this process (host memory: Linux only)."""
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mib() -> dict:
    """Peak memory since :func:`reset_peak_memory`, in MiB.

    Returns:
        ``host`` and, with CUDA, ``gpu``.
    """
    try:
        status = Path('/proc/self/status').read_text()
        host = int(status.partition('VmHWM:')[2].split()[0])
    except (OSError, ValueError, IndexError):  # not Linux: of the process
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        host >>= 10 * (sys.platform == 'darwin')  # bytes there, KiB elsewhere
    peak = dict(host=host >> 10)
    if torch.cuda.is_available():
        peak['gpu'] = torch.cuda.max_memory_allocated() >> 20
    return peak
