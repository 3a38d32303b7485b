"""PLOT: the transport plan, its limits, local features of both towers."""
import pytest
import torch
import torch.nn.functional as F

from mmcoop.clip import load_clip
from mmcoop.prompts import TransportPrompt
from mmcoop.prompts.transport import sinkhorn

from .test_seams import build, samples

PROMPT = dict(type='mmcoop.TransportPrompt', n_ctx=4, n_prompts=3)


def features(*shape):
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_marginals_of_the_plan():
    torch.manual_seed(0)
    cost = torch.rand(5, 7, 49, 4, dtype=torch.float64)
    plan = sinkhorn(cost, 0.1, 1000, 1e-9)
    torch.testing.assert_close(plan.sum(-1), torch.full_like(
        plan[..., 0], 1 / 49), rtol=1e-5, atol=0)
    torch.testing.assert_close(plan.sum(-2), torch.full_like(
        plan[..., 0, :], 1 / 4))
    # without the tolerance of the published code the plan is optimal: no
    # exchange between two rows and columns lowers cost - epsilon * entropy
    gain = cost + 0.1 * plan.log()
    exchange = gain[..., 1:, 1:] + gain[..., :1, :1] \
        - gain[..., 1:, :1] - gain[..., :1, 1:]
    assert exchange.abs().max() < 1e-5


def test_the_published_tolerance_stops_early():
    cost = torch.rand(2, 3, 49, 4, generator=torch.Generator().manual_seed(0))
    early, late = sinkhorn(cost, 0.1, 100, 1e-2), sinkhorn(cost, 0.1, 100, 0)
    assert 0 < (early - late).abs().max() < 5e-3
    assert torch.equal(early, sinkhorn(cost, 0.1, 10**6, 1e-2))


def test_limits():
    prompt = TransportPrompt(n_prompts=2)
    image, patches = features(3, 16), features(3, 5, 16)
    text = features(1, 4, 16)
    # one prompt: the mean of its cosines with the patches
    torch.testing.assert_close(
        prompt.compare(image, text, patches),
        torch.einsum('bme,ke->bk', patches, text[0]) / 5)
    # one patch: the mean of its cosines with the prompts
    text = features(2, 4, 16)
    torch.testing.assert_close(
        prompt.compare(image, text, patches[:, :1]),
        torch.einsum('be,nke->bk', patches[:, 0], text) / 2)
    # equal prompts: as one
    torch.testing.assert_close(
        prompt.compare(image, text[:1].expand(2, -1, -1), patches),
        prompt.compare(image, text[:1], patches))


def test_the_plan_has_no_gradient():
    prompt = TransportPrompt(n_prompts=2)
    patches = features(3, 5, 16)
    text = features(2, 4, 16).requires_grad_()
    prompt.compare(None, text, patches).sum().backward()
    cosines = torch.einsum('bme,nke->bkmn', patches, text.detach())
    plan = sinkhorn(1 - cosines, 0.1, 100, 1e-2)
    torch.testing.assert_close(
        text.grad, torch.einsum('bkmn,bme->nke', plan, patches))


@pytest.mark.parametrize('tower', ['vit_file', 'rn_file'])
def test_local_features(request, tower):
    """After the pooled feature, which is the tower's own."""
    clip = load_clip(pretrained=request.getfixturevalue(tower))
    images = torch.randn(2, 3, 64, 64)
    pooled, = clip.image_tower(images)
    local, = clip.image_tower(images, patches=True)
    assert local.shape[0] == 2 and local.shape[2] == pooled.shape[1]
    assert local.shape[1] == 1 + {'vit_file': 16, 'rn_file': 4}[tower]
    torch.testing.assert_close(local[:, 0], pooled, rtol=1e-4, atol=1e-5)


def test_a_local_feature_is_of_its_patch(vit_file):
    """The same as the last layer's token, normalised and projected."""
    clip = load_clip(pretrained=vit_file)
    images, tokens = torch.randn(1, 3, 64, 64), []
    visual = clip.image_tower.visual
    handle = visual.transformer.register_forward_hook(
        lambda module, args, output: tokens.append(output))
    visual(images)
    handle.remove()
    expected = visual.ln_post(tokens[0]) @ visual.proj
    torch.testing.assert_close(
        clip.image_tower(images, patches=True)[0], expected, rtol=1e-4,
        atol=1e-5)


def test_a_training_step(small_clip):
    model = build(small_clip, PROMPT).train()
    images = torch.randn(2, 3, 32, 32)
    model.loss(images, samples(0, 4))['loss'].backward()
    assert model.head.prompt.ctx.grad.shape == (3, 4, 64)
    assert (model.head.prompt.ctx.grad.flatten(1).norm(dim=1) > 0).all()
    assert model(images).shape == (2, 5)
