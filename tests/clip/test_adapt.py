"""What is learned inside a tower: its functions, gradients and limits."""
import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmcoop.clip import LayerNorms, LoRA, TextDivider, load_clip

NAMES = ['kite (bird of prey)', 'T-shirt', 'dog', "jack-o'-lantern", 'sea']
KINDS = [partial(LoRA, dropout=0.), LayerNorms]


def make(kind, tower, seed=0):
    """An adapter in double precision that changes the tower."""
    torch.manual_seed(seed)
    adapter = kind()
    adapter.setup(tower)
    adapter.double()
    with torch.no_grad():
        for p in adapter.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return adapter


@pytest.fixture
def clip(small_clip):
    clip = load_clip(**small_clip)
    clip.image_tower.double(), clip.text_tower.double()
    return clip


@pytest.fixture
def prompts(clip):
    prompt = MODELS.build(dict(type='mmcoop.TemplatePrompt'))
    prompt.set_classes(NAMES, clip.text_tower)
    return prompt(clip.text_tower)[0]


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32, dtype=torch.float64,
                       generator=torch.Generator().manual_seed(0))


def results(adapter, call):
    """Features, and gradients of all parameters."""
    features = call()
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    loss = (F.normalize(features, dim=-1) * weights).sum()
    return features, *torch.autograd.grad(loss, adapter.parameters())


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('kind', [LoRA, LayerNorms])
def test_starts_as_the_frozen_tower(small_clip, kind):
    """Bit by bit in evaluation; the parameters have a gradient."""
    clip = load_clip(**small_clip)
    prompt = MODELS.build(dict(type='mmcoop.TemplatePrompt'))
    prompt.set_classes(NAMES, clip.text_tower)
    for tower, given in ((clip.image_tower, torch.randn(2, 3, 32, 32)),
                         (clip.text_tower, prompt(clip.text_tower)[0])):
        adapter = kind()
        adapter.setup(tower)

        def call():
            features = adapter.run(tower, given)
            return features[0] if tower is clip.image_tower else features

        with torch.no_grad():
            frozen = tower(given)
            frozen = frozen[0] if tower is clip.image_tower else frozen
            adapter.eval()
            assert torch.equal(call(), frozen)
        adapter.train()
        torch.testing.assert_close(call(), frozen, rtol=1e-4, atol=1e-5)
        learned = adapter.B if kind is LoRA else \
            next(iter(adapter.copies.values()))
        assert torch.autograd.grad(call().sum(), learned)[0].abs().max() > 0


def test_numbers_that_are_learned(clip):
    for tower, layers in ((clip.image_tower, 1), (clip.text_tower, 3)):
        lora, norms = LoRA(rank=3), LayerNorms()
        for adapter in (lora, norms):
            adapter.setup(tower)
        W = 64
        count = [sum(p.numel() for p in adapter.parameters())
                 for adapter in (lora, norms)]
        # two norms a layer, and ln_final, or ln_pre and ln_post
        more = 2 if tower is clip.image_tower else 1
        assert count == [layers * 3 * 2 * 3 * W, (2 * layers + more) * 2 * W]
        # Kaiming-uniform as of nn.Linear: within +-1 / sqrt(W)
        assert 0.9 < lora.A.abs().max() * W**0.5 <= 1
        assert not lora.B.any()


def test_merged_weights(clip):
    """weight + alpha / sqrt(r) B A, of q, k and v in this order."""
    tower = clip.text_tower
    lora = make(partial(LoRA, rank=4, alpha=3.), tower)
    merged = lora.weights(tower)
    assert len(merged) == 3
    for layer in range(3):
        name = f'transformer.resblocks.{layer}.attn.in_proj_weight'
        change = merged[name] - tower.get_parameter(name)
        for i, part in enumerate(change.split(64)):
            torch.testing.assert_close(
                part, 3 / 2 * lora.B[layer, i] @ lora.A[layer, i])


def test_merged_equals_unmerged(clip, prompts, images):
    """Training without dropout and evaluation are the same function."""
    for tower, given in ((clip.image_tower, images),
                         (clip.text_tower, prompts)):
        lora = make(KINDS[0], tower)

        def call():
            features = lora.run(tower, given)
            return features[0] if tower is clip.image_tower else features

        assert lora.training and lora.additions()
        unmerged = results(lora, call)
        lora.eval()
        assert_same(results(lora, call), unmerged)


@pytest.mark.parametrize('kind', KINDS, ids=['lora', 'norms'])
@pytest.mark.parametrize('training', [True, False])
def test_engine_equals_plain_path(clip, prompts, kind, training):
    tower, found = clip.text_tower, []
    adapter = make(kind, tower).train(training)
    for packable in (True, False):
        tower.packable = packable
        found.append(results(adapter, lambda: adapter.run(tower, prompts)))
    assert_same(*found)


@pytest.mark.parametrize('kind', KINDS, ids=['lora', 'norms'])
def test_finite_differences(clip, prompts, images, kind):
    for tower, given in ((clip.image_tower, images),
                         (clip.text_tower, prompts)):
        adapter = make(kind, tower)
        check_gradient(adapter, lambda: (adapter.run(tower, given)[0]))


def check_gradient(adapter, call, step=1e-5):
    """The derivative along a random direction of all parameters."""
    learned = list(adapter.parameters())
    directions = [torch.randn_like(p) for p in learned]
    gradients = results(adapter, call)[1:]
    expected = sum((g * d).sum() for g, d in zip(gradients, directions))
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(learned, directions):
                p.add_(sign * step * d)
            features = call()
            weights = torch.linspace(-1, 1, features.numel()).view_as(features)
            values.append((F.normalize(features, dim=-1) * weights).sum())
            for p, d in zip(learned, directions):
                p.sub_(sign * step * d)
    slope = (values[0] - values[1]) / (2 * step)
    assert slope.abs() > 1e-6
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-9)


def test_dropout(clip, prompts):
    """A mask of its own for each of q, k and v; none in evaluation."""
    lora = make(LoRA, clip.text_tower)
    x = torch.ones(20_000, 64, dtype=torch.float64)
    branch = partial(lora._branch, lora.A[0], lora.B[0])
    q, k, v = branch(x).split(64, dim=1)
    expected = lora.scale * torch.cat([
        x[:1] @ a.T @ b.T for a, b in zip(lora.A[0], lora.B[0])], 1)
    mean = torch.cat([q, k, v], 1).mean(0, keepdim=True)
    assert (mean - expected).abs().max() < 0.03 * expected.abs().max()
    correlations = torch.corrcoef(torch.stack([q[:, 0], k[:, 0], v[:, 0]]))
    assert (correlations - torch.eye(3)).abs().max() < 0.05

    def call():
        return lora.run(clip.text_tower, prompts)

    with torch.no_grad():
        assert not torch.equal(call(), call())
        lora.eval()
        assert torch.equal(call(), call())
        lora.train()
        lora.learning = False  # the adapted tower is frozen
        assert torch.equal(call(), call())


@pytest.mark.parametrize('kind', [LoRA, LayerNorms])
def test_chunks_of_classes(clip, kind):
    """What is computed again has the dropout masks that it had before."""
    tower = clip.text_tower
    prompt = MODELS.build(dict(type='mmcoop.TemplatePrompt'))
    prompt.set_classes([f'kite number {i}' for i in range(60)], tower)
    prompts, adapter = prompt(tower)[0], make(kind, tower)
    divider = TextDivider(1e-3)
    assert divider._number_of_chunks(tower, prompts, adapter) >= 3

    def call():
        torch.manual_seed(1)
        with torch.enable_grad():  # divided as in training
            return divider.encode(tower, prompts, False, adapter)

    check_gradient(adapter, call)
    if kind is LayerNorms:
        assert_same(results(adapter, call), results(
            adapter, lambda: adapter.run(tower, prompts)))


def test_measuring_memory_draws_no_random_numbers(clip, prompts):
    states = []
    for memory in (None, 1.):
        torch.manual_seed(0)
        TextDivider(memory).encode(
            clip.text_tower, prompts, False, make(LoRA, clip.text_tower))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize('kind', [LoRA, LayerNorms])
def test_the_tower_stays_as_it_was(clip, images, kind):
    """Others in the process see the tower as it was loaded."""
    tower = clip.image_tower
    before = copy.deepcopy(dict(tower.named_parameters()))
    attn = tower.visual.transformer.resblocks[0].attn
    with torch.no_grad():
        frozen, = tower(images)
        adapter = make(kind, tower)
        adapted, = adapter.run(tower, images)
        assert (adapted - frozen).abs().max() > 1e-3
        assert torch.equal(tower(images)[0], frozen)
    with pytest.raises(ValueError, match='pixels'):
        adapter.run(tower, images[..., :16])
    for name, p in tower.named_parameters():
        assert type(p) is torch.nn.Parameter and not p.requires_grad
        assert torch.equal(p, before[name])
    assert 'forward' not in vars(attn) and not hasattr(attn, 'added')


def test_without_gradients_once_it_is_frozen(clip, prompts):
    adapter = make(LayerNorms, clip.text_tower)
    features = adapter.run(clip.text_tower, prompts)
    adapter.learning = False
    frozen = adapter.run(clip.text_tower, prompts)
    assert torch.equal(frozen, features.detach())
    assert features.requires_grad and not frozen.requires_grad


def test_half_precision(small_clip):
    clip = load_clip(**small_clip, precision='bf16')
    with pytest.raises(ValueError, match="model.clip.precision='fp32'"):
        LoRA().setup(clip.text_tower)


def test_autocast(small_clip):
    """--amp: products in bf16, parameters and their gradients in fp32."""
    tower = load_clip(**small_clip).image_tower
    images = torch.randn(2, 3, 32, 32)
    for kind in (LoRA, LayerNorms):
        adapter = kind()
        adapter.setup(tower)
        with torch.autocast('cpu', torch.bfloat16):
            features, = adapter.run(tower, images)
        assert features.dtype == torch.bfloat16
        features.float().square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all()
                   for p in adapter.parameters())


@pytest.mark.parametrize('options', [dict(rank=0), dict(rank=1.5),
                                     dict(dropout=1.)])
def test_numbers_out_of_range(options):
    with pytest.raises(ValueError, match='LoRA: rank='):
        LoRA(**options)
