"""Training on cached views of the images."""
import json

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from mmcoop import resolve

from .conftest import UNCACHED, log
from .test_runner import train


class Batches(Hook):
    """What the loops give to the model, by image."""

    def __init__(self):
        self.train, self.shapes = [], set()

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for inputs, sample in zip(data_batch['inputs'],
                                  data_batch['data_samples']):
            self.train.append((runner.epoch, sample.img_path, inputs.clone()))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.shapes.add(tuple(data_batch['inputs'][0].shape))


def test_validating_often_encodes_once(config, encoded):
    runner = RUNNERS.build(config(**{
        'max_epochs': 3, 'train_cfg.val_interval': 1, 'cached_views': 3}))
    batches = Batches()
    runner.register_hook(batches)
    runner.train()
    assert sum(encoded) == 5 + 3 * 9
    assert batches.shapes == {(32, )}


def test_views_of_all_epochs_are_the_uncached_run(config, tmp_path, encoded):
    """Also where labels are wrong on purpose."""
    alone, rows = train(config(custom_hooks=UNCACHED, label_noise=.3,
                               work_dir=str(tmp_path / 'alone')))
    encoded.clear()
    cached, cached_rows = train(config(cached_views=6, label_noise=.3))
    assert sum(encoded) == 6 * 9 + 5
    assert [row[:2] for row in rows] == [row[:2] for row in cached_rows]
    torch.testing.assert_close(
        torch.tensor([row[2] for row in cached_rows]),
        torch.tensor([row[2] for row in rows]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        cached.model.head.prompt.ctx, alone.model.head.prompt.ctx, rtol=0,
        atol=1e-6)
    results = [json.loads((tmp_path / name / 'result.json').read_text())
               for name in ('alone', 'work')]
    assert [result['cached_views'] for result in results] == [None, 6]
    assert results[0]['metrics'] == pytest.approx(results[1]['metrics'],
                                                  abs=1e-3)
    assert results[0]['label_noise'] == results[1]['label_noise'] == dict(
        kind='symmetric', rate=.3, seed=1, flipped=3, images=9)
    # from disk; and there are no more views than epochs
    encoded.clear()
    _, again = train(config(cached_views=100, label_noise=.3))
    assert again == cached_rows and not encoded


@pytest.mark.slow
def test_fewer_views_take_turns(config, tmp_path, encoded):
    runner = RUNNERS.build(config(cached_views=4, shots=2))
    batches = Batches()
    runner.register_hook(batches)
    runner.train()
    assert sum(encoded) == 4 * 6 + 5
    assert any('An approximation: cached_views=4' in line
               for line in log(tmp_path))
    seen = {(epoch, path): inputs for epoch, path, inputs in batches.train}
    assert {inputs.shape for inputs in seen.values()} == {(32, )}
    first = {path for epoch, path in seen if epoch == 0}
    for epoch, path in seen:
        if epoch >= 4 and (epoch - 4, path) in seen:
            assert torch.equal(seen[epoch, path], seen[epoch - 4, path])
    for path in first:
        assert not any(
            torch.equal(seen[0, path], seen[epoch, path])
            for epoch in (1, 2, 3) if (epoch, path) in seen)


@pytest.mark.slow
@pytest.mark.parametrize('views', [2, 6])
def test_resuming(config, tmp_path, views, monkeypatch):
    _, whole = train(config(cached_views=views,
                            work_dir=str(tmp_path / 'whole')))
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'another'))
    train(config(cached_views=views), stop_at=7)
    _, rest = train(config(cached_views=views, resume=True))
    assert rest == whole[6:]


@pytest.mark.slow
def test_resuming_with_other_views_is_refused(config):
    train(config(cached_views=2), stop_at=7)
    with pytest.raises(ValueError, match=r'cached_views=2 \(now None\)'):
        RUNNERS.build(config(resume=True)).train()


@pytest.mark.slow
@pytest.mark.parametrize('options,why', [
    ({'model.train_cfg': dict(augments=dict(type='Mixup', alpha=.5))},
     'mixup and the like'),
    ({'train_cfg': dict(by_epoch=False, max_iters=4, val_interval=2,
                        _delete_=True), 'param_scheduler': None},
     'counts iterations'),
    ({'custom_hooks': [UNCACHED[0], *UNCACHED[2:],
                       dict(type='mmcoop.FeatureCacheHook',
                            views='${cached_views}')]},
     "lacks dict\\(type='mmcoop.EpochHook'\\)"),
], ids=['mixup', 'iterations', 'no epochs'])
def test_where_views_cannot_be_cached(config, options, why):
    runner = RUNNERS.build(config(cached_views=2, **options))
    with pytest.raises(ValueError, match=f'cached_views=2 is not.*{why}'):
        runner.train()


def test_views_of_another_data_set(config):
    cfg = resolve(config(cached_views=2))
    cfg.train_dataloader.dataset = cfg.train_dataloader.dataset.dataset
    with pytest.raises(ValueError, match='a FolderDataset, not a'):
        RUNNERS.build(cfg).train()


@pytest.mark.slow
def test_an_unknown_transform_caches_for_the_run_only(config, encoded,
                                                      tmp_path):
    blur = dict(type='GaussianBlur', magnitude_range=(.1, 2),
                magnitude_std='inf', prob=.5)
    pipeline = config().train_dataloader.dataset.dataset.pipeline
    options = {
        'train_dataloader.dataset.dataset.pipeline':
        [*pipeline[:2], blur, *pipeline[2:]]
    }
    _, rows = train(config(custom_hooks=UNCACHED, **options))
    for _ in range(2):
        encoded.clear()
        _, cached = train(config(cached_views=6, **options))
        assert sum(encoded) >= 6 * 9
    torch.testing.assert_close(
        torch.tensor([row[2] for row in cached]),
        torch.tensor([row[2] for row in rows]), rtol=1e-5, atol=1e-6)
    assert any('GaussianBlur is not known' in line for line in log(tmp_path))


@pytest.mark.slow
def test_workers_encode_the_same(config, tmp_path, monkeypatch):
    _, alone = train(config(cached_views=3))
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'another'))
    _, helped = train(config(**{
        'cached_views': 3, 'work_dir': str(tmp_path / 'helped'),
        'train_dataloader.num_workers': 2,
        'train_dataloader.persistent_workers': True}))
    assert alone == helped


@pytest.mark.parametrize('options,why', [
    (dict(cached_views=0), 'cached_views=0: a whole number'),
    (dict(cached_views='all'), 'cached_views=all: a whole number'),
    (dict(cached_views=2, custom_hooks=UNCACHED),
     "sets 'cached_views', and nothing"),
], ids=['0', 'a word', 'no hook'])
def test_mistakes(config, options, why):
    with pytest.raises(ValueError, match=why):
        resolve(config(**options), options)
