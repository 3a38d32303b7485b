"""Any prompts: the text engine equals the plain path, gradients included."""
from typing import Callable, List

import open_clip
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from mmpretrain.registry import MODELS

from mmcoop.clip import PromptSet, TextDivider, TextTower
from mmcoop.clip.plain import encode_plain
from mmcoop.clip.prompt_set import EndingLayout
from mmcoop.clip.text_engine import encode_packed
from mmcoop.clip.tokenizer import Tokenizer

from ..clip.test_other_towers import WordTokenizer
from ..clip.test_tokenizer import WORDS
from ..conftest import small_clip_config
from .examples import NIGHTLY, examples

EXACT = dict(rtol=1e-9, atol=1e-11)
NAMES = ['kite (bird of prey)', 'T-shirt', 'water_lilly', 'dog', 'Ω', '😀 x',
         "jack-o'-lantern", 'Annual Crop Land', 'ice cream', 'naïve', '3']
compared = dict(prompts=0)


def make_tower(tokenizer, config: dict, kind=open_clip.CLIP,
               **options) -> TextTower:
    torch.manual_seed(0)
    model = kind(**config, **options)
    with torch.no_grad():  # make prompts matter to the features
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(2)
    return TextTower(model, tokenizer, 'small').double()


@pytest.fixture(scope='module')
def towers() -> List[TextTower]:
    """CLIP's; with QuickGELU and LayerScale; with words for tokens."""
    bpe = Tokenizer(open_clip.tokenizer.SimpleTokenizer())
    words = small_clip_config(pool_type='eos', eos_id=2)
    words['text_cfg'].update(vocab_size=16, context_length=30)
    return [
        make_tower(bpe, small_clip_config()),
        make_tower(bpe, small_clip_config(ls_init_value=0.5),
                   quick_gelu=True),
        make_tower(WordTokenizer(begin=[0], end=[2]), words,
                   open_clip.CustomTextCLIP)]


def names(tower: TextTower) -> st.SearchStrategy:
    """Lists of class names, with repeated and shared words."""
    if isinstance(tower.tokenizer, WordTokenizer):
        one = st.lists(st.sampled_from([w for w in WORDS if w.isalpha()]),
                       min_size=1, max_size=6).map(' '.join)
    else:
        letters = st.characters(exclude_categories=['Cs', 'Cc'])
        one = st.lists(st.sampled_from(NAMES) | st.text(
            letters, min_size=1, max_size=9), min_size=1, max_size=4
        ).map(' '.join)
    return st.lists(one, min_size=1, max_size=9)


def prompt_configs(tower: TextTower) -> st.SearchStrategy:
    words = 'a photo of a' if 'of' in WORDS or not isinstance(
        tower.tokenizer, WordTokenizer) else 'a photo'
    n_ctx = st.integers(1, 12)
    context = st.fixed_dictionaries(dict(
        type=st.sampled_from(['mmcoop.ContextPrompt',
                              'mmcoop.TransportPrompt']),
        n_ctx=n_ctx, class_specific=st.booleans(),
        class_token_position=st.sampled_from(['end', 'middle', 'front']),
        n_prompts=st.integers(1, 3), ctx_init=st.sampled_from([None, words])))
    conditional = st.fixed_dictionaries(dict(
        type=st.just('mmcoop.ConditionalContextPrompt'), n_ctx=n_ctx,
        ctx_init=st.sampled_from([None, words])))
    deep = st.fixed_dictionaries(dict(
        type=st.just('mmcoop.MultiModalPrompt'), n_ctx=st.integers(1, 2),
        depth=st.integers(1, 3), ctx_init=st.sampled_from([None, words])))
    templates = st.fixed_dictionaries(dict(
        type=st.just('mmcoop.TemplatePrompt'),
        templates=st.lists(st.sampled_from([
            '{}', 'a {}', 'a photo of a {}.', 'a photo {}', '{}.']),
            min_size=1, max_size=3, unique=True)))
    return st.one_of(context, conditional, deep, templates)


def gradients(encode: Callable[[PromptSet], torch.Tensor],
              sets: List[PromptSet], learned: List[torch.Tensor]) -> list:
    features = torch.cat([encode(one) for one in sets])
    weights = torch.linspace(-1, 1, features.numel()).view_as(features)
    loss = (F.normalize(features, dim=-1) * weights).sum()
    grads = torch.autograd.grad(loss, learned, allow_unused=True,
                                retain_graph=True) if learned else ()
    return [features.detach(), *grads]


def check(tower: TextTower, sets: List[PromptSet],
          learned: List[torch.Tensor], memory: float) -> None:
    """Whole, in chunks and without gradients against the plain path."""
    plain = gradients(lambda p: encode_plain(tower, p), sets, learned)
    packed = gradients(lambda p: encode_packed(tower, p), sets, learned)
    divider = TextDivider(memory)
    chunks = gradients(lambda p: divider.encode(tower, p), sets, learned)
    with torch.no_grad():
        still = torch.cat([TextDivider().encode(tower, p) for p in sets])
    assert plain[0].abs().max() > 0
    for ours in (packed, chunks):
        assert len(ours) == len(plain)
        for one, other in zip(ours, plain):
            assert (one is None) == (other is None)
            if other is not None:
                torch.testing.assert_close(one, other, **EXACT)
    torch.testing.assert_close(still, plain[0], **EXACT)
    compared['prompts'] += plain[0].shape[:2].numel()


def check_count(before: int, ci: int, nightly: int) -> None:
    count = compared['prompts'] - before
    print(f'\n{count} prompts compared with the plain path')
    assert count >= (nightly if NIGHTLY else ci)


def test_prompts_of_class_names(towers):
    before = compared['prompts']

    @examples(14, 900)
    @given(st.data())
    def run(data):
        tower = data.draw(st.sampled_from(towers))
        class_names = data.draw(names(tower))
        torch.manual_seed(data.draw(st.integers(0, 99)))
        prompt = MODELS.build(data.draw(prompt_configs(tower)))
        try:
            prompt.setup(tower)
            prompt.set_classes(class_names, tower)
        except ValueError:  # too long, or nothing left of a name
            assume(False)
        prompt.double()
        images = torch.randn(data.draw(st.integers(1, 3)), tower.out_channels
                             ).double()
        sets = prompt(tower, images) if prompt.sees_images else prompt(tower)
        check(tower, sets, list(prompt.parameters()),
              data.draw(st.floats(1e-5, 1e-2)))

    run()
    check_count(before, 100, 5000)


def test_any_prompt_sets(towers):
    """Beginnings of several images with deep prompts, and any endings."""
    before = compared['prompts']

    @examples(12, 600)
    @given(st.data())
    def run(data):
        tower = data.draw(st.sampled_from(towers))
        P, a = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
        room = tower.context_length - a
        # few words: many endings begin alike
        ids = data.draw(st.lists(st.lists(
            st.integers(3, 6), min_size=1, max_size=room),
            min_size=1, max_size=12))
        torch.manual_seed(data.draw(st.integers(0, 99)))
        table = torch.randn(7, tower.width).double().requires_grad_()
        prefix = torch.randn(P, a, tower.width).double().requires_grad_()
        learned, deep, start = [prefix, table], None, 1
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, a - 1))
            deep = torch.randn(
                data.draw(st.integers(1, 2)), P,
                data.draw(st.integers(1, a - start)), tower.width
            ).double().requires_grad_()
            learned.append(deep)
        layout = EndingLayout([len(row) for row in ids], data.draw(
            st.sampled_from([ids, None])))
        prompts = PromptSet(prefix, table[sum(ids, [])], layout, deep, start)
        check(tower, [prompts], learned, data.draw(st.floats(1e-5, 1e-2)))

    run()
    check_count(before, 100, 5000)
