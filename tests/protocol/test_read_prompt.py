"""Reading a learned context by the vocabulary and by phrases."""
import json

import numpy as np
import pytest
import torch
from mmengine.registry import RUNNERS

from mmcoop.clip import load_clip
from mmcoop.heads import PromptLearnerHead
from mmcoop.prompts import ContextPrompt
from mmcoop.prompts import nearest_words as module
from mmcoop.prompts.nearest_words import nearest_words, spell
from mmcoop.protocol.read_prompt import (as_tables, find_classes,
                                         phrase_similarity, read_prompt)

from ..conftest import ROOT, custom_config

NAMES = ['cat', 'kite (bird of prey)', 'red_fox']
PHRASE = 'a photo of a'


@pytest.fixture(scope='module')
def tower(small_clip):
    return load_clip(**small_clip).text_tower


def a_head(tower, **prompt):
    return PromptLearnerHead(
        prompt=ContextPrompt(**prompt), text_tower=tower, classes=NAMES)


def test_distances_are_those_of_brute_force(tower):
    torch.manual_seed(0)
    ctx = torch.randn(3, tower.width) * 0.1
    words = tower.token_embedding.weight.detach().double().numpy()
    for vector, near in zip(ctx.double().numpy(), nearest_words(
            tower, ctx, top=4)):
        distances = np.sqrt(((words - vector)**2).sum(1))
        expected = np.argsort(distances)[:4]
        assert [word.token for word in near] == expected.tolist()
        np.testing.assert_allclose([word.distance for word in near],
                                   distances[expected], rtol=1e-5)


def test_class_specific_contexts_in_small_parts(tower, monkeypatch):
    torch.manual_seed(0)
    ctx = torch.randn(4, 3, tower.width)
    expected = [nearest_words(tower, one, top=2) for one in ctx]
    monkeypatch.setattr(module, 'ROWS', 5)
    assert nearest_words(tower, ctx, top=2) == expected


@pytest.mark.parametrize('top', [0, 49409])
def test_more_words_than_there_are(tower, top):
    with pytest.raises(ValueError, match='from 1 to 49408'):
        nearest_words(tower, torch.zeros(1, tower.width), top)


@pytest.mark.parametrize('position', ['end', 'middle', 'front'])
@pytest.mark.parametrize('class_specific', [False, True])
def test_a_context_of_words_reads_as_these_words(tower, position,
                                                 class_specific):
    head = a_head(tower, ctx_init=PHRASE, class_token_position=position,
                  class_specific=class_specific)
    read = nearest_words(tower, head.prompt.ctx)
    for vectors in read if class_specific else [read]:
        assert [near.word for near, in vectors] == PHRASE.split()
        assert [near.distance for near, in vectors] == [0] * 4
    same, other = phrase_similarity(head, [PHRASE, 'the cats and the'])
    assert same['phrase'] == PHRASE
    for key in ('mean', 'min', 'max'):
        assert same[key] == pytest.approx(1, abs=1e-6)
    assert other['min'] <= other['mean'] <= other['max'] < .99


def test_similarity_is_a_cosine_of_class_features(tower):
    torch.manual_seed(0)
    head = a_head(tower, n_ctx=3, class_token_position='front')
    row, = phrase_similarity(head)
    words = a_head(tower, ctx_init=PHRASE, class_token_position='front')
    cosines = torch.cosine_similarity(head.text_features(),
                                      words.text_features())
    assert row['mean'] == pytest.approx(cosines.mean().item(), abs=1e-6)
    ends = {NAMES[k]: cosines[k].item() for k in range(3)}
    assert row['min_class'] == min(ends, key=ends.get)
    assert row['max_class'] == max(ends, key=ends.get)
    assert ends[row['min_class']] == pytest.approx(row['min'], abs=1e-6)
    assert row['min'] < row['max']


def test_words_are_printable(tower):
    tokenizer = tower.tokenizer
    assert spell(tokenizer, 320) == 'a'
    assert spell(tokenizer, tokenizer.eot) == '<end_of_text>'
    assert spell(tokenizer, 668) == 'ðŁĺ'  # the beginning of an emoji
    assert spell(tokenizer, 194) == 'Ć'  # a form feed
    words = [spell(tokenizer, token) for token in range(49408)]
    assert all(word.isprintable() and word.strip() for word in words)


@pytest.fixture
def trained(tmp_path, photos, small_clip):
    """Two epochs: (config, path of the checkpoint, context)."""

    def run(**options):
        cfg = custom_config(tmp_path, photos, small_clip,
                            **{'max_epochs': 2, **options})
        runner = RUNNERS.build(cfg)
        runner.train()
        return (cfg, str(tmp_path / 'work/epoch_2.pth'),
                runner.model.head.prompt.ctx.detach())

    return run


def test_a_checkpoint(trained, tower):
    cfg, path, ctx = trained()
    report = read_prompt(cfg, path, top=2, phrases=['a photo of a', 'x'])
    assert json.loads(json.dumps(report)) == report
    assert report['method'] == 'coop-m4-end'
    context, = report['contexts']
    assert context['class_name'] is None
    assert context['vectors'] == [[word._asdict() for word in near]
                                  for near in nearest_words(tower, ctx, 2)]
    assert [row['phrase'] for row in report['phrases']] == [PHRASE, 'x']
    lines = as_tables(report).splitlines()
    assert lines[0] == 'Context of all 3 classes'
    nearest = context['vectors'][0][0]
    assert lines[2].split()[:3] == [
        '1', nearest['word'], f'{nearest["distance"]:.4f}']
    assert lines[-1].startswith('"x" ')
    with pytest.raises(ValueError, match='one for all classes'):
        read_prompt(cfg, path, classes=['snow'])
    cfg.model.head.prompt.n_ctx = 5
    with pytest.raises(ValueError, match='n_ctx=4, the config says 5'):
        read_prompt(cfg, path)


def test_a_class_specific_checkpoint(trained, tower):
    cfg, path, ctx = trained(**{'model.head.prompt.class_specific': True})
    report = read_prompt(cfg, path, classes=['snow', 'red fox'])
    assert [context['class_name'] for context in report['contexts']] == [
        'snow', 'red_fox']
    # the classes are grass, red_fox, snow
    expected = [near.token for near, in nearest_words(tower, ctx[2])]
    assert [near['token'] for near,
            in report['contexts'][0]['vectors']] == expected
    assert 'Context of red_fox\n' in as_tables(report)
    assert len(read_prompt(cfg, path)['contexts']) == 3
    with pytest.raises(ValueError, match="'snw': did you mean snow?"):
        read_prompt(cfg, path, classes=['snw'])


def test_classes_by_name():
    names = ['Annual Crop Land', 'missile', 'River', 'missile', 'red_fox']
    assert find_classes(names, ['red fox', 'missile']) == [4, 1, 3]
    with pytest.raises(ValueError, match='did you mean River'):
        find_classes(names, ['river'])
    with pytest.raises(ValueError, match='there are Annual Crop Land, miss'):
        find_classes(names, ['zzz'])


@pytest.mark.parametrize('options', [
    dict(method='zeroshot'),
    {'model.head.prompt': dict(_delete_=True, type='mmcoop.TemplatePrompt')}
], ids=['config', 'prompt'])
def test_zero_shot_learns_nothing_to_read(tmp_path, photos, small_clip,
                                          options):
    cfg = custom_config(tmp_path, photos, small_clip, **options)
    with pytest.raises(ValueError, match='learns no context'):
        read_prompt(cfg, 'gone.pth')


def test_another_checkpoint(tmp_path, photos, small_clip):
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict={'weight': torch.ones(1)}), path)
    cfg = custom_config(tmp_path, photos, small_clip)
    with pytest.raises(ValueError, match='mmcoop did not make it'):
        read_prompt(cfg, path)
    torch.save(dict(state_dict={}, junk=ROOT), path)  # a pickled object
    with pytest.raises(ValueError, match='holds pickled objects'):
        read_prompt(cfg, path)
