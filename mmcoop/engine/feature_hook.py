"""Hook that feeds cached image features to the loops."""
from contextlib import AbstractContextManager
from functools import partial
from typing import Callable, Optional

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, TestLoop, ValLoop
from mmengine.runner.amp import autocast
from mmpretrain.engine import VisualizationHook

from ..features.keys import HashCache, NotCacheable
from ..features.source import FeatureSource
from ..registry import HOOKS
from .data_hooks import EpochHook
from .runner import unwrap


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Replace images by cached features of the frozen image tower.

    Validation and testing: if the pipeline is deterministic, features are
    computed before the first epoch, stored on disk (``$MMCOOP_CACHE`` or
    ``~/.cache/mmcoop``; see ``tools/feature_cache.py``) and shared by all
    later runs. A changed image, pipeline, tower or library is detected. If
    features cannot be cached, the reason is logged and images are used.

    Training: ``views`` random views of each image are encoded before the
    first epoch, and epoch e uses view e modulo ``views``. As many views as
    epochs give the results of an uncached run, fewer an approximation.

    Args:
        views: Number of views of each training image; None trains on images.
        folder: Cache folder; None takes the default.

    Raises:
        ValueError: ``views`` is invalid, or training cannot use features.
    """
    priority = 'HIGH'  # the timer starts after it

    def __init__(self,
                 views: Optional[int] = None,
                 folder: Optional[str] = None) -> None:
        if views is not None and (not isinstance(views, int) or views < 1):
            raise ValueError(f'FeatureCacheHook: views={views}: a whole '
                             'number of at least 1 is needed, or None.')
        self.views = views
        self.folder = folder
        self._digests = HashCache()
        self._sources = {}  # feature source of each loop
        self._logged = set()

    def before_train(self, runner) -> None:
        if self.views is None or hasattr(runner.train_loop, 'fitted'):
            return  # FitLoop takes its features itself
        epochs = runner.max_epochs
        try:
            _check_training(runner)
            self._replace(runner, 'train', runner.train_loop, partial(
                runner.optim_wrapper.optim_context,
                unwrap(runner.model).backbone), min(self.views, epochs))
        except NotCacheable as error:
            raise ValueError(
                f'cached_views={self.views} is not possible here: {error}. '
                'Set cached_views=None.') from error
        if self.views < epochs:
            runner.logger.warning(
                f'An approximation: cached_views={self.views} views of each '
                f'image take turns in {epochs} epochs; the published recipe '
                'draws a new one in each.')

    def before_val_epoch(self, runner) -> None:
        self._evaluate(runner, 'val', runner.val_loop)

    def before_test_epoch(self, runner) -> None:
        self._evaluate(runner, 'test', runner.test_loop)

    def _evaluate(self, runner, name: str, loop) -> None:
        try:
            _check_evaluation(runner, loop)
            self._replace(runner, name, loop,
                          partial(autocast, enabled=loop.fp16))
        except NotCacheable as error:
            loop.dataloader = getattr(loop.dataloader, 'original',
                                      loop.dataloader)
            line = f'Features ({name}) are not cached: {error}.'
            if line not in self._logged:
                self._logged.add(line)
                runner.logger.info(line)

    def _replace(self, runner, name: str, loop,
                 precision: Callable[[], AbstractContextManager],
                 views: Optional[int] = None) -> None:
        """Replace the data loader of a loop by one of features."""
        loader = getattr(loop.dataloader, 'original', loop.dataloader)
        source = FeatureSource(
            unwrap(runner.model), loader, precision, self._digests, views,
            self.folder)
        if loop.dataloader is loader or not source.same_as(
                self._sources.get(name)):
            loop.dataloader = source.load()
            self._sources[name] = source


def _check_training(runner) -> None:
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        raise NotCacheable('the training loop counts iterations, not epochs '
                           '(train_cfg.by_epoch)')
    if not any(isinstance(hook, EpochHook) for hook in runner.hooks):
        raise NotCacheable('views need the epoch, but custom_hooks lacks '
                           "dict(type='mmcoop.EpochHook')")
    if getattr(unwrap(runner.model).data_preprocessor, 'batch_augments',
               None) is not None:
        raise NotCacheable('mixup and the like (model.train_cfg.augments) mix '
                           'images, not features')


def _check_evaluation(runner, loop) -> None:
    if type(loop) not in (ValLoop, TestLoop):
        raise NotCacheable(f'the loop is a {type(loop).__name__}')
    if any(isinstance(hook, VisualizationHook) and hook.enable
           for hook in runner.hooks):
        raise NotCacheable('images are to be drawn (VisualizationHook)')


def cached_views(runner) -> Optional[int]:
    """Number of cached views of each training image; None: not cached.

    None also where a head is fitted: :class:`mmcoop.FitLoop` says it.
    """
    for hook in runner.hooks:
        if isinstance(hook, FeatureCacheHook) and not hasattr(
                runner._train_loop, 'fitted'):
            return hook.views
    return None
