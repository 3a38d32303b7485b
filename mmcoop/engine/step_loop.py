"""Training loop of recipes that count optimiser steps for each shot."""
import sys
from typing import Dict, Optional, Union

from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from ..registry import LOOPS


@LOOPS.register_module()
class StepLoop(EpochBasedTrainLoop):
    """Train for ``steps_per_shot * shots`` steps, in epochs.

    The last epoch ends at the last step. Views, checkpoints, resuming and
    validation go by epochs as in other runs. A scheduler with
    ``by_epoch=False`` and without ``end`` ends at the last step.

    Args:
        runner: The runner.
        dataloader: Training data loader, or its config, of a few-shot draw.
        steps_per_shot: Steps for each image of a class.
        max_epochs: A number trains for these epochs instead.
        val_interval: Epochs from one validation to the next. There is one
            after the last epoch in any case, and no other by default.

    Attributes:
        recipe_epochs: Epochs of the recipe, the last of which may be a part;
            None without shots.

    Raises:
        ValueError: Neither shots nor epochs are given.
    """

    def __init__(self, runner, dataloader: Union[DataLoader, Dict],
                 steps_per_shot: int, max_epochs: Optional[int] = None,
                 val_interval: int = sys.maxsize) -> None:
        super().__init__(runner, dataloader, max_epochs or 1,
                         val_interval=val_interval)
        shots = getattr(self.dataloader.dataset, 'shots', None)
        if shots is None and max_epochs is None:
            raise ValueError(
                f'{steps_per_shot} steps for each shot, and the training '
                'images are no few-shot draw: set shots=16, say, or '
                'max_epochs.')
        self.recipe_epochs: Optional[int] = None
        if shots is not None:
            steps = steps_per_shot * shots
            self.recipe_epochs = -(-steps // len(self.dataloader))
            if max_epochs is None:
                self._max_epochs, self._max_iters = self.recipe_epochs, steps

    def run_epoch(self) -> None:
        """Train for one epoch, or up to the last step."""
        runner = self.runner
        runner.call_hook('before_train_epoch')
        runner.model.train()
        for i, batch in enumerate(self.dataloader):
            self.run_iter(i, batch)
            if self._iter == self._max_iters:
                break
        runner.call_hook('after_train_epoch')
        self._epoch += 1
