"""MaPLe, IVLP and VPT beside what is known: limits, gradients, mistakes."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmcoop.clip.plain import encode_plain
from mmcoop.prompts import multimodal

from .test_seams import NAMES, build, samples


def prompt(**options):
    return dict(dict(type='mmcoop.MultiModalPrompt', depth=3), **options)


def class_features(clip, **options):
    model = build(clip, dict(options))
    return model.head.text_features(), model


WRITTEN = dict(type='mmcoop.TemplatePrompt', templates='a photo of a {}.')


@pytest.mark.parametrize('options', [
    dict(depth=1), dict(depth=1, n_ctx=4, coupled=False),
    dict(n_ctx=0, coupled=False, n_visual=2, visual_depth=1)])
def test_it_starts_as_the_hand_written_prompt(deep_clip, options):
    """The learned words and the kept ones; VPT's always."""
    ours, _ = class_features(deep_clip, **prompt(**options))
    written, _ = class_features(deep_clip, **WRITTEN)
    torch.testing.assert_close(ours, written, rtol=1e-5, atol=1e-6)


def test_all_words_learned_is_coop(deep_clip):
    """One text layer, four vectors: the context of CoOp and KgCoOp."""
    ours, model = class_features(deep_clip, **prompt(
        depth=1, n_ctx=4, coupled=False))
    coop = build(deep_clip, dict(type='mmcoop.ContextPrompt', n_ctx=4))
    moved = torch.randn_like(model.head.prompt.ctx)
    for head in (model.head, coop.head):
        head.prompt.ctx.data.copy_(moved)
    torch.testing.assert_close(model.head.text_features(),
                               coop.head.text_features())


def test_maple_is_ivlp_with_the_projected_prompts(deep_clip):
    maple = build(deep_clip, prompt())
    ivlp = build(deep_clip, prompt(coupled=False))
    theirs, ours = maple.head.prompt, ivlp.head.prompt
    ours.ctx.data.copy_(theirs.ctx)
    ours.deep_ctx.data.copy_(theirs.deep_ctx)
    ours.visual_ctx.data.copy_(theirs.visual_prompts())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(maple(images), ivlp(images))
    assert theirs.visual_prompts().shape == (3, 2, 64)
    # the deep Linears start as copies of one
    first, second, third = (p.weight for p in theirs.projections)
    assert torch.equal(second, third) and not torch.equal(first, second)


def test_prompts_are_rounded_to_half(deep_clip):
    model = build(deep_clip, prompt())
    text, = model.head.prompt(model.head.text_tower)
    for values in (text.deep, model.visual_prompts()):
        assert torch.equal(values, values.half().float())
    assert not torch.equal(model.head.prompt.deep_ctx,
                           model.head.prompt.deep_ctx.half().float())


@pytest.mark.parametrize('coupled', [True, False])
def test_gradients_by_finite_differences(deep_clip, monkeypatch, coupled):
    monkeypatch.setattr(multimodal, 'round_to_half', lambda x: x)
    torch.manual_seed(0)
    model = build(deep_clip, prompt(coupled=coupled), NAMES[:2]).double()
    model.train()
    learned = dict(model.head.prompt.named_parameters())
    tower = model.head.text_tower
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)

    def loss():
        feats = model.extract_feat(images)
        text = tower(model.head.prompt(tower)[0])[0]
        image, text = (F.normalize(x, dim=-1) for x in (feats[-1], text))
        return (image @ text.mT).square().mean()

    gradients = torch.autograd.grad(loss(), list(learned.values()))
    for (name, p), gradient in zip(learned.items(), gradients):
        direction = gradient / gradient.norm()
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                p += step * direction
                values.append(loss())
                p -= step * direction
        slope = (values[0] - values[1]) / 2e-5
        assert slope.item() == pytest.approx(gradient.norm().item(),
                                             rel=1e-5), name


@pytest.mark.parametrize('options', [dict(), dict(coupled=False)])
def test_equals_the_plain_path(deep_clip, monkeypatch, options):
    torch.manual_seed(0)
    model = build(deep_clip, prompt(**options)).double().train()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)

    def gradients():
        loss = model.loss(images, samples(0, 1, 4))['loss']
        return loss, *torch.autograd.grad(
            loss, list(model.head.prompt.parameters()))

    fast = gradients()
    monkeypatch.setattr(type(model.head.text_tower), 'forward', encode_plain)
    for ours, theirs in zip(fast, gradients()):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('options,message', [
    (dict(n_visual=2), 'set coupled=False'),
    (dict(n_ctx=0), 'n_ctx=0: a whole number of at least 1'),
    (dict(depth=0), 'depth=0: a whole number of at least 1'),
    (dict(n_ctx=0, coupled=False, ctx_init=None, n_visual=1),
     'give the words'),
    (dict(n_ctx=9), "'a photo of a' is 4 tokens, and n_ctx=9"),
])
def test_mistakes(deep_clip, options, message):
    with pytest.raises(ValueError, match=message):
        build(deep_clip, prompt(**options))


@pytest.mark.parametrize('settings,name,message', [
    (prompt(), 'RN50', 'image tower of this CLIP is a ModifiedResNet'),
    (prompt(depth=13), 'ViT-B-16', 'prompts in 13 layers, but the image'),
    (prompt(depth=13, coupled=False, n_visual=2, visual_depth=9), 'ViT-B-16',
     'text prompts in 13 layers, but the text tower has 12'),
    (dict(type='mmcoop.TransportPrompt'), 'MobileCLIP-S1',
     'local image features are those of a Vision'),
    (dict(type='mmcoop.ConditionalContextPrompt', class_specific=True),
     'ViT-B-16', 'has class_specific=False, not True'),
    (dict(type='mmcoop.ConditionalContextPrompt',
          class_token_position='middle'), 'ViT-B-16',
     "has class_token_position='end', not 'middle'"),
    (dict(type='mmcoop.ConditionalContextPrompt', n_prompts=2), 'ViT-B-16',
     'has n_prompts=1, not 2'),
])
def test_bad_combinations_show_before_weights_are_loaded(settings, name,
                                                         message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(
            type='mmcoop.CoOp',  # there are no such weights here
            clip=dict(model_name=name, pretrained='/nowhere/weights.pt'),
            head=dict(type='mmcoop.PromptLearnerHead', prompt=settings)))
