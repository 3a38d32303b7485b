"""Deep and visual prompts: the engine is exact."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS

from mmcoop.clip import PromptSet, TextDivider, load_clip
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.text_engine import encode_packed

NAMES = ['kite (bird of prey)', 'T-shirt', 'dog', "jack-o'-lantern", 'sea']


@pytest.fixture
def tower(small_clip):
    return load_clip(**small_clip).text_tower.double()


def make_set(tower, P=1, layers=0, m=2, start=1):
    """Learned beginnings (P, 5, D), deep prompts in ``layers`` layers."""
    torch.manual_seed(0)
    prompt = MODELS.build(dict(type='mmcoop.ContextPrompt', n_ctx=4))
    prompt.setup(tower)
    prompt.set_classes(NAMES, tower)
    one, = prompt.double()(tower)
    shift = 0.1 * torch.randn(P, *one.prefix.shape[1:]).double()
    prefix = (one.prefix + shift).detach().requires_grad_()
    deep = torch.randn(layers, P, m, tower.width).double().requires_grad_()
    return PromptSet(prefix, one.endings.detach(), one.layout,
                     deep if layers else None, start)


def gradients(encode, prompts):
    features = encode(prompts)
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    learned = [prompts.prefix] + [prompts.deep] * (prompts.deep is not None)
    loss = (F.normalize(features, dim=-1) * weights).sum()
    return (features.detach(), *torch.autograd.grad(loss, learned))


@pytest.mark.parametrize('P', [1, 3])
@pytest.mark.parametrize('layers,m,start', [
    (0, 2, 1), (1, 2, 1), (2, 2, 1), (2, 4, 1), (2, 1, 3)])
def test_engine_equals_plain_path(tower, P, layers, m, start):
    """Deep prompts up to the last layer, of one beginning or several."""
    prompts = make_set(tower, P, layers, m, start)
    packed = gradients(lambda p: encode_packed(tower, p), prompts)
    plain = gradients(lambda p: encode_plain(tower, p), prompts)
    for ours, theirs in zip(packed, plain):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_every_layer_learns(tower):
    prompts = make_set(tower, layers=2, m=4)
    _, prefix, deep = gradients(lambda p: encode_packed(tower, p), prompts)
    assert (deep.abs().amax((1, 2, 3)) > 0).all()
    assert (prefix.abs().amax((0, 2)) > 0).all()


@pytest.mark.parametrize('P', [1, 4])
def test_chunks(tower, P):
    """Beginnings and classes in chunks give the same, in less memory."""
    prompts = make_set(tower, P, layers=2)
    results, divided = [], []
    for memory in (None, 2e-4):
        divider = TextDivider(memory)
        results.append(gradients(
            lambda p, d=divider: d.encode(tower, p), prompts))
        divided.append(divider._number_of_chunks(tower, prompts))
    assert divided[0] == 1 and divided[1] > P
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_split_prefixes(tower):
    parts = make_set(tower, 5, layers=2).split_prefixes(2)
    assert [part.prefix.shape[0] for part in parts] == [3, 2]
    assert [part.deep.shape[:2] for part in parts] == [(2, 3), (2, 2)]


class TestVisualPrompts:

    @pytest.fixture
    def image_tower(self, small_clip):
        return load_clip(**small_clip).image_tower.double()

    def test_gradients(self, image_tower):
        """Against finite differences, at the input and in deeper layers."""
        torch.manual_seed(0)
        images = torch.randn(2, 3, 32, 32).double()
        prompts = torch.randn(1, 2, image_tower.width).double()
        weights = torch.randn(2, 32).double()

        def loss(prompts):
            return (image_tower(images, prompts)[0] * weights).sum()

        assert torch.autograd.gradcheck(loss, prompts.requires_grad_())

    def test_none_is_the_plain_tower(self, image_tower):
        images = torch.randn(2, 3, 32, 32).double()
        empty = torch.zeros(1, 0, image_tower.width).double()
        torch.testing.assert_close(image_tower(images, empty)[0],
                                   image_tower(images)[0])

    def test_too_deep(self, image_tower):
        with pytest.raises(ValueError, match='in 2 layers.*tower has 1'):
            image_tower(torch.zeros(1, 3, 32, 32),
                        torch.zeros(2, 1, 64))

    def test_other_towers_refuse(self, rn_file):
        tower = load_clip(pretrained=rn_file).image_tower
        with pytest.raises(ValueError, match='is a ModifiedResNet: take a '
                           'ViT'):
            tower(torch.zeros(1, 3, 64, 64), torch.zeros(1, 2, 8))
