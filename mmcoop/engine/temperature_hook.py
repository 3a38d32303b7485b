"""Hook that fits a temperature of the probabilities."""
import contextlib
from typing import Iterator, Optional, Tuple

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import EMAHook, Hook
from torch.utils.data import DataLoader

from ..config.selection import make_validation_draw
from ..datasets.few_shot import NoImageLeft
from ..evaluation.calibration import expected_calibration_error
from ..evaluation.temperature import fit_temperature
from ..features.keys import NotCacheable
from ..features.labelled import label_features
from ..registry import DATASETS, HOOKS
from .feature_hook import FeatureCacheHook
from .predictions import PredictionCollector
from .result_hook import add_to_result
from .runner import unwrap

Scores = Tuple[torch.Tensor, torch.Tensor]  # logits (n, K), labels (n, )


@HOOKS.register_module()
class TemperatureHook(Hook):
    """Fit the temperature of ``softmax(logits / T)`` after the last epoch.

    T has the lowest negative log likelihood of images that the model was not
    fitted to, and that are no test images: of the parts that
    ``cross-validation`` of a fitted head holds out in turn, or of the
    validation draw, min(shots, 4) images a class. It becomes
    ``head.temperature``, is saved in the last checkpoint, and stands in the
    result with the calibration error before and after it. Logits, metrics and
    what is learned stay as they are.

    Args:
        enable: Whether to do it.
    """
    priority = 'LOW'  # weights are averaged before it, saved after it

    def __init__(self, enable: bool = True) -> None:
        self.enable = enable
        self._collector = PredictionCollector()

    def before_train(self, runner) -> None:
        selection = getattr(runner.train_loop, 'selection', None)
        if self.enable and selection is not None:
            selection.keeps_held_out = True

    def after_train_epoch(self, runner) -> None:
        if self.enable and runner.epoch + 1 == runner.max_epochs:
            self._fit(runner)

    def _fit(self, runner) -> None:
        selection = getattr(runner.train_loop, 'selection', None)
        # [temperature, the images, their number]; rank 0 fits heads
        outcome: list = [None, None, 0]
        if selection is not None and selection.held_out is not None:
            logits, labels = selection.held_out
            selection.held_out = None
            outcome = [fit_temperature(logits, labels),
                       'parts of the training draw that cross-validation '
                       f'held out, {len(labels)} images', len(labels)]
        broadcast_object_list(outcome)
        if not outcome[2]:
            try:
                with _as_saved(runner):
                    logits, labels, split = score_validation_draw(runner)
            except NoImageLeft as error:
                runner.logger.warning(
                    'No temperature is fitted, probabilities are as the '
                    f'model gives them: {error}')
                return
            outcome = [fit_temperature(logits, labels) if is_main_process()
                       else None, f'{split}, {len(labels)} images',
                       len(labels)]
            broadcast_object_list(outcome)
        temperature, where, _ = outcome
        if temperature is None:
            runner.logger.warning(
                'No temperature is fitted, probabilities are as the model '
                f'gives them: none is best on {where}. All of them are right, '
                'or the model is no better than chance.')
            return
        unwrap(runner.model).head.temperature = temperature
        add_to_result(runner, temperature=temperature,
                      temperature_fitted_on=where)
        runner.logger.info(f'Temperature {temperature:.4g}, fitted on {where}')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        temperature = getattr(unwrap(runner.model).head, 'temperature', None)
        if temperature is not None:
            checkpoint['meta'].setdefault('mmcoop', {})[
                'temperature'] = temperature

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        about = checkpoint.get('meta', {}).get('mmcoop') or {}
        temperature = about.get('temperature')
        if self.enable and isinstance(temperature, float):
            unwrap(runner.model).head.temperature = temperature
            add_to_result(runner, temperature=temperature,
                          temperature_fitted_on='images of its training')

    def before_val_epoch(self, runner) -> None:
        if self._is_fitted(runner):
            self._collector.start(runner.model)

    def after_val_iter(self, runner, batch_idx: int, data_batch=None,
                       outputs=None) -> None:
        if self._is_fitted(runner):
            self._collector.add(outputs)

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        self._compare(runner, runner.val_loop)

    before_test_epoch = before_val_epoch
    after_test_iter = after_val_iter

    def after_test_epoch(self, runner, metrics: Optional[dict] = None
                         ) -> None:
        self._compare(runner, runner.test_loop)

    def _compare(self, runner, loop) -> None:
        """Tell the calibration error with and without the temperature."""
        if not self._is_fitted(runner):
            return
        found = self._collector.gather(len(loop.dataloader.dataset))
        if not found:  # not rank 0
            return
        _, label, predicted, before, after = zip(*found)
        right = torch.tensor(label) == torch.tensor(predicted)
        errors = [round(100 * expected_calibration_error(
            torch.tensor(confidence, dtype=torch.float64), right), 4)
            for confidence in (before, after)]
        add_to_result(runner, ece_before=errors[0], ece_after=errors[1])
        runner.logger.info(
            f'Calibration error {errors[0]:.2f} %, with the temperature '
            f'{errors[1]:.2f} %')

    def _is_fitted(self, runner) -> bool:
        return self.enable and getattr(
            unwrap(runner.model).head, 'temperature', None) is not None


@contextlib.contextmanager
def _as_saved(runner) -> Iterator[None]:
    """The weights that a checkpoint holds: the averages of an EMAHook."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    for hook in hooks:
        # before_val_epoch() of mmpretrain's may leave them, or evaluate twice
        hook._swap_ema_parameters()
    try:
        yield
    finally:
        for hook in hooks:
            hook._swap_ema_parameters()


def score_validation_draw(runner) -> Tuple[torch.Tensor, torch.Tensor, str]:
    """Logits of the validation images that belong to the training draw.

    Every rank gets those of all images.

    Returns:
        Logits (n, K), labels (n, ) and what the images are called.

    Raises:
        NoImageLeft: There is none.
    """
    loader = getattr(runner.train_loop, 'val_draw_loader', None)
    if loader is None:
        loader = _make_loader(runner)
    model = unwrap(runner.model)
    training = model.training
    model.eval()
    try:
        parts = list(zip(*_score(runner, model, loader)))
    finally:
        model.train(training)
    split = loader.dataset.metainfo.get('split')
    return torch.cat(parts[0]), torch.cat(parts[1]), \
        'validation draw' if split == 'val' else split


def _make_loader(runner) -> DataLoader:
    cfg = runner.cfg
    like = runner.train_dataloader if runner.val_loop is None \
        else runner.val_dataloader
    like = getattr(like, 'original', like)
    test = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    if 'dataset' not in test:
        raise NoImageLeft('the config has no test pipeline.')
    try:
        draw = make_validation_draw(cfg.train_dataloader.dataset,
                                    test['dataset'])
    except ValueError as error:
        raise NoImageLeft(str(error)) from error
    return DataLoader(
        DATASETS.build(draw), batch_size=like.batch_size,
        num_workers=like.num_workers, collate_fn=like.collate_fn,
        worker_init_fn=like.worker_init_fn, generator=torch.Generator())


@torch.no_grad()
def _score(runner, model: torch.nn.Module,
           loader: DataLoader) -> Iterator[Scores]:
    folder = next((hook.folder for hook in runner.hooks
                   if isinstance(hook, FeatureCacheHook)), None)
    try:
        images = label_features(model, loader, folder)
    except NotCacheable:
        for batch in loader:
            data = model.data_preprocessor(batch, False)
            labels = [int(sample.gt_label[0])
                      for sample in data['data_samples']]
            yield model.head(model.extract_feat(data['inputs'])).cpu(), \
                torch.tensor(labels)
        return
    device = next(model.parameters()).device
    for features, labels in zip(images.features.split(loader.batch_size),
                                images.labels.split(loader.batch_size)):
        yield model.head((features.to(device), )).cpu(), labels
