"""A loss that is no number stops the run."""
import os

import pytest
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from ..conftest import custom_config


class Spoil(Hook):
    """Make the context NaN before an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            runner.model.head.prompt.ctx.data.fill_(float('nan'))


class SpoilAfter(Spoil):
    """The same after an iteration, whose loss was finite."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        pass

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        super().before_train_iter(runner, batch_idx)


@pytest.fixture
def build(tmp_path, photos, small_clip):

    def build(hook=None, **options):
        runner = RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                             **options))
        if hook is not None:
            runner.register_hook(hook, 'VERY_HIGH')
        return runner

    return build


def test_a_nan_loss_stops_the_run(build, tmp_path):
    with pytest.raises(
            FloatingPointError,
            match=r'loss=nan in iteration 6 of epoch 3, learning rate 0.0018.*'
            r'The last good checkpoint is .*epoch_2.pth'):
        build(Spoil(5)).train()
    assert not (tmp_path / 'work/epoch_3.pth').exists()
    # it goes on from there
    runner = build(resume=True)
    runner.train()
    assert runner.model.head.prompt.ctx.isfinite().all()
    assert (tmp_path / 'work/epoch_6.pth').exists()


def test_a_context_that_is_not_finite_is_not_saved(build, tmp_path):
    """The step after the last loss of an epoch spoilt it."""
    with pytest.raises(FloatingPointError,
                       match='head.prompt.ctx not finite after iteration 4'):
        build(SpoilAfter(3)).train()
    saved = [name for name in os.listdir(tmp_path / 'work')
             if name.endswith(('.pth', '.tmp'))]
    assert saved == ['epoch_1.pth']
    with pytest.raises(FloatingPointError, match='No checkpoint was saved'):
        build(Spoil(0), work_dir=str(tmp_path / 'other')).train()
