"""Progress, cost and the accuracy without it of a test-time adaptation."""
import itertools
import time
from typing import Optional

import torch.nn as nn
from mmengine.dist import collect_results
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel

from ..features.compute import log_progress
from ..features.dataset import FeatureLoader
from ..registry import HOOKS
from ..tta import BaseAdaptation


@HOOKS.register_module()
class AdaptationHook(Hook):
    """Log the progress of a test-time adaptation, and what it changes.

    It does nothing in other tests. ``tools/test.py --tta`` adds it.

    Attributes:
        cost: After a test ``seconds_per_image`` of one process, from loading
            to prediction; ``cached_features``: whether it lacks the encoding
            of images, since their features were there; and ``top1_without``:
            top-1 accuracy in percent without adaptation, or None if images
            have no single label.
    """
    priority = 'LOW'  # after features are encoded, before ResultHook

    def __init__(self) -> None:
        self.cost = {}

    def before_test_epoch(self, runner) -> None:
        self.model = find_tta(runner.model)
        if not isinstance(self.model, BaseAdaptation):
            self.model = None
            return
        self.model.reset()
        settings = ', '.join(f'{name}={value}' for name, value
                             in self.model.settings().items())
        runner.logger.info(
            f'Test-time adaptation: {type(self.model).__name__} ({settings})'
            + ('. The result depends on the order of the test images.'
               if self.model.depends_on_order else ''))
        loader = runner.test_loop.dataloader
        self.count = len(loader.sampler)  # images of this process
        self.progress = log_progress(itertools.count(), self.count,
                                     loader.batch_size, 'images adapted to')
        next(self.progress)
        self.right, self.start = [], time.perf_counter()

    def after_test_iter(self, runner, batch_idx: int, data_batch=None,
                        outputs=None) -> None:
        if self.model is None:
            return
        self.right += [_is_right(sample) for sample in outputs]
        next(self.progress)

    def after_test_epoch(self, runner, metrics: Optional[dict] = None
                         ) -> None:
        if self.model is None:
            return
        seconds = (time.perf_counter() - self.start) / self.count
        # as the evaluator does it: the padding of uneven ranks is left out
        right = collect_results(
            self.right, len(runner.test_dataloader.dataset), 'cpu')
        if right is None:  # not the first rank
            return
        top1 = None if None in right else round(
            100 * sum(right) / len(right), 4)
        cached = isinstance(runner.test_loop.dataloader, FeatureLoader)
        self.cost = dict(seconds_per_image=round(seconds, 5),
                         cached_features=cached, top1_without=top1)
        runner.logger.info(
            ('' if top1 is None else
             f'Without adaptation: top-1 accuracy {top1:.2f} %. ')
            + f'{seconds:.3g} s an image in one process'
            + (', beside its encoding (features are cached).' if cached
               else '.'))


def _is_right(sample) -> Optional[bool]:
    """Whether the prediction without adaptation is the label."""
    label = sample.get('gt_label')
    if label is None or label.numel() != 1:
        return None
    return int(label) == int(sample.get('plain_label'))


def find_tta(model: nn.Module) -> Optional[BaseTTAModel]:
    """The test-time augmentation or adaptation around a classifier."""
    while not isinstance(model, BaseTTAModel) and hasattr(model, 'module'):
        model = model.module
    return model if isinstance(model, BaseTTAModel) else None


def describe_tta(runner) -> Optional[dict]:
    """Describe the test-time augmentation or adaptation of a test.

    Returns:
        None without one; else ``method``, and of an adaptation its
        ``settings``, those ``changed`` from the defaults,
        ``depends_on_order`` and the ``cost`` of :class:`AdaptationHook`.
    """
    model = find_tta(runner.model)
    if model is None:
        return None
    if not isinstance(model, BaseAdaptation):
        return dict(method=type(model).__name__)
    cost = next((hook.cost for hook in runner.hooks
                 if isinstance(hook, AdaptationHook)), {})
    return dict(
        method=type(model).__name__.lower(),
        settings=model.settings(),
        changed=model.changed(),
        depends_on_order=model.depends_on_order,
        **cost)
