"""Views of test images: the plain one first, the others by seed and image."""
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from mmcoop import resolve
from mmcoop.registry import DATASETS, TRANSFORMS

from ..conftest import ROOT, custom_config, make_photos

CONFIGS = sorted((ROOT / 'configs/tta').glob('*.py'))


@pytest.fixture
def config(tmp_path, photos, small_clip):

    def make(name='zero', **options):
        cfg = custom_config(tmp_path, photos, small_clip, method='zeroshot')
        cfg.merge_from_dict(
            Config.fromfile(ROOT / f'configs/tta/{name}.py').to_dict())
        cfg.merge_from_dict(options)
        return resolve(cfg)

    return make


def views_of(cfg, index=0, dataset=None):
    data = DATASETS.build(dataset or dict(
        cfg.test_dataloader.dataset, pipeline=cfg.tta_pipeline))
    return data[index]


def test_the_first_view_is_the_tested_one(config):
    cfg = config()
    item = views_of(cfg)
    plain = DATASETS.build(cfg.test_dataloader.dataset)[0]
    assert item['inputs'].shape == (64, 3, 32, 32)
    assert torch.equal(item['inputs'][0], plain['inputs'])
    assert item['data_samples'].gt_label == plain['data_samples'].gt_label
    assert item['data_samples'].img_path == plain['data_samples'].img_path
    distinct = {view.numpy().tobytes() for view in item['inputs']}
    assert len(distinct) > 60


def test_views_are_functions_of_seed_and_image(config, tmp_path):
    cfg = config()
    views = views_of(cfg, 2)['inputs']
    torch.manual_seed(5)  # what happened before does not matter
    assert torch.equal(views_of(cfg, 2)['inputs'], views)
    assert not torch.equal(views_of(cfg, 1)['inputs'], views)
    few = config(**{'tta_model.views': 5})
    assert torch.equal(views_of(few, 2)['inputs'], views[:5])
    other = config(seed=2)
    changed = views_of(other, 2)['inputs']
    assert torch.equal(changed[0], views[0])
    assert not torch.equal(changed[1:], views[1:])
    # the same image in another place, with other images
    make_photos(tmp_path / 'x/photos', {'red_fox': 6, 'snow': 6, 'grass': 4})
    moved = config(data_root=str(tmp_path / 'x/photos'))
    assert torch.equal(views_of(moved, 2)['inputs'], views)


def test_an_image_is_decoded_once(config):
    cfg, calls = config(), []
    pipeline = TRANSFORMS.build(cfg.tta_pipeline[0])
    load = pipeline.load.transforms[0]
    pipeline.load = Compose([lambda results: calls.append(1)
                             or load(results)])
    path = DATASETS.build(cfg.test_dataloader.dataset).get_data_info(0)
    assert len(pipeline(dict(path))['inputs']) == 64
    assert calls == [1]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configs(path, config):
    """Each says how to run it, and that its defaults are the class's."""
    from mmcoop.registry import MODELS
    assert path.read_text().startswith('# python tools/test.py configs/')
    assert f'--tta {path.stem}\n' in path.read_text().splitlines(True)[0]
    cfg = config(path.stem)
    kind = MODELS.get(cfg.tta_model.pop('type'))
    assert kind.__name__.lower() == path.stem
    import inspect
    defaults = {name: p.default for name, p in inspect.signature(
        kind).parameters.items() if p.default is not p.empty}
    assert dict(cfg.tta_model) == defaults


def test_bad_views(config):
    with pytest.raises(ValueError, match='views=0: a whole number'):
        views_of(config(**{'tta_model.views': 0}))
    with pytest.raises(ValueError, match='pipeline of 1 transforms'):
        TRANSFORMS.build(dict(type='mmcoop.ImageViews', transforms=[],
                              pipeline=[dict(type='PackInputs')]))
