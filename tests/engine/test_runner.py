"""Training, resuming and the host's features, through the Runner."""
import json

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmcoop import resolve
from mmcoop.safe_load import check_is_safe

from ..conftest import custom_config


class Recorder(Hook):
    """Losses and learning rates of every iteration; may stop the run."""

    def __init__(self, stop_at=None):
        self.rows, self.stop_at = [], stop_at

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        lr = runner.optim_wrapper.get_lr()['lr'][0]
        self.rows.append((runner.iter, lr, outputs['loss'].item()))
        if runner.iter == self.stop_at:
            raise SystemExit('killed')


def train(cfg, stop_at=None):
    runner = RUNNERS.build(cfg)
    recorder = Recorder(stop_at)
    runner.register_hook(recorder)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(SystemExit):
            runner.train()
    return runner, recorder.rows


@pytest.fixture
def make(tmp_path, photos, small_clip):

    def config(**options):
        return custom_config(tmp_path, photos, small_clip, **options)

    return config


def test_a_run(make, tmp_path):
    runner, rows = train(make())
    head = runner.model.head
    assert head.class_names == ['grass', 'red_fox', 'snow']
    # the published schedule: 1e-5, then half a cosine from 0.002
    lrs = [lr for _, lr, _ in rows[::2]]
    expected = [1e-5] + [
        .001 * (1 + np.cos(np.pi * e / 6)) for e in range(5)
    ]
    np.testing.assert_allclose(lrs, expected, rtol=1e-12)
    # frozen: nothing of CLIP is in the optimiser
    learned = [p for g in runner.optim_wrapper.param_groups
               for p in g['params']]
    assert len(learned) == 1 and learned[0] is head.prompt.ctx
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert 0 <= result['metrics']['accuracy/top1'] <= 100
    assert (result['seed'], result['shots'], result['epochs']) == (1, 3, 6)
    assert result['num_images'] == 9 and result['num_classes'] == 3
    assert result['seconds_of_this_session'] > 0
    assert result['peak_memory_mib']['host'] > 0


def test_checkpoint(make, tmp_path, small_clip):
    runner, _ = train(make())
    path = tmp_path / 'work/epoch_6.pth'
    assert path.stat().st_size < 100_000
    assert not (tmp_path / 'work/epoch_1.pth').exists()
    checkpoint = torch.load(path, weights_only=True)
    assert set(checkpoint['state_dict']) == {'head.prompt.ctx', 'head.record'}
    ctx = runner.model.head.prompt.ctx.detach()
    assert torch.equal(checkpoint['state_dict']['head.prompt.ctx'], ctx)
    check_is_safe(str(path))


@pytest.mark.parametrize('stop_at', [6, 9], ids=['at an epoch', 'inside one'])
@pytest.mark.parametrize('mixup', [False, True])
def test_resume_goes_on_as_if_never_stopped(make, tmp_path, stop_at, mixup):
    options = dict(custom_hooks=[
        dict(type='mmcoop.ClassNamesHook'), dict(type='mmcoop.EpochHook'),
        dict(type='mmcoop.SafeCheckpointHook')
    ])
    if mixup:
        options['model.train_cfg'] = dict(
            augments=dict(type='Mixup', alpha=0.5))
    _, whole = train(make(work_dir=str(tmp_path / 'whole'), **options))
    train(make(**options), stop_at=stop_at)
    _, rest = train(make(resume=True, **options))
    assert len(whole) == 12 and len(rest) == 12 - stop_at // 2 * 2
    assert rest == whole[-len(rest):]
    ends = [
        torch.load(tmp_path / name / 'epoch_6.pth', weights_only=True)
        for name in ('whole', 'work')
    ]
    assert torch.equal(ends[0]['state_dict']['head.prompt.ctx'],
                       ends[1]['state_dict']['head.prompt.ctx'])


def test_resuming_a_finished_run_evaluates_it_again(make, tmp_path):
    train(make())
    path = tmp_path / 'work/result.json'
    finished = json.loads(path.read_text())
    path.unlink()  # as if killed in the last evaluation
    _, rows = train(make(resume=True))
    assert not rows
    assert json.loads(path.read_text())['metrics'] == finished['metrics']


@pytest.mark.slow
@pytest.mark.parametrize('changed', [
    dict(max_epochs=8), dict(shots=2), dict(seed=2)], ids=str)
def test_resume_with_other_settings_is_refused(make, changed):
    train(make(max_epochs=2))
    runner = RUNNERS.build(make(**{'max_epochs': 2, **changed}, resume=True))
    with pytest.raises(ValueError, match='this run began with'):
        runner.train()


@pytest.mark.slow
def test_workers_change_nothing(make, tmp_path):
    _, alone = train(make())
    _, helped = train(
        make(**{
            'work_dir': str(tmp_path / 'helped'),
            'train_dataloader.num_workers': 2,
            'train_dataloader.persistent_workers': True
        }))
    assert alone == helped


@pytest.mark.slow
def test_the_last_epoch_is_evaluated_once(make):
    evaluated = []

    class Count(Hook):

        def after_val_epoch(self, runner, metrics=None):
            evaluated.append(runner.epoch)

    runner = RUNNERS.build(make())
    runner.register_hook(Count())
    runner.train()
    assert evaluated == [6]


@pytest.mark.slow
def test_class_specific(make, tmp_path):
    cfg = make(**{'model.head.prompt.class_specific': True})
    runner, rows = train(cfg)
    assert runner.model.head.prompt.ctx.shape == (3, 4, 64)
    test = RUNNERS.build(make(**{
        'model.head.prompt.class_specific': True,
        'load_from': str(tmp_path / 'work/epoch_6.pth')}))
    test.test()
    assert torch.equal(test.model.head.prompt.ctx,
                       runner.model.head.prompt.ctx)


@pytest.mark.slow
@pytest.mark.parametrize('options', [
    {'optim_wrapper.accumulative_counts': 2},
    {'optim_wrapper.clip_grad': dict(max_norm=.01)},
])
def test_host_optimiser_features(make, tmp_path, options):
    """They change the run, so they are not merely swallowed."""
    plain, _ = train(make(work_dir=str(tmp_path / 'plain')))
    runner, rows = train(make(**options))
    assert len(rows) == 12
    difference = runner.model.head.prompt.ctx - plain.model.head.prompt.ctx
    assert 1e-6 < difference.abs().max() < 1


@pytest.mark.slow
@pytest.mark.parametrize('options', [
    {'max_epochs': 1},
    {'train_cfg.max_epochs': 2},
    {'train_dataloader.batch_size': 32},
], ids=str)
def test_short_runs(make, options):
    runner, rows = train(make(**options))
    assert len(rows) == len(runner.train_dataloader) * runner.max_epochs
    assert np.isfinite([loss for _, _, loss in rows]).all()
    if 'train_cfg.max_epochs' in options:
        assert runner.max_epochs == 2
    if 'train_dataloader.batch_size' in options:
        assert len(runner.train_dataloader) == 1  # 9 images, none dropped


@pytest.mark.slow
def test_ema_shares_the_frozen_towers(make, tmp_path):
    hooks = make().custom_hooks + [dict(type='EMAHook', momentum=0.1)]
    runner, _ = train(make(custom_hooks=hooks))
    ema = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook')
    copied = ema.ema_model.module
    assert copied.backbone is runner.model.backbone
    assert not torch.equal(copied.head.prompt.ctx,
                           runner.model.head.prompt.ctx)
    assert (tmp_path / 'work/epoch_6.pth').stat().st_size < 200_000
    (tmp_path / 'work/epoch_6.pth').unlink()
    (tmp_path / 'work/last_checkpoint').write_text(
        str(tmp_path / 'work/epoch_5.pth'))
    again, rows = train(make(custom_hooks=hooks, resume=True))
    assert len(rows) == 2
    assert torch.equal(again.model.head.prompt.ctx,
                       runner.model.head.prompt.ctx)


def test_stock_runner(make):
    """The parts work in mmengine's own Runner too."""
    cfg = resolve(make(max_epochs=2))
    cfg.pop('runner_type')
    cfg.merge_from_dict({'train_cfg.val_interval': 1,
                         'train_dataloader.drop_last': False})
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert len(runner.model.head.class_names) == 3


def test_amp_without_a_gpu(make):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(RuntimeError, match='needs a GPU'):
        RUNNERS.build(make(**{'optim_wrapper.type': 'AmpOptimWrapper'}))


def test_unsafe_checkpoint_is_refused(make, tmp_path):
    class Bomb:

        def __reduce__(self):
            return (open, (str(tmp_path / 'ran'), 'w'))

    torch.save(dict(state_dict={}, meta=Bomb()), tmp_path / 'bomb.pth')
    runner = RUNNERS.build(make(load_from=str(tmp_path / 'bomb.pth')))
    with pytest.raises(ValueError, match='holds pickled objects'):
        runner.test()
    assert not (tmp_path / 'ran').exists()
    for content in (b'hello world', b'', (b'PK' + bytes(50))):
        (tmp_path / 'junk.pth').write_bytes(content)
        with pytest.raises(ValueError, match='damaged or no checkpoint'):
            check_is_safe(str(tmp_path / 'junk.pth'))
    with pytest.raises(ValueError, match='copy it to this machine first'):
        check_is_safe('s3://bucket/epoch_1.pth')
