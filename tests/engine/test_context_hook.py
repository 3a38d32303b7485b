"""What is told of a context as it is learned."""
import json

import numpy as np
import pytest
import torch

from mmcoop.engine.context_hook import draw_words

from ..conftest import custom_config
from .test_runner import train

TENSORBOARD = [dict(type='LocalVisBackend'),
               dict(type='TensorboardVisBackend')]


@pytest.fixture
def make(tmp_path, photos, small_clip):

    def config(**options):
        return custom_config(tmp_path, photos, small_clip, **options)

    return config


def distances(tmp_path):
    """The last value of each run's log."""
    return [json.loads(path.read_text().splitlines()[-2])['ctx_distance']
            for path in sorted(tmp_path.glob('work/*/vis_data/scalars.json'))]


def start_of(runner):
    hook, = (h for h in runner.hooks if type(h).__name__ == 'ContextHook')
    return hook.start


@pytest.mark.parametrize('class_specific', [False, True])
def test_distance(make, tmp_path, class_specific):
    runner, rows = train(make(
        **{'model.head.prompt.class_specific': class_specific,
           'log_processor': dict(window_size=1)}))
    ctx = runner.model.head.prompt.ctx.detach()
    moved = (ctx - start_of(runner)).norm(dim=-1).mean().item()
    assert moved > 1e-3 and distances(tmp_path) == [pytest.approx(moved, 1e-4)]


def test_a_resumed_run_measures_from_the_same_start(make, tmp_path):
    whole, _ = train(make())
    start = start_of(whole)
    (tmp_path / 'work/last_checkpoint').write_text(
        str(tmp_path / 'work/epoch_5.pth'))
    again, rows = train(make(resume=True))
    assert len(rows) == 2 and torch.equal(start_of(again), start)
    # a new run that starts from a checkpoint measures from there
    loaded, _ = train(make(load_from=str(tmp_path / 'work/epoch_6.pth')))
    assert torch.equal(start_of(loaded), whole.model.head.prompt.ctx)


def test_words(make, tmp_path):
    """A context that starts from words and hardly moves is read as these."""
    train(make(**{'model.head.prompt.ctx_init': 'a photo of a',
                  'max_epochs': 1}))
    log, = (tmp_path / 'work').glob('*/*.log')
    assert 'Words nearest to the context: a photo of a\n' in log.read_text()


def test_tensorboard(make, tmp_path):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    train(make(vis_backends=TENSORBOARD))
    file, = (tmp_path / 'work').rglob('events.out.tfevents*')
    events = accumulator.EventAccumulator(str(file)).Reload()
    assert {'loss', 'lr', 'ctx_distance', 'accuracy/top1'} <= set(
        events.Tags()['scalars'])
    assert events.Tags()['images'] == ['nearest_words']


@pytest.mark.slow
def test_wandb(make, tmp_path, monkeypatch):
    pytest.importorskip('wandb')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    train(make(vis_backends=[dict(type='WandbVisBackend')]))
    assert list((tmp_path / 'work').rglob('*.wandb'))


def test_a_head_without_context(photos, small_clip, tmp_path):
    """Nothing is told of a head that is fitted on features."""
    cfg = custom_config(tmp_path, photos, small_clip, 'custom')
    runner, _ = train(cfg)
    assert start_of(runner) is None


def test_picture():
    picture = draw_words([['a', 'photo'], ['of', 'a']])
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert picture.min() < 50 and (picture == 255).mean() > 0.8
    assert draw_words([['$_$', '$$', 'a$']]).min() < 50  # no formulas
