"""What the model and the data must tell each other."""
from typing import Iterator

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, set_random_seed

from ..registry import HOOKS
from .runner import give_classes, unwrap


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Give the class names of the data set at hand to the head.

    Before a run, so that a class-specific prompt has its shape; and before
    each training, validation or test epoch, since these may differ in their
    classes (a model trained on ImageNet, tested on 200 of its classes).
    Heads that know no class names (a linear head) are left alone.
    """
    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        loops = runner._train_loop, runner._test_loop, runner._val_loop
        built = [loop for loop in loops if hasattr(loop, 'dataloader')]
        # all of them: what does not fit shows now, not at the last epoch
        for loop in (*built, built[0]):
            give_classes(runner.model, loop.dataloader.dataset)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        loop = runner._test_loop
        if hasattr(unwrap(runner.model).head, 'set_classes') or \
                not hasattr(loop, 'dataloader'):
            return  # such a head checks its classes itself
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
        give_classes(runner.model, runner.train_dataloader.dataset)

    def before_val_epoch(self, runner) -> None:
        give_classes(runner.model, runner.val_dataloader.dataset)

    def before_test_epoch(self, runner) -> None:
        give_classes(runner.model, runner.test_dataloader.dataset)


@HOOKS.register_module()
class EpochHook(Hook):
    """Tell every data set the epoch, and seed what is random outside them.

    Views, mixup and the like become functions of (seed, epoch), so that a
    resumed run goes on exactly as one that was never interrupted.
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
    """Data sets that want to know the epoch, inside any wrappers."""
    if hasattr(dataset, 'set_epoch'):
        yield dataset
    inner = getattr(dataset, 'datasets', None) or \
        [getattr(dataset, 'dataset', None)]
    for child in inner:
        if child is not None:
            yield from _with_epochs(child)
