"""Training loop for heads that are fitted on cached features."""
import time
from typing import Dict, Optional, Sequence, Union

import torch
from mmengine.dataset import Compose
from mmengine.dist import (broadcast, broadcast_object_list, get_world_size,
                           is_main_process)
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from ..clip.weights import find_not_finite
from ..features.labelled import gather_labelled
from ..heads import FittedHead, Selection
from ..heads.selection import FOLDS, describe_protocol
from ..registry import DATASETS, LOOPS
from .feature_hook import FeatureCacheHook
from .runner import unwrap

GIB = 1 << 30


@LOOPS.register_module()
class FitLoop(EpochBasedTrainLoop):
    """Fit a :class:`mmcoop.FittedHead` in a single epoch.

    The head gets features of the few-shot training images from the feature
    cache: of ``head.views`` random views of each, or of the view that testing
    sees. The main process fits and broadcasts what is learned; all processes
    evaluate. Hooks, checkpoints and resuming work as in other loops.

    Args:
        runner: The runner.
        dataloader: Training data loader, or its config.
        val_dataset: Config of the few-shot validation images;
            ``'${val_draw}'`` in a config.
        pipeline: The transforms that testing uses.
        selection: Where hyper-parameters come from: ``val``,
            ``cross-validation`` or ``fixed``. See :class:`Selection`.
        folds: Of ``cross-validation``.
        max_views: The largest number of views; None sets no limit.
        max_memory: GiB that the features of training images may take.

    Raises:
        TypeError: The head is not one that is fitted.
        ValueError: The classes of both data sets differ or are unknown, or
            the features or the head would be too large.
    """

    def __init__(self, runner, dataloader: Union[DataLoader, Dict],
                 val_dataset: Optional[dict] = None,
                 pipeline: Sequence[dict] = (),
                 selection: str = 'val',
                 folds: int = FOLDS,
                 max_views: Optional[int] = None,
                 max_memory: float = 8.) -> None:
        head = unwrap(runner.model).head
        if not isinstance(head, FittedHead):
            raise TypeError(f'{type(head).__name__} is no FittedHead: it is '
                            'trained in epochs, not by FitLoop.')
        if hasattr(head, 'check_requirements'):
            head.check_requirements()  # before any image is encoded
        super().__init__(runner, dataloader, max_epochs=1)
        self._max_iters = 1
        self.selection = Selection(selection, folds)
        self.views = head.views and min(filter(None, (head.views, max_views)))
        self.limited = self.views != head.views
        loader, images = self.dataloader, self.dataloader.dataset
        if self.views is None and pipeline:
            images.pipeline = Compose(pipeline)
        self._check_memory(head, len(images), max_memory)
        self.val_draw_loader = None
        if not self.selection.needs_val(head):
            return
        self.val_draw_loader = DataLoader(
            DATASETS.build(val_dataset), batch_size=loader.batch_size,
            num_workers=loader.num_workers, collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn)
        names = [data.metainfo.get('classes') for data in (
            images, self.val_draw_loader.dataset)]
        if None in names or list(names[0]) != list(names[1]):
            raise ValueError('the validation draw has other classes than the '
                             'training draw (metainfo classes).')

    def _check_memory(self, head: FittedHead, images: int,
                      max_memory: float) -> None:
        """Say before the work what it will keep in memory."""
        size = images * (self.views or 1) * head.in_channels * 4 / GIB
        what = f'Features of {images} training images' + (
            f' in {self.views} views' if self.views else '') + \
            f' take {size:.2f} GiB'
        if size > max_memory:
            raise ValueError(
                f'{what}, more than train_cfg.max_memory={max_memory} allows:'
                ' take fewer views (cached_views=1) or images a class '
                '(shots=16), or raise it.')
        self.runner.logger.info(f'{what}.')
        if hasattr(head, 'check_size'):
            head.check_size(images)

    @property
    def fitted(self) -> dict:
        """Entries of the result file, also after resuming."""
        hub = self.runner.message_hub
        return hub.get_info('fitted') if 'fitted' in hub.runtime_info else {}

    def run(self) -> torch.nn.Module:
        if self._epoch >= self._max_epochs:
            self.runner.logger.info(
                'The head of this checkpoint is fitted already: nothing is '
                'left to resume.')
        return super().run()

    def run_epoch(self) -> None:
        runner = self.runner
        runner.call_hook('before_train_epoch')
        folder = next((hook.folder for hook in runner.hooks
                       if isinstance(hook, FeatureCacheHook)), None)
        model = unwrap(runner.model)
        train = gather_labelled(model, self.dataloader, folder, self.views)
        val = None if self.val_draw_loader is None else gather_labelled(
            model, self.val_draw_loader, folder)
        for images in filter(None, (train, val)):
            check_features(images.views)
        runner.message_hub.update_info(
            'fitted', self._fit(model.head, train, val))
        self._iter += 1
        runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _fit(self, head: FittedHead, train, val) -> dict:
        """Fit on the main process and broadcast what is learned."""
        outcome, error = [None, None, None], None
        if is_main_process():
            try:
                found = self._fit_here(head, train, val)
                outcome = [found, None, (head.values, {
                    name: tensor.shape
                    for name, tensor in head.learned().items()})]
            except Exception as caught:
                # the other ranks wait for the outcome and must raise too
                outcome[1] = f'{type(caught).__name__}: {caught}'
                error = caught
        if get_world_size() > 1:
            broadcast_object_list(outcome)
        if error is not None:
            raise error
        if outcome[1] is not None:
            raise RuntimeError(f'rank 0 could not fit: {outcome[1]}')
        head.values, shapes = outcome[2]
        for name, tensor in head.learned().items():
            if tensor.shape != shapes[name]:
                head.assign(name, tensor.new_zeros(shapes[name]))
            broadcast(tensor.data)
        return outcome[0]

    def _fit_here(self, head: FittedHead, train, val) -> dict:
        device = next(head.parameters()).device
        start, val_name = time.perf_counter(), ''
        protocol = describe_protocol(getattr(
            self.dataloader.dataset, 'shots', None))
        if val is not None:
            val = val.to(device)
            split = self.val_draw_loader.dataset.metainfo.get('split')
            val_name = 'val draw' if split == 'val' else split
        # the same whatever was drawn at random before
        with torch.random.fork_rng(
                devices=[device] if device.type == 'cuda' else []):
            torch.manual_seed(self.runner.seed)
            try:
                found = self.selection.fit(head, train.to(device), val,
                                           val_name, protocol)
            except FloatingPointError as error:
                raise FloatingPointError(
                    f'{type(head).__name__}: {error}') from error
        broken = find_not_finite(head.learned())
        if broken:
            raise FloatingPointError(
                f'{type(head).__name__}: {", ".join(broken)} not finite (NaN '
                'or infinite) after fitting. Nothing is saved.')
        return dict(
            found, cached_views=self.views if self.limited else None,
            seconds_of_training=round(time.perf_counter() - start, 3))


def check_features(features: torch.Tensor) -> None:
    """Check that features have no NaN, which most solvers do not report.

    Raises:
        FloatingPointError: They have.
    """
    if not torch.isfinite(features).all():
        raise FloatingPointError(
            'image features are not finite (NaN or infinite): the weights of '
            'the CLIP are damaged, or too large for its precision (try '
            'model.clip.precision=fp32). Nothing is fitted.')
