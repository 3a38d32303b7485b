"""Hooks that pass class names and epochs between data sets and model."""
from typing import Iterator

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, set_random_seed

from ..registry import HOOKS
from .runner import set_classes_from, unwrap


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Set the head's class names from the data set.

    This happens before a run, since class-specific prompts get their shape
    from the classes, and before each training, validation and test epoch,
    whose classes may differ (training on ImageNet, testing on 200 of its
    classes). Heads without class names (a linear head) are not changed.

    Raises:
        ValueError: The data set has no class names, or the head cannot
            predict its classes.
    """
    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        loops = runner._train_loop, runner._test_loop, runner._val_loop
        built = [loop for loop in loops if hasattr(loop, 'dataloader')]
        # check all now, so that a mismatch does not show at the last epoch
        for loop in (*built, built[0]):
            set_classes_from(loop.dataloader.dataset, runner.model)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        loop = runner._test_loop
        if hasattr(unwrap(runner.model).head, 'set_classes') or \
                not hasattr(loop, 'dataloader'):
            return  # a head with set_classes checks its classes itself
        meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
        learned = meta.get('classes')
        here = loop.dataloader.dataset.metainfo.get('classes')
        if learned and here and list(learned) != list(here):
            raise ValueError(
                f'this checkpoint was learned for {len(learned)} classes '
                f'({", ".join(learned[:3])}, ...), the data set has '
                f'{len(here)} ({", ".join(here[:3])}, ...): a linear head '
                'knows no others.')

    def before_train_epoch(self, runner) -> None:
        set_classes_from(runner.train_dataloader.dataset, runner.model)

    def before_val_epoch(self, runner) -> None:
        set_classes_from(runner.val_dataloader.dataset, runner.model)

    def before_test_epoch(self, runner) -> None:
        set_classes_from(runner.test_dataloader.dataset, runner.model)


@HOOKS.register_module()
class EpochHook(Hook):
    """Call ``set_epoch`` of every data set, and seed all other randomness.

    Random views and mixup then depend on (seed, epoch) alone, so that a
    resumed run gives the same results as an uninterrupted one.
    """
    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return  # a loop by iterations has no epochs: views stay random
        for dataset in _with_epochs(runner.train_dataloader.dataset):
            dataset.set_epoch(runner.epoch)
        seed = runner.seed + 1_000_003 * runner.epoch + runner.rank
        set_random_seed(seed % 2**31)


def _with_epochs(dataset) -> Iterator:
    """Find data sets with ``set_epoch``, also inside wrappers."""
    if hasattr(dataset, 'set_epoch'):
        yield dataset
    inner = getattr(dataset, 'datasets', None) or \
        [getattr(dataset, 'dataset', None)]
    for child in inner:
        if child is not None:
            yield from _with_epochs(child)
