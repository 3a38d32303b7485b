"""Every config: it says how to run it, and it can be built."""
import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmcoop import resolve
from mmcoop.catalog import CATALOG, find
from mmcoop.engine.method_name import name_method
from mmcoop.methods import all_methods, get_method

from .conftest import ROOT

CONFIGS = sorted(
    path for path in (ROOT / 'configs').glob('*/*.py')
    if path.parent.name not in ('_base_', 'tta'))  # tta: tests/tta
LEARNED = {'text_bias': {'adapter.bias'},
           'text_transform': {'adapter.weight'},
           'linear_head': {'fc.weight', 'fc.bias'},
           'linear_probe': {'weight', 'bias'},
           'gda': {'weight', 'bias'},
           'custom': {'weight', 'bias'},  # of GDA
           'tip_adapter': {'keys'}, 'taskres': {'residual'},
           'lp_plus_plus': {'weight', 'bias', 'alpha'},
           'clip_adapter': {'down', 'up'}, 'clap': {'weight'},
           'cross_modal': {'weight'}, 'prolip': {'weight'},
           'zeroshot': set(), 'coop': {'prompt.ctx'},
           'kgcoop': {'prompt.ctx'}, 'prograd': {'prompt.ctx'},
           'plot': {'prompt.ctx'}, 'vpt': {'prompt.visual_ctx'},
           'cocoop': {'prompt.ctx', *(
               f'prompt.linear{i}.{kind}' for i in (1, 2)
               for kind in ('weight', 'bias'))},
           'maple': {'prompt.ctx', 'prompt.deep_ctx', *(
               f'prompt.projections.{i}.{kind}' for i in range(9)
               for kind in ('weight', 'bias'))},
           **dict.fromkeys(('ivlp', 'promptsrc'), {
               'prompt.ctx', 'prompt.deep_ctx', 'prompt.visual_ctx'}),
           # of both towers: twelve layers, and two norms more or one
           'clip_lora': {'tower_adapter.A', 'tower_adapter.B'},
           '2sfs': {'classifier', *(
               f'tower_adapter.copies.{name}/{kind}'
               for kind in ('weight', 'bias') for name in (
                   'ln_final', 'visual/ln_pre', 'visual/ln_post', *(
                       f'{tower}transformer/resblocks/{i}/ln_{j}'
                       for tower in ('', 'visual/') for i in range(12)
                       for j in (1, 2))))}}
EPOCHS = {'cocoop': 10, 'kgcoop': 100, 'maple': 5, 'ivlp': 20, 'vpt': 5,
          'promptsrc': 20}
STEPS = {'clip_lora': 500, '2sfs': 300}  # for each shot


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config(path, deep_clip):
    first, *_ = path.read_text().splitlines()
    zeroshot = 'zeroshot' in path.stem
    tool = 'test' if zeroshot else 'train'
    assert first.startswith(
        f'# python tools/{tool}.py {path.relative_to(ROOT)}')
    merged = Config.fromfile(path)
    cfg = resolve(merged)
    assert '${' not in cfg.pretty_text
    assert resolve(cfg).pretty_text == cfg.pretty_text
    clip = dict(cfg.model.clip)
    if cfg.model.clip.get('pretrained') == 'openai':
        import open_clip
        assert open_clip.get_pretrained_cfg(clip['model_name'], 'openai')
        clip = deep_clip
    if 'on_context' in path.stem:  # tests/heads/test_saved_prompt.py
        with pytest.raises(ValueError, match='there is no checkpoint'):
            MODELS.build(dict(cfg.model, clip=clip))
        return
    model = MODELS.build(dict(cfg.model, clip=clip))
    assert name_method(cfg, model) == cfg.method
    if path.parent.name != 'custom':
        assert get_method(cfg.method).config.parent == path.parent
    if 'linear_head' not in path.stem:
        model.set_classes(['cat', 'dog'])
    learned = {name.removeprefix('head.') for name, p
               in model.named_parameters() if p.requires_grad}
    if 'finetune' in path.stem:
        assert len(learned) > 10 and \
            all(name.startswith('backbone.') for name in learned)
    else:
        kind = next(k for k in LEARNED if path.stem.startswith(k))
        assert learned == LEARNED[kind]
    fitted = cfg.get('train_cfg', {}).get('type') == 'mmcoop.FitLoop'
    if 'steps_per_shot' in cfg.get('train_cfg', {}):
        assert cfg.train_cfg.steps_per_shot == STEPS[path.parent.name]
        assert cfg.train_cfg.max_epochs is None
        assert not cfg.train_dataloader.drop_last
    elif not fitted:
        epochs = EPOCHS.get(path.stem.split('_')[0], 50 if path.stem.endswith(
            ('imagenet', 'demo')) else 200)
        assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs
    if merged.dataset in CATALOG and not fitted:
        names = {d['name'] for d in (
            cfg.train_dataloader.dataset.dataset, cfg.val_dataloader.dataset,
            cfg.test_dataloader.dataset)}
        assert names == {find(merged.dataset).name}
        assert path.stem.endswith(merged.dataset)


@pytest.mark.parametrize('name', [m.name for m in all_methods()])
def test_every_entry_of_a_metafile_names_itself(name, deep_clip):
    """What a run is asked for as is what its JSON says it was."""
    method = get_method(name)
    cfg = Config.fromfile(method.config)
    cfg.merge_from_dict(dict(method.options, dataset='dtd'))
    cfg = resolve(cfg)
    model = MODELS.build(dict(cfg.model, clip=deep_clip))
    assert name_method(cfg, model) == name


@pytest.mark.parametrize('options,expected', [
    ({'model.head.prompt.n_ctx': 7}, 'coop-m16-end (n_ctx=7)'),
    ({'model.head.prompt.ctx_init': 'a photo of a'}, 'coop-m4-end-words'),
    ({'model.head.prompt': dict(
        _delete_=True, type='mmcoop.TemplatePrompt')},
     'coop-m16-end (type=mmcoop.TemplatePrompt, n_ctx=None, '
     'class_token_position=None, class_specific=None)'),
    ({'model.head.prompt.n_prompts': 2}, 'coop-m16-end (n_prompts=2)'),
    ({'model.head.loss.type': 'mmcoop.GeneralizedCrossEntropy',
      'model.head.loss.q': 0.5},
     'coop-m16-end (type=mmcoop.GeneralizedCrossEntropy, q=0.5)'),
    (dict(method='mine'), 'mine'), (dict(method=None), 'ContextPrompt'),
], ids=str)
def test_what_no_entry_describes(options, expected, small_clip):
    cfg = Config.fromfile(get_method('coop-m16-end').config)
    cfg.merge_from_dict(options)
    cfg = resolve(cfg)
    model = MODELS.build(dict(cfg.model, clip=small_clip))
    assert name_method(cfg, model) == expected


def eurosat(method='coop', **options):
    cfg = Config.fromfile(
        ROOT / f'configs/{method}/{method}_vit-b16_16shot_eurosat.py'
        if method == 'coop' else
        ROOT / f'configs/{method}/{method}_vit-b16_eurosat.py')
    cfg.merge_from_dict(options)
    return resolve(resolve(cfg, options))


@pytest.mark.parametrize('shots,epochs', [(1, 50), (2, 100), (4, 100),
                                          (8, 200), (16, 200), (None, 200)])
def test_epochs_follow_shots(shots, epochs):
    cfg = eurosat(shots=shots, seed=2, data_root='/d')
    train = cfg.train_dataloader.dataset
    assert (train.shots, train.seed, cfg.randomness.seed) == (shots, 2, 2)
    assert train.dataset.data_root == cfg.test_dataloader.dataset.data_root \
        == cfg.val_dataloader.dataset.data_root == '/d'
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == epochs
    assert cfg.recipe_epochs == epochs
    assert cfg.param_scheduler[1].T_max == cfg.param_scheduler[1].end == epochs


def test_epochs_on_purpose():
    """A number is no signal: 200 epochs with 4 shots are 200."""
    cfg = eurosat(shots=4, max_epochs=200)
    assert (cfg.train_cfg.max_epochs, cfg.recipe_epochs) == (200, 100)


def test_what_a_user_writes_is_kept():
    cfg = eurosat(**{
        'shots': 1,
        'train_cfg.max_epochs': 7,
        'train_cfg.val_interval': 1
    })
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[1].T_max == 7
    assert cfg.train_cfg.val_interval == 1


def test_mms_own_places_are_kept():
    cfg = eurosat(**{
        'train_dataloader.dataset.shots': 4,
        'randomness.seed': 5,
        'test_dataloader.dataset.data_root': '/elsewhere',
        'train_dataloader.dataset.dataset.pipeline.1.scale': 160,
    })
    train = cfg.train_dataloader.dataset
    assert (train.shots, train.seed, cfg.randomness.seed) == (4, 5, 5)
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.test_dataloader.dataset.data_root == '/elsewhere'
    assert train.dataset.pipeline[1].scale == 160


def test_inheritance_and_the_hosts_configs(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = [\n"
        f"    '{ROOT}/configs/coop/coop_vit-b16_16shot_eurosat.py',\n]\n"
        "shots = 4\nmodel = dict(clip=dict(model_name='RN50'))\n")
    cfg = resolve(Config.fromfile(tmp_path / 'mine.py'))
    assert cfg.train_dataloader.dataset.shots == 4
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.model.clip.model_name == 'RN50'
    (tmp_path / 'host.py').write_text(
        "_base_ = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'\n")
    host = Config.fromfile(tmp_path / 'host.py')
    assert host.model.backbone.depth == 18
    assert resolve(host).model == host.model


def test_a_data_set_is_one_variable():
    cfg = eurosat('zeroshot', dataset='sun397', templates='ensemble7+own')
    assert cfg.test_dataloader.dataset.name == 'sun397'
    assert cfg.train_dataloader.dataset.dataset.name == 'sun397'
    assert cfg.train_cfg.max_epochs == 200
    prompt = MODELS.build(cfg.model.head.prompt)
    assert len(prompt.texts) == 8
    assert prompt.texts[-1] == 'a photo of a {}.'
    assert eurosat(dataset='imagenet', shots=1).train_cfg.max_epochs == 50
    with pytest.raises(ValueError, match='nosuch'):
        eurosat('zeroshot', dataset='nosuch')


def test_base_and_new_classes_of_every_data_set():
    cfg = eurosat(class_subset='new', shots=2)
    for name in ('train', 'val', 'test'):
        dataset = cfg[f'{name}_dataloader'].dataset
        assert dataset.class_subset == 'new'
        assert name == 'train' or dataset.pipeline
    # the draw is from all classes
    assert 'class_subset' not in cfg.train_dataloader.dataset.dataset
    assert cfg.train_dataloader.dataset.shots == 2
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
        assert resolve(cfg).model.head.num_classes == expected


def test_a_config_of_a_run_has_no_variables():
    """They are filled in; to say one again is an error, not a silence."""
    cfg = eurosat(dataset='dtd', shots=1, seed=2)
    for options in (dict(shots=2), dict(dataset='caltech101')):
        cfg.merge_from_dict(options)
        with pytest.raises(ValueError, match='nothing in this config reads'):
            resolve(cfg, options)
        for name in options:
            cfg.pop(name)
    cfg.merge_from_dict({'test_dataloader.dataset.name': 'caltech101'})
    assert resolve(cfg).test_dataloader.dataset.name == 'caltech101'


@pytest.mark.parametrize('options', [
    dict(class_subset='base', custom_hooks=[
        dict(type='CheckpointHook', save_best='auto')]),
    dict(param_scheduler=[dict(type='ReduceOnPlateauLR')])])
def test_no_way_around_validation_images(options):
    with pytest.raises(ValueError, match="val_split='val'"):
        eurosat(**options)


@pytest.mark.parametrize('method,options,expected', [
    ('kgcoop', {'model.head.regularizers.0.weight': 2.},
     'kgcoop (weight=2.0)'),
    ('kgcoop', {'model.head.hand_written.templates': 'name'},
     'kgcoop (templates=name)'),
    ('kgcoop', {'template': 'art of {}.'}, 'kgcoop'),
    ('prograd', {'model.head.prompt.n_ctx': 4}, 'prograd (n_ctx=4)'),
    ('maple', {'model.head.prompt.depth': 2}, 'maple (depth=2)'),
    ('plot', {'views': 'translation'}, 'plot (views=translation)'),
    ('clip-lora', {'model.tower_adapter.rank': 4}, 'clip-lora (rank=4)'),
    ('2sfs', {'model.head.prompt.templates': 'own'},
     '2sfs (templates=own)'),
])
def test_a_recipe_that_was_changed(method, options, expected, deep_clip):
    cfg = Config.fromfile(get_method(method).config)
    cfg.merge_from_dict(options)
    cfg = resolve(cfg)
    model = MODELS.build(dict(cfg.model, clip=deep_clip))
    assert name_method(cfg, model) == expected
