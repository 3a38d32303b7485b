"""The engine equals the plain 77-token path, gradients included."""
import json

import open_clip
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmcoop.clip import PromptSet, load_clip
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.prompt_set import EndingLayout
from mmcoop.clip.text_engine import encode_packed

from ..conftest import small_clip_config

NAMES = ['kite (bird of prey)', 'T-shirt', 'water_lilly', 'a type of aircraft',
         'dog', "jack-o'-lantern", 'Annual Crop Land', 'dog']
PROMPTS = [
    dict(type='mmcoop.ContextPrompt', n_ctx=m, class_token_position=position,
         class_specific=csc)
    for m in (1, 5, 16) for position in ('end', 'middle', 'front')
    for csc in (False, True)
] + [
    dict(type='mmcoop.TemplatePrompt', templates=templates)
    for templates in ('a photo of a {}.', '{} texture.', '{}',
                      ['itap of a {}.', 'a {} in a video game.'])
]


def exact_tower(small_clip):
    return load_clip(**small_clip).text_tower.double()


def gradients(tower, prompt, encode):
    """Features of all sets, and gradients of what is learned."""
    features = torch.cat([encode(tower, p) for p in prompt(tower)])
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    learned = list(prompt.parameters())
    loss = (F.normalize(features, dim=-1) * weights).sum()
    grads = torch.autograd.grad(loss, learned) if learned else ()
    return (features.detach(), *grads)


@pytest.mark.parametrize('cfg', PROMPTS, ids=str)
@pytest.mark.parametrize('names', [NAMES, ['dog']], ids=['many', 'one'])
def test_equals_plain_path(small_clip, cfg, names):
    tower = exact_tower(small_clip)
    assert tower.packable
    torch.manual_seed(0)
    prompt = MODELS.build(cfg)
    prompt.setup(tower)
    prompt.set_classes(names, tower)
    prompt.double()
    packed = gradients(tower, prompt, encode_packed)
    plain = gradients(tower, prompt, encode_plain)
    for ours, theirs in zip(packed, plain):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_several_beginnings(small_clip):
    """P prefixes share one set of endings (ensembles, CoCoOp)."""
    tower = exact_tower(small_clip)
    torch.manual_seed(0)
    width = tower.width
    prefix = torch.randn(3, 4, width, dtype=torch.float64, requires_grad=True)
    lengths = [3, 1, 6, 3]
    endings = torch.randn(
        sum(lengths), width, dtype=torch.float64, requires_grad=True)
    prompts = PromptSet(prefix, endings, EndingLayout(lengths))
    results = []
    for encode in (encode_packed, encode_plain):
        features = encode(tower, prompts)
        assert features.shape == (3, 4, 32)
        weights = torch.linspace(-1, 1, features.numel()).view_as(features)
        grads = torch.autograd.grad((features * weights).sum(),
                                    (prefix, endings))
        results.append((features, *grads))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('text', [
    dict(),
    dict(no_causal_mask=True, pool_type='last'),
    dict(no_causal_mask=True),
    dict(ls_init_value=0.1)
], ids=str)
def test_equals_open_clip(tmp_path, text):
    """Whatever the tower, hand-written prompts give open_clip's features."""
    config = small_clip_config(**text)
    path = tmp_path / 'mmcoop-test-variant.json'
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.create_model(_register(path))
    torch.save(model.state_dict(), tmp_path / 'weights.pt')
    tower = load_clip(str(path), str(tmp_path / 'weights.pt')).text_tower
    assert tower.packable == (not text.get('no_causal_mask'))
    prompt = MODELS.build(
        dict(type='mmcoop.TemplatePrompt', templates='a photo of a {}.'))
    prompt.set_classes(NAMES, tower)
    names = [name.replace('_', ' ') for name in NAMES]
    tokens = open_clip.tokenize([f'a photo of a {name}.' for name in names])
    expected = model.eval().encode_text(tokens)
    torch.testing.assert_close(tower(prompt(tower)[0])[0], expected)


def _register(path):
    open_clip.add_model_config(path)
    return path.stem


def test_features_once_an_evaluation(small_clip):
    """They are kept in evaluation, and never outlive what they came from."""
    model = MODELS.build(
        dict(
            type='mmcoop.CoOp',
            clip=small_clip,
            head=dict(
                type='mmcoop.PromptLearnerHead',
                prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))))
    model.set_classes(NAMES)
    head, calls = model.head, []
    head.text_tower.register_forward_hook(lambda *_: calls.append(1))
    model.eval()
    with torch.no_grad():
        first = head.text_features()
        assert head.text_features() is first and len(calls) == 1
        head.prompt.ctx.add_(1.)
        assert not torch.equal(head.text_features(), first)
        state = model.state_dict()
        state['head.prompt.ctx'] = state['head.prompt.ctx'] - 1.
        model.load_state_dict(state)
        torch.testing.assert_close(head.text_features(), first)
        head.set_classes(NAMES[:3])
        assert len(head.text_features()) == 3
        model.train().eval()
        before = len(calls)
        head.text_features()
        assert len(calls) == before + 1
    # with gradients wanted nothing is kept
    assert head.text_features().requires_grad
