"""Views, selections and the photos' head of FitLoop."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmcoop import resolve
from mmcoop.heads import FittedHead, Selection

from ..conftest import ROOT, custom_config


@pytest.fixture
def config(tmp_path, photos, small_clip):

    def make(**options):
        return custom_config(tmp_path, photos, small_clip, method='custom',
                             **options)

    return make


@pytest.fixture
def seen(monkeypatch):
    """The features that heads are fitted on, and validation images."""
    calls = []
    monkeypatch.setattr(Selection, 'fit',
                        lambda self, *args, fit=Selection.fit: (
                            calls.append(args[1:3]), fit(self, *args))[1])
    return calls


def run(cfg):
    runner = RUNNERS.build(cfg)
    runner.train()
    return json.load(open(f'{runner.work_dir}/result.json')), runner


def test_the_head_of_photos(config, seen):
    """GDA on ten views, selected by cross-validation."""
    result, runner = run(config())
    (train, val), = seen
    assert train.views.shape == (10, 9, 32) and val is None
    assert not torch.equal(train.views[0], train.views[1])
    assert result['method'] == 'gda'
    assert result['protocol'] == 'val-free'
    assert result['selected_on'] == (
        'cross-validation, 3 folds of the training draw, 9 images')
    assert set(result['selected']) == {'alpha'}
    assert result['cached_views'] is None  # as published
    assert 0 < result['seconds_of_training'] < 60
    # a view is that of an epoch in a training on images
    images = runner.train_dataloader.dataset
    batch = runner.model.data_preprocessor(dict(inputs=[
        images.get_view(i, 3)['inputs'] for i in range(9)]))
    torch.testing.assert_close(runner.model.backbone(batch['inputs'])[0],
                               train.views[3], rtol=1e-4, atol=1e-4)


def test_another_head_and_fewer_views(config, seen):
    result, runner = run(config(head='tip-adapter', cached_views=2,
                                selection='val'))
    (train, val), = seen
    assert len(train.views) == 2 and len(val.views) == 1
    assert result['method'] == 'tip-adapter'
    assert (result['cached_views'], result['protocol']) == (2, 'val-4')
    assert result['selected_on'] == 'training images not drawn, 2 images'
    assert result['search'] is None and result['candidates'] == 4000
    # the checkpoint says it too
    meta = torch.load(runner.message_hub.get_info('last_ckpt'))['meta']
    for key in ('protocol', 'selected_on', 'selected', 'cached_views'):
        assert meta['recipe'][key] == result[key]


@pytest.mark.parametrize('options,message', [
    ({'selection': 'test'}, "selection='test': choose from val"),
    ({'train_cfg.max_memory': 1e-6}, 'take fewer views'),
    ({'head': 'coop-m16-end'}, 'head=coop-m16-end: this method is not fitted'),
    ({'head': 'gad'}, "unknown method 'gad': did you mean gda"),
    ({'train_cfg.folds': 1}, 'at least 2 are needed')])
def test_mistakes_come_before_the_work(config, options, message,
                                       monkeypatch):
    monkeypatch.setattr('mmcoop.features.source.encode_images', None)
    with pytest.raises(ValueError, match=message):
        RUNNERS.build(config(**options)).train()


def test_every_fitted_method_serves_photos():
    from mmcoop.methods import all_methods
    path = ROOT / 'configs/custom/custom_vit-b16.py'
    names = [m.name for m in all_methods() if not m.epochs]
    assert {'gda', 'linear-probe', 'prolip'} < set(names)
    from mmcoop.registry import MODELS
    for name in names:
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(dict(head=name))
        cfg = resolve(cfg)
        assert cfg.method == name
        assert issubclass(MODELS.get(cfg.model.head.type), FittedHead)
