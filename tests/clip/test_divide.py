"""Chunks of classes: the same function within a memory budget."""
from dataclasses import replace

import pytest
import torch
from mmpretrain.registry import MODELS

from mmcoop.clip import EndingLayout, TextDivider, divide, load_clip
from mmcoop.clip.divide import GIB, saved_bytes
from mmcoop.prompts import ContextPrompt

NAMES = [f'{word} number {i}' if i % 3 else word for i in range(100)
         for word in ('kite', 'steam engine', 'sea', "jack-o'-lantern")]


@pytest.fixture
def tower(small_clip):
    return load_clip(**small_clip).text_tower.double()


@pytest.mark.parametrize('class_specific', [False, True])
def test_chunks(tower, class_specific):
    torch.manual_seed(0)
    prompt = MODELS.build(
        dict(type='mmcoop.ContextPrompt', n_ctx=4,
             class_specific=class_specific))
    prompt.setup(tower)
    prompt.set_classes(NAMES, tower)
    prompt.double()
    results, saved = [], []
    for memory in (None, 2e-3):
        divider = TextDivider(memory)

        def features():
            return divider.encode(tower, prompt(tower)[0])

        weights = torch.linspace(-1, 1, 400)[:, None]
        out = features()
        grad, = torch.autograd.grad((out * weights).sum(), prompt.ctx)
        results.append((out.detach(), grad))
        saved.append(saved_bytes(features, tower))
        with torch.no_grad():
            torch.testing.assert_close(features(), out.detach())
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    n = divider._number_of_chunks(tower, prompt(tower)[0])
    assert n >= 4
    # what stays between forward and backward is the chunks' inputs
    assert saved[1] < saved[0] / n
    # and one chunk is within the budget, but for its rounding
    first = prompt(tower)[0]
    chunk = first.select_classes(first.layout.split(n)[0])
    assert saved_bytes(lambda: tower(chunk), tower) < 1.3 * 2e-3 * GIB


def test_saved_bytes(tower):
    """A product with a frozen weight keeps nothing, an exp its result."""
    linear = torch.nn.Linear(8, 8)
    x = torch.zeros(4, 8, requires_grad=True)
    assert saved_bytes(lambda: linear.requires_grad_(False)(x), linear) == 0
    assert saved_bytes(lambda: x.exp(), linear) == 4 * 8 * 4


@pytest.mark.parametrize('lengths', [[3, 5, 4, 3, 9], [1] * 7, [40, 1, 1]])
@pytest.mark.parametrize('n', [1, 2, 3, 9])
def test_cut(lengths, n):
    """Every class once, in order, in at most n parts."""
    parts = EndingLayout(lengths).split(n)
    assert len(parts) <= n
    assert [k for p in parts for k in p.layout.lengths] == lengths
    for part in parts:
        assert part.rows.stop - part.rows.start == sum(part.layout.lengths)


@pytest.mark.parametrize('ids', [None, [
    [1, 2, 3], [7] * 30, [1], [1, 2] + [5] * 15, [7] * 32, [1, 2] + [5] * 12,
    [1, 2], [9] * 31, [1, 2, 3]
]])
def test_pages(ids):
    """A row sees what stands before it in its own ending, in order."""
    lengths = [3, 30, 1, 17, 32, 14, 2, 31, 3]
    layout = EndingLayout(lengths, ids)
    pages = layout.pages(torch.device('cpu'))
    words = [w for row in ids for w in row] if ids else range(sum(lengths))
    start = 0
    for k, length in enumerate(lengths):
        page, place = divmod(int(pages.eot[k]), pages.size)
        seen = pages.visible[page, place].nonzero().flatten()
        rows = page * pages.size + seen
        assert pages.offset[rows].tolist() == list(range(length))
        own = range(start, start + length)
        assert [words[i] for i in pages.row[rows]] == [words[i] for i in own]
        for i, row in enumerate(seen):  # and each of these sees its own past
            assert pages.visible[page, row].nonzero().flatten().tolist() == \
                seen[:i + 1].tolist()
        start += length
    if ids:  # equal beginnings were shared
        plain = EndingLayout(lengths).pages(torch.device('cpu'))
        assert pages.row.numel() < plain.row.numel()


@pytest.mark.parametrize('memory', [0, 'lots'])
def test_unknown_budget(memory):
    with pytest.raises(ValueError, match=f'text_memory={memory}: a number'):
        TextDivider(memory)


def test_evaluation_is_in_parts(small_clip, monkeypatch):
    """Many images' contexts at once: equal, and never all in memory."""
    tower = load_clip(**small_clip).text_tower.double()
    prompt = ContextPrompt(n_ctx=2)
    prompt.setup(tower)
    prompt.set_classes(['cat', 'dog', 'jack-o-lantern'], tower)
    one, = prompt.double()(tower)
    many = replace(one, prefix=one.prefix + torch.randn(7, 1, 1).double())
    sizes, forward = [], type(tower).forward
    monkeypatch.setattr(type(tower), 'forward', lambda self, prompts: (
        sizes.append(len(prompts.prefix)), forward(self, prompts))[1])
    with torch.no_grad():
        whole = TextDivider().encode(tower, many)
        assert sizes == [7]
        monkeypatch.setattr(divide, 'EVALUATION_TOKENS', 30)
        parts = TextDivider().encode(tower, many)
    assert len(sizes) > 3 and sum(sizes[1:]) == 7
    torch.testing.assert_close(parts, whole)
