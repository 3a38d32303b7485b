"""Runs of the paper's tables, and the command lines that do them."""
from pathlib import Path

import pytest
from mmengine.config import Config

from mmcoop.engine import apply_recipe
from mmcoop.protocol.methods import find_method, in_order
from mmcoop.protocol.plan import ELEVEN, PLANS, Run

from ..conftest import ROOT


@pytest.mark.parametrize('kind,count', [
    ('few-shot', 11 * (1 + 5 * 5 * 3)),
    ('context-length', 11 * 3 * 5 * 3),
    ('backbones', 4 * 11 * (1 + 3)),
    # 4 towers: zero-shot on 5; three methods, 3 seeds on 5
    ('domain', 4 * (5 + 3 * 3 * 5)),
    ('ensembles', 4 * (3 + 3)),
    ('init', 11 * 2 * 3),
    ('words', 5),
    ('adaptations', 1 + 5 * 3),
    ('base-to-new', 11 * (2 + 3 * 2)),
    ('cross-dataset', 11 + 3 * 11),
])
def test_the_papers_runs(kind, count):
    runs = PLANS[kind].runs()
    assert len(runs) == len(set(runs)) == count
    assert len({run.folder for run in runs}) == count
    for i, run in enumerate(runs):
        assert run.trained is None or run.trained in runs[:i]


def test_eleven():
    assert len(ELEVEN) == 11 and ELEVEN[0] == 'imagenet'


def test_a_probe_is_tested_where_its_classes_are():
    plan = PLANS['cross-dataset'].with_changes(methods=['linear-probe'],
                                               seeds=[1])
    assert [run.dataset for run in plan.runs()] == ['imagenet']
    plan = PLANS['base-to-new'].with_changes(
        methods=['coop-m4-end-csc'], seeds=[1], datasets=['dtd'])
    assert [run.class_subset for run in plan.runs()] == ['base']
    plan = PLANS['domain'].with_changes(
        methods=['coop-m4-end-csc'], seeds=[1], backbones=['RN50'])
    assert [run.dataset for run in plan.runs()] == [
        'imagenet', 'imagenetv2', 'imagenet_sketch']
    plan = PLANS['domain'].with_changes(
        methods=['linear-probe'], seeds=[1], backbones=['RN50'])
    probe, *tests = plan.runs()
    assert [run.dataset for run in tests] == [
        'imagenetv2', 'imagenet_sketch', 'imagenet_a', 'imagenet_r']
    assert {run.tool for run in tests} == {'linear_probe'}
    assert tests[0].command(Path('w'), {})[2] == f'w/{probe.folder}'
    assert (probe.result, tests[0].result) == ('result.json',
                                               'result_test.json')


def test_changes():
    plan = PLANS['few-shot'].with_changes(
        datasets=['dtd'], shots=[2], seeds=[5], methods=['coop-m8-front'])
    assert plan.runs() == [Run('coop-m8-front', 'dtd', 'RN50', 2, 5)]
    assert PLANS['few-shot'].with_changes(seeds=None) == PLANS['few-shot']


def test_base_to_new_tests_one_checkpoint_on_new_classes():
    plan = PLANS['base-to-new'].with_changes(
        datasets=['dtd'], seeds=[1], methods=['coop-m4-end-words'])
    base, new = plan.runs()
    assert (base.class_subset, new.class_subset) == ('base', 'new')
    assert new.trained == base and base.trained is None
    assert (base.tool, new.tool) == ('train', 'test')
    words = new.command(Path('w'), {})
    assert words[2] == f'w/{base.folder}' and 'class_subset=new' in words


def test_command_line():
    run = Run('coop-m4-middle-csc-words', 'dtd', 'RN50', 2, 5)
    common = dict(data_root='/d', cached_views=16)
    assert run.command(Path('w'), common) == [
        'tools/train.py', 'configs/coop/coop_vit-b16_16shot_imagenet.py',
        '--work-dir', 'w/dtd/RN50/coop-m4-middle-csc-words/2shot_seed5',
        '--resume', '--cfg-options', 'dataset=dtd',
        'model.clip.model_name=RN50', 'model.head.prompt.n_ctx=4',
        'model.head.prompt.class_token_position=middle',
        'model.head.prompt.class_specific=True',
        'model.head.prompt.ctx_init=a photo of a', 'shots=2', 'seed=5',
        'data_root=/d', 'cached_views=16']
    zeroshot = Run('zeroshot-ensemble7', 'dtd', '/c/mini.json')
    words = zeroshot.command(Path('w'), common)
    assert words[0] == 'tools/test.py' and '--resume' not in words
    assert 'w/dtd/mini/zeroshot-ensemble7' in words
    assert 'cached_views=16' not in words and 'data_root=/d' in words


@pytest.mark.parametrize('name', [
    'coop-m16', 'coop-m16-back', 'coop-m16-end-words', 'zeroshot-', 'maple'])
def test_unknown_methods(name):
    with pytest.raises(ValueError, match=name):
        find_method(name)


@pytest.mark.parametrize('name', [
    'coop-m16-end', 'coop-m8-middle-csc', 'coop-m4-front-words',
    'zeroshot-own', 'zeroshot-ensemble7+own', 'text-bias', 'text-transform',
    'finetune', 'linear-head'])
def test_results_call_a_method_by_its_name(name, small_clip):
    """What a run is asked for as is what its JSON says it was."""
    from mmpretrain.registry import MODELS
    method = find_method(name)
    cfg = Config.fromfile(ROOT / method.config)
    cfg.merge_from_dict(dict(method.options, dataset='dtd'))
    cfg = apply_recipe(cfg)
    if cfg.get('method'):
        assert cfg.method == name
        return
    model = MODELS.build(dict(cfg.model, clip=small_clip))
    assert model.head.prompt.method == name


def test_order():
    assert in_order(['coop-m16-end', 'finetune', 'linear-probe',
                     'zeroshot-own', 'linear-probe']) == [
        'zeroshot-own', 'linear-probe', 'finetune', 'coop-m16-end']


@pytest.mark.parametrize('kind,changes,message', [
    ('few-shot', dict(shots=[0]), 'at least 1'),
    ('few-shot', dict(datasets=['imagenetv2']), 'only be tested on'),
    ('few-shot', dict(source='dtd'), 'few-shot takes no source'),
    ('words', dict(methods=['zeroshot-own']), 'only CoOp learns'),
    ('backbones', dict(backbones=['/a/mini.json', '/b/mini.json']),
     'same file name'),
])
def test_what_cannot_be_compared(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        PLANS[kind].with_changes(**changes).runs()
