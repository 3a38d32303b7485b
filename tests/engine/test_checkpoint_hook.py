"""Old checkpoints go after the new one is there, and only a run's own."""
import shutil

import pytest
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from ..conftest import custom_config

OPTIONS = {
    'shots': 2, 'val_split': 'val', 'train_cfg.val_interval': 1,
    'max_epochs': 2, 'report': False, 'calibrate': False,
    'default_hooks.checkpoint.save_best': 'epochs',
    'default_hooks.checkpoint.rule': 'greater',
    'default_hooks.checkpoint.max_keep_ckpts': 1
}


class Better(Hook):
    """Each evaluation is better than those before."""

    def after_val_epoch(self, runner, metrics=None):
        metrics['epochs'] = float(runner.epoch)


class Stop(Hook):
    """Fail in a certain saving."""

    def __init__(self, saving):
        self.left = saving

    def before_save_checkpoint(self, runner, checkpoint):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def names(folder):
    return {path.name for path in folder.glob('*.pth')}


@pytest.mark.slow
def test_removed_last_and_where_the_run_is(tmp_path, photos, small_clip):

    def build(folder, **options):
        runner = RUNNERS.build(custom_config(
            tmp_path, photos, small_clip,
            **{**OPTIONS, 'work_dir': str(tmp_path / folder), **options}))
        runner.register_hook(Better(), 'VERY_HIGH')
        return runner

    first, copy = tmp_path / 'first', tmp_path / 'copy'
    runner = build('first')
    # saved are epoch 1, the best one, epoch 1 with its score, epoch 2
    runner.register_hook(Stop(4), 'VERY_HIGH')
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    left = {'epoch_1.pth', 'best_epochs_epoch_1.pth'}
    assert names(first) == left
    shutil.copytree(first, copy)
    build('copy', resume=True).train()
    assert names(copy) == {'epoch_2.pth', 'best_epochs_epoch_2.pth'}
    assert names(first) == left  # the original keeps what it has
