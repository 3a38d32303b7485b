"""Every config: it says how to run it, and it can be built."""
import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmcoop.engine import apply_recipe
from mmcoop.engine.recipe import published_set, recipe_epochs

from .conftest import ROOT

CONFIGS = sorted(
    path for folder in ('coop', 'zeroshot', 'adaptations')
    for path in (ROOT / 'configs' / folder).glob('*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path, small_clip):
    first, *_ = path.read_text().splitlines()
    zeroshot = 'zeroshot' in path.stem
    tool = 'test' if zeroshot else 'train'
    assert first.startswith(
        f'# python tools/{tool}.py {path.relative_to(ROOT)}')
    cfg = apply_recipe(Config.fromfile(path))
    clip = dict(cfg.model.clip)
    if cfg.model.clip.get('pretrained') == 'openai':
        import open_clip
        assert open_clip.get_pretrained_cfg(clip['model_name'], 'openai')
        clip = small_clip
    model = MODELS.build(dict(cfg.model, clip=clip))
    if 'linear_head' not in path.stem:
        model.set_classes(['cat', 'dog'])
    learned = {name.removeprefix('head.') for name, p
               in model.named_parameters() if p.requires_grad}
    expected = {'text_bias': {'adapter.bias'},
                'text_transform': {'adapter.weight'},
                'linear_head': {'fc.weight', 'fc.bias'}}.get(
                    path.stem.removesuffix('_rn50_imagenet'),
                    set() if zeroshot else {'prompt.ctx'})
    if 'finetune' in path.stem:
        assert len(learned) > 10 and \
            all(name.startswith('backbone.') for name in learned)
    else:
        assert learned == expected
    epochs = 50 if path.stem.endswith(('imagenet', 'demo')) else 200
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs
    known = published_set(cfg)
    if known:
        names = {d['name'] for d in (
            cfg.train_dataloader.dataset.dataset, cfg.val_dataloader.dataset,
            cfg.test_dataloader.dataset)}
        assert names == {known.name} and path.stem.endswith(known.name)


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


def eurosat(**options):
    cfg = Config.fromfile(
        ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py')
    cfg.merge_from_dict(options)
    return apply_recipe(apply_recipe(cfg))


def test_a_data_set_is_one_variable():
    cfg = eurosat(dataset='sun397', templates='ensemble7+own')
    assert cfg.test_dataloader.dataset.name == 'sun397'
    assert cfg.train_dataloader.dataset.dataset.name == 'sun397'
    assert cfg.train_cfg.max_epochs == 200
    prompt = MODELS.build(cfg.model.head.prompt)
    assert len(prompt.templates) == 8
    assert prompt.templates[-1] == 'a photo of a {}.'
    assert prompt.method == 'zeroshot-ensemble7+own'
    assert eurosat(dataset='imagenet', shots=1).train_cfg.max_epochs == 50
    with pytest.raises(ValueError, match='nosuch'):
        eurosat(dataset='nosuch')


def test_base_and_new_classes_wrap_every_data_set():
    cfg = eurosat(class_subset='new', shots=2)
    for name in ('train', 'val', 'test'):
        dataset = cfg[f'{name}_dataloader'].dataset
        assert dataset.type == 'mmcoop.ClassSubset'
        assert dataset.classes == 'new'
        assert name == 'train' or dataset.pipeline
        assert dataset.dataset.type != 'mmcoop.ClassSubset'
    assert cfg.train_dataloader.dataset.dataset.shots == 2
    assert cfg.train_cfg.max_epochs == 100


def test_selection_needs_validation_images():
    best = {'default_hooks.checkpoint.save_best': 'auto'}
    with pytest.raises(ValueError, match="save_best.*val_split='val'"):
        eurosat(**best)
    with pytest.raises(ValueError, match='EarlyStoppingHook selects'):
        eurosat(custom_hooks=[dict(type='EarlyStoppingHook')])
    with pytest.raises(ValueError, match="val_split='dev'"):
        eurosat(val_split='dev')
    cfg = eurosat(val_split='val', shots=2, seed=3, **best)
    val = cfg.val_dataloader.dataset
    assert (val.type, val.shots, val.seed) == ('mmcoop.FewShotDataset', 2, 3)
    assert (val.dataset.split, val.val_of.split) == ('val', 'train')
    assert val.pipeline == cfg.test_dataloader.dataset.pipeline
    assert cfg.test_dataloader.dataset.split == 'test'


def test_a_linear_head_has_the_classes_of_the_data_set():
    path = ROOT / 'configs/adaptations/linear_head_rn50_imagenet.py'
    for options, expected in (({}, 1000), (dict(dataset='dtd'), 47),
                              (dict(dataset='dtd', class_subset='new'), 23)):
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(options)
        assert apply_recipe(cfg).model.head.num_classes == expected


def dumped(**options):
    """A config as a run leaves it, read again with options."""
    cfg = eurosat(dataset='dtd', shots=1, seed=2, templates='own')
    cfg.filled_in = True
    cfg.merge_from_dict(options)
    cfg.overrides = options
    return cfg


def test_the_command_line_counts_in_a_config_of_a_run():
    """Else the result would name other data than was tested on."""
    cfg = dumped(dataset='caltech101', data_root='/d')
    cfg.pop('train_dataloader')
    cfg = apply_recipe(cfg)
    test = cfg.test_dataloader.dataset
    assert (test.name, test.data_root) == ('caltech101', '/d')
    assert cfg.model.head.prompt.own == 'a photo of a {}.'
    with pytest.raises(ValueError, match='filled in by a run; seed, shots'):
        apply_recipe(dumped(shots=2, seed=3))
    assert apply_recipe(dumped()).train_cfg.max_epochs == 50
    prompt = apply_recipe(dumped(templates='name')).model.head.prompt
    assert prompt.templates == 'name'
    prompt = apply_recipe(dumped(**{
        'model.head.prompt.templates': 'a {}.'})).model.head.prompt
    assert prompt.templates == 'a {}.'


def test_another_part_of_the_classes():
    cfg = eurosat(class_subset='base')
    cfg.pop('train_dataloader')
    cfg.merge_from_dict(dict(class_subset='new',
                             overrides=dict(class_subset='new')))
    assert apply_recipe(cfg).test_dataloader.dataset.classes == 'new'


@pytest.mark.parametrize('options', [
    dict(class_subset='base', custom_hooks=[
        dict(type='CheckpointHook', save_best='auto')]),
    dict(param_scheduler=[dict(type='ReduceOnPlateauLR')])])
def test_no_way_around_validation_images(options):
    with pytest.raises(ValueError, match="val_split='val'"):
        eurosat(**options)
