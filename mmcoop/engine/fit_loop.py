"""Training loop for heads that are fitted in closed form or by a solver."""
from typing import Dict, Union

import torch
from mmengine.dist import (broadcast, broadcast_object_list, get_world_size,
                           is_main_process)
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from ..features.labelled import gather_labelled
from ..registry import DATASETS, LOOPS
from .feature_hook import FeatureCacheHook
from .runner import unwrap


@LOOPS.register_module()
class FitLoop(EpochBasedTrainLoop):
    """Call ``head.fit(train, val)`` in a single epoch.

    ``train`` and ``val`` are :class:`LabelledFeatures` of the few-shot
    training and validation images, from the feature cache. The main process
    fits and broadcasts the parameters; all processes evaluate. Hooks,
    checkpoints and resuming work as in other loops.

    Args:
        runner: The runner.
        dataloader: Training data loader, or its config; its pipeline must be
            deterministic.
        val_dataset: Config of the few-shot validation images, on which
            hyperparameters are selected; ``'${val_draw}'`` in a config.

    Raises:
        TypeError: The head has no method ``fit``.
        ValueError: The classes of both data sets differ or are unknown.
    """

    def __init__(self, runner, dataloader: Union[DataLoader, Dict],
                 val_dataset: dict) -> None:
        head = unwrap(runner.model).head
        if not hasattr(head, 'fit'):
            raise TypeError(f'{type(head).__name__} has no method fit(train, '
                            'val): it is trained in epochs, not by FitLoop.')
        if hasattr(head, 'check_requirements'):
            head.check_requirements()  # before any image is encoded
        super().__init__(runner, dataloader, max_epochs=1)
        self._max_iters = 1
        loader = self.dataloader
        self.val_draw_loader = DataLoader(
            DATASETS.build(val_dataset), batch_size=loader.batch_size,
            num_workers=loader.num_workers, collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn)
        names = [data.metainfo.get('classes') for data in (
            loader.dataset, self.val_draw_loader.dataset)]
        if None in names or list(names[0]) != list(names[1]):
            raise ValueError('the validation draw has other classes than the '
                             'training draw (metainfo classes).')

    @property
    def fitted(self) -> dict:
        """What ``head.fit`` returned, also after resuming."""
        hub = self.runner.message_hub
        return hub.get_info('fitted') if 'fitted' in hub.runtime_info else {}

    @property
    def selected_on(self) -> str:
        """Description of the images that hyperparameters were selected on."""
        images = self.val_draw_loader.dataset
        split = images.metainfo.get('split')
        return f'{"val draw" if split == "val" else split}, ' \
            f'{len(images)} images'

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
        train, val = (gather_labelled(model, loader, folder) for loader
                      in (self.dataloader, self.val_draw_loader))
        runner.message_hub.update_info('fitted', self._fit(model.head, train,
                                                           val))
        self._iter += 1
        runner.call_hook('after_train_epoch')
        self._epoch += 1

    @staticmethod
    def _fit(head: torch.nn.Module, train, val) -> dict:
        """Fit on the main process and broadcast the parameters."""
        outcome, error = [None, None], None
        if is_main_process():
            try:
                outcome[0] = head.fit(train, val)
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
        for parameter in head.parameters():
            if parameter.requires_grad:
                broadcast(parameter.data)
        return outcome[0]
