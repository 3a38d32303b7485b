"""Runs of the paper's tables, and the command lines that do them."""
from pathlib import Path

import pytest

from mmcoop.methods import expand_groups, get_method, methods_in, sort_methods
from mmcoop.protocol.plan import ELEVEN, PLANS, Run


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
    ('base-to-new', 11 * (2 + 2 * 3 * 2)),  # CoOp and CoCoOp
    ('cross-dataset', 11 + 2 * 3 * 11),
])
def test_the_papers_runs(kind, count):
    runs = PLANS[kind].runs()
    assert len(runs) == len(set(runs)) == count
    assert len({run.folder for run in runs}) == count
    for i, run in enumerate(runs):
        assert run.trained is None or run.trained in runs[:i]


def test_a_leaderboard_has_every_method_at_every_number_of_shots():
    runs = PLANS['leaderboard'].runs()
    learned = {m.name for m in methods_in('leaderboard') if m.learns}
    assert {'linear-probe', 'coop-m16-end'} <= learned
    assert len(runs) == 11 * (1 + len(learned) * 5 * 3)
    assert {run.backbone for run in runs} == {'ViT-B-16'}
    assert {run.shots for run in runs} == {None, 1, 2, 4, 8, 16}


def test_noise():
    """Clean runs are those of other tables, and share their folders."""
    plan = PLANS['noise'].with_changes(datasets=['dtd'], seeds=[1])
    learned = {m.name for m in methods_in('noise') if m.learns}
    assert {'linear-probe', 'coop-m16-end', 'coop-gce'} <= learned
    runs = plan.runs()
    assert len(runs) == 1 + 5 * len(learned)
    clean = Run('coop-m16-end', 'dtd', 'RN50', 16, 1)
    assert clean in runs and clean in PLANS['few-shot'].runs()
    assert 'label_noise' not in clean.options({})
    plan = plan.with_changes(noise=[0, .25], noise_kind='pair',
                             methods=['zeroshot-own', 'coop-gce'])
    zero_shot, clean, noisy = plan.runs()
    assert noisy.folder == f'{clean.folder}_pair0.25'
    assert clean == Run('coop-gce', 'dtd', 'RN50', 16, 1)
    options = noisy.options({})
    assert (options['label_noise'], options['noise_kind']) == (.25, 'pair')
    assert options['model.head.loss.q'] == .7
    assert 'label_noise=0.25' in noisy.command(Path('w'), {})
    other = plan.with_changes(noise_kind='symmetric').runs()[-1]
    assert other.folder != noisy.folder


def test_groups():
    for kind in ('leaderboard', 'few-shot'):
        heads = expand_groups(['heads'], kind)
        prompts = expand_groups(['prompts'], kind)
        whole = expand_groups(['all'], kind)
        assert heads[0] == prompts[0] == whole[0] == 'zeroshot-own'
        assert 'linear-probe' in heads and 'coop-m16-end' not in heads
        assert {'coop-m16-end', 'maple', 'promptsrc'} <= set(prompts)
        assert {*heads, *prompts} < set(whole)
        assert 'linear-head' in whole and 'finetune' not in whole
        assert not any(get_method(name).variant for name in whole)
    assert expand_groups(['coop-gce', 'heads', 'linear-probe'], 'noise') == [
        'coop-gce', *expand_groups(['heads'], 'noise')]
    names = {run.method for run in PLANS['leaderboard'].with_changes(
        methods=expand_groups(['prompts'], 'leaderboard')).runs()}
    assert 'promptsrc-fewshot' in names and 'promptsrc' not in names


def test_another_recipe_stands_for_a_method_in_some_tables():
    names = {kind: {run.method for run in PLANS[kind].with_changes(
        methods=['maple', 'promptsrc'], datasets=['dtd']).runs()}
        for kind in ('few-shot', 'base-to-new', 'cross-dataset')}
    assert names == {'few-shot': {'maple', 'promptsrc-fewshot'},
                     'base-to-new': {'maple', 'promptsrc'},
                     'cross-dataset': {'maple-cross', 'promptsrc-cross'}}


def test_cached_views_are_for_those_that_can_use_them():
    common = dict(cached_views=16, max_epochs=3)
    for name, kept in (('kgcoop', {'cached_views', 'max_epochs'}),
                       ('maple', {'max_epochs'}), ('plot', {'max_epochs'}),
                       ('linear-probe', set())):
        options = Run(name, 'dtd', 'RN50', 1, 1).options(common)
        assert set(common) & set(options) == kept


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
    assert (probe.tool, {run.tool for run in tests}) == ('train', {'test'})
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
    # what is fitted at once knows no epochs
    probe = Run('linear-probe', 'dtd', 'RN50', 2, 5).command(Path('w'), common)
    assert probe[0] == 'tools/train.py' and 'cached_views=16' not in probe
    common = dict(common, max_epochs=3, selection='fixed')
    head = Run('gda', 'dtd', 'RN50', 2, 5).options(common)
    assert (head['cached_views'], head['selection']) == (16, 'fixed')
    assert 'max_epochs' not in head
    coop = Run('coop-m16-end', 'dtd', 'RN50', 2, 5).options(common)
    assert coop['max_epochs'] == 3 and 'selection' not in coop


@pytest.mark.parametrize('name,message', [
    ('coop-m16', 'did you mean coop-m16-end'), ('zeroshot-', 'zeroshot-own'),
    ('coop-m16-end-words', 'coop-m4-end-words'), ('xyz', 'there are zeroshot'),
    ('coop-m16-end (50 epochs)', 'coop-m16-end')])
def test_unknown_methods(name, message):
    with pytest.raises(ValueError, match=f'unknown method.*{message}'):
        get_method(name)


def test_order():
    assert sort_methods(['coop-m4-end', 'coop-m16-end', 'finetune', 'mine',
                         'linear-probe', 'zeroshot-own']) == [
        'zeroshot-own', 'linear-probe', 'finetune', 'coop-m16-end',
        'coop-m4-end', 'mine']


@pytest.mark.parametrize('kind,changes,message', [
    ('few-shot', dict(shots=[0]), 'at least 1'),
    ('few-shot', dict(datasets=['imagenetv2']), 'only be tested on'),
    ('few-shot', dict(source='dtd'), 'few-shot takes no source'),
    ('few-shot', dict(noise=[.25]), 'few-shot takes no noise'),
    ('noise', dict(noise=[.75]), 'from 0 to 0.5'),
    ('words', dict(methods=['zeroshot-own']), 'only prompt learners'),
    ('backbones', dict(backbones=['/a/mini.json', '/b/mini.json']),
     'same file name'),
])
def test_what_cannot_be_compared(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        PLANS[kind].with_changes(**changes).runs()
