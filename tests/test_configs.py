"""Every config: it says how to run it, and it can be built."""
import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmcoop.engine import apply_recipe
from mmcoop.engine.recipe import recipe_epochs

from .conftest import ROOT

CONFIGS = sorted(
    path for folder in ('coop', 'zeroshot')
    for path in (ROOT / 'configs' / folder).glob('*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path, small_clip):
    first, *_ = path.read_text().splitlines()
    tool = 'test' if 'zeroshot' in path.stem else 'train'
    assert first.startswith(
        f'# python tools/{tool}.py {path.relative_to(ROOT)}')
    cfg = apply_recipe(Config.fromfile(path))
    clip = dict(cfg.model.clip)
    if cfg.model.clip.get('pretrained') == 'openai':
        import open_clip
        assert open_clip.get_pretrained_cfg(clip['model_name'], 'openai')
        clip = small_clip
    model = MODELS.build(dict(cfg.model, clip=clip))
    model.set_classes(['cat', 'dog'])
    learned = [p for p in model.parameters() if p.requires_grad]
    assert len(learned) == (0 if 'zeroshot' in path.stem else 1)
    epochs = 50 if path.stem.endswith(('imagenet', 'demo')) else 200
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs


@pytest.mark.parametrize('shots,epochs', [(1, 50), (2, 100), (4, 100),
                                          (8, 200), (16, 200), (None, 200)])
def test_epochs_follow_shots(shots, epochs):
    assert recipe_epochs(shots) == epochs
    cfg = Config.fromfile(
        ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py')
    cfg.merge_from_dict(dict(shots=shots, seed=2, data_root='/d'))
    cfg = apply_recipe(cfg)
    train = cfg.train_dataloader.dataset
    assert (train.shots, train.seed, cfg.randomness.seed) == (shots, 2, 2)
    assert train.dataset.data_root == cfg.test_dataloader.dataset.data_root \
        == cfg.val_dataloader.dataset.data_root == '/d'
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs
    assert cfg.param_scheduler[1].T_max == cfg.param_scheduler[1].end == epochs


def test_what_a_user_writes_is_kept():
    cfg = Config.fromfile(
        ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py')
    cfg.merge_from_dict({
        'shots': 1,
        'train_cfg.max_epochs': 7,
        'train_cfg.val_interval': 1
    })
    cfg = apply_recipe(cfg)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].T_max == 7
    assert cfg.train_cfg.val_interval == 1


def test_mms_own_places_are_kept():
    cfg = Config.fromfile(
        ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py')
    cfg.merge_from_dict({
        'train_dataloader.dataset.shots': 4,
        'randomness.seed': 5,
        'test_dataloader.dataset.data_root': '/elsewhere',
        'train_dataloader.dataset.dataset.pipeline.1.scale': 160,
    })
    cfg = apply_recipe(apply_recipe(cfg))
    train = cfg.train_dataloader.dataset
    assert (train.shots, train.seed, cfg.seed) == (4, 5, 5)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.test_dataloader.dataset.data_root == '/elsewhere'
    assert train.dataset.pipeline[1].scale == 160


def test_inheritance_and_the_hosts_configs(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = [\n"
        f"    '{ROOT}/configs/coop/coop_vit-b16_16shot_eurosat.py',\n]\n"
        "shots = 4\nmodel = dict(clip=dict(model_name='RN50'))\n")
    cfg = apply_recipe(Config.fromfile(tmp_path / 'mine.py'))
    assert cfg.train_dataloader.dataset.shots == 4
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.model.clip.model_name == 'RN50'
    (tmp_path / 'host.py').write_text(
        "_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'\n")
    assert Config.fromfile(tmp_path / 'host.py').model.backbone.depth == 18
