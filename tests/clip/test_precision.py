"""Towers in half precision; what is learned and the logits in fp32."""
import pytest
import torch
from mmpretrain.registry import MODELS
from open_clip.transformer import QuickGELU

from mmcoop.clip import CLIPLoadError, load_clip
from mmcoop.clip.divide import saved_bytes
from mmcoop.clip.image_tower import InPlaceQuickGELU
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.text_engine import encode_packed

NAMES = ['red fox', 'snow', 'grass']


def gradient(clip):
    """Logits and the context's gradient of a fixed batch."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='mmcoop.CoOp', clip=clip, head=dict(
            type='mmcoop.PromptLearnerHead',
            prompt=dict(type='mmcoop.ContextPrompt', n_ctx=4))))
    model.set_classes(NAMES)
    images = torch.randn(6, 3, 32, 32, generator=torch.manual_seed(1))
    logits = model.head(model.backbone(images))
    ctx = model.head.prompt.ctx
    grad, = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2] * 2)),
        ctx)
    assert logits.dtype == ctx.dtype == grad.dtype == torch.float32
    return logits.detach(), grad, model.head.text_tower.fingerprint()


@pytest.mark.parametrize('precision, logits_error, grad_error',
                         [('bf16', .05, .15), ('fp16', .01, .03)])
def test_half(small_clip, precision, logits_error, grad_error):
    exact = gradient(dict(small_clip))
    half = gradient(dict(small_clip, precision=precision))
    for ours, truth, limit in zip(half, exact, (logits_error, grad_error)):
        error = (ours - truth).norm() / truth.norm()
        assert 0 < error < limit
    # a context serves the tower in any precision
    assert half[2] == exact[2]


def test_unknown_precision(small_clip):
    with pytest.raises(CLIPLoadError, match="precision='int8'.*fp32, bf16"):
        load_clip(**small_clip, precision='int8')


def test_image_tower_is_the_same_function(vit_file):
    """QuickGELU in place and another memory layout change nothing."""
    tower = load_clip(pretrained=vit_file, quick_gelu=True).image_tower
    assert any(isinstance(m, InPlaceQuickGELU) for m in tower.modules())
    size = tower.image_size
    images = torch.randn(2, 3, size, size, requires_grad=True)
    expected, = tower(images)  # with gradients: open_clip's own formula
    with torch.no_grad():
        torch.testing.assert_close(tower(images)[0], expected)
        x = torch.randn(50)
        assert torch.equal(InPlaceQuickGELU()(x), QuickGELU()(x))
    grad, = torch.autograd.grad(expected.sum(), images)
    assert grad.abs().max() > 0


def test_quick_gelu_in_the_engine(vit_file):
    """The engine writes QuickGELU as a SiLU: still open_clip's features."""
    tower = load_clip(pretrained=vit_file, quick_gelu=True).text_tower
    tower.double()
    assert isinstance(tower.transformer.resblocks[0].mlp.gelu, QuickGELU)
    prompt = MODELS.build(dict(type='mmcoop.ContextPrompt', n_ctx=4))
    prompt.setup(tower)
    prompt.set_classes(NAMES, tower)
    prompt.double()
    results = []
    for encode in (encode_packed, encode_plain):
        out = encode(tower, prompt(tower)[0])
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        grad, = torch.autograd.grad((out * weights).sum(), prompt.ctx)
        results.append((out, grad))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_engine_saves_a_fraction(small_clip):
    """What backward keeps: a tenth of the plain path's at most."""
    tower = load_clip(**small_clip).text_tower
    prompt = MODELS.build(dict(type='mmcoop.ContextPrompt', n_ctx=16))
    prompt.setup(tower)
    prompt.set_classes(
        [f'{word} {other}' for word in ('red', 'blue', 'green', 'old')
         for other in ('fox', 'sea', 'house', 'dog', 'sky', 'tree')], tower)
    packed, plain = (saved_bytes(lambda: e(tower, prompt(tower)[0]), tower)
                     for e in (encode_packed, encode_plain))
    assert packed < plain / 10
