"""When the text tower's passes are recorded and replayed.

The bookkeeping, with a recording that computes anew into the same memory, as
a CUDA graph does; tests/test_gpu.py has the graphs themselves.
"""
import copy
import pickle
from contextlib import nullcontext
from unittest.mock import Mock

import pytest
import torch
from mmpretrain.registry import MODELS

from mmcoop.clip import TextDivider, cuda_graphs, load_clip
from mmcoop.clip.cuda_graphs import (AFTER, KEPT, TextGraphs, _Recording,
                                     _tensors, _with_tensors)

NAMES = ['kite (bird of prey)', 'T-shirt', 'dog', "jack-o'-lantern"]


class InTheSameMemory(_Recording):

    def __init__(self, tower, prompts):
        self.uses, self._last_use, self.tower = 0, None, tower
        self.weights = [(p, p.data_ptr()) for p in tower.parameters()]
        self.inputs = [x.detach().clone().requires_grad_(x.requires_grad)
                       for x in _tensors(prompts)]
        self.own = _with_tensors(prompts, self.inputs)
        self.learned = [x for x in self.inputs if x.requires_grad]
        self.output = tower(self.own).detach()
        self.grad_output = torch.zeros_like(self.output)
        self.grads = [torch.zeros_like(x) for x in self.learned]

    @torch.enable_grad()
    def forward(self):
        self.graph = self.tower(self.own)
        self.output.copy_(self.graph.detach())

    def backward(self):
        for kept, grad in zip(self.grads, torch.autograd.grad(
                self.graph, self.learned, self.grad_output,
                retain_graph=True)):
            kept.copy_(grad)


@pytest.fixture
def tower(small_clip):
    return load_clip(**small_clip).text_tower


@pytest.fixture
def graphs(monkeypatch):
    monkeypatch.setattr(
        TextGraphs, '_can_record', lambda self, prompts:
        self.enabled and torch.is_grad_enabled())
    monkeypatch.setattr(TextGraphs, '_record', InTheSameMemory)
    return TextGraphs()


def make_prompt(tower, names=NAMES, **options):
    torch.manual_seed(0)
    prompt = MODELS.build({'type': 'mmcoop.ContextPrompt', 'n_ctx': 4,
                           **options})
    prompt.setup(tower)
    prompt.set_classes(names, tower)
    return prompt


def loss_of(features):
    return (features * torch.linspace(-1, 1, features.numel())
            .view_as(features)).sum()


def record(graphs, tower, prompt):
    """Use a prompt until it is replayed; give the recording."""
    for _ in range(AFTER + 1):
        loss_of(graphs.encode(tower, prompt(tower)[0])).backward()
    prompt.zero_grad()
    recording = graphs._seen[-1].recording
    assert recording.uses == 1
    return recording


@pytest.mark.parametrize('options', [
    dict(), dict(class_specific=True),
    dict(type='mmcoop.MultiModalPrompt', n_ctx=2, depth=3)])
@pytest.mark.parametrize('accumulate', [1, 2])
def test_trains_as_without(graphs, tower, options, accumulate):
    """Gradients of several steps are added up if an optimizer waits."""
    learned = []
    for encode in (lambda p: graphs.encode(tower, p), tower):
        prompt = make_prompt(tower, **options)
        optimizer = torch.optim.SGD(prompt.parameters(), lr=.1)
        for step in range(8):
            loss_of(encode(prompt(tower)[0])).backward()
            if step % accumulate == accumulate - 1:
                optimizer.step()
                optimizer.zero_grad()
        learned.append([*prompt.parameters()])
    assert graphs._seen[-1].recording.uses == 8 - AFTER
    for ours, theirs in zip(*learned):
        assert torch.equal(ours, theirs)


def test_two_uses_before_the_backward_pass(graphs, tower):
    """The second would overwrite what the first has saved."""
    prompt = make_prompt(tower)
    recording = record(graphs, tower, prompt)
    first = graphs.encode(tower, prompt(tower)[0])
    prompt.ctx.data += .1
    second = graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 2
    (loss_of(first) + loss_of(second)).backward()
    ours = prompt.ctx.grad.clone()
    prompt.zero_grad()
    loss_of(tower(prompt(tower)[0])).backward()
    prompt.ctx.data -= .1
    loss_of(tower(prompt(tower)[0])).backward()
    torch.testing.assert_close(
        ours, prompt.ctx.grad, rtol=0,
        atol=1e-5 * prompt.ctx.grad.abs().max().item())
    graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 3  # it is free again


def test_a_use_without_a_backward_pass_ends_with_its_features(graphs, tower):
    prompt = make_prompt(tower)
    recording = record(graphs, tower, prompt)
    features = graphs.encode(tower, prompt(tower)[0])
    kept = features.detach().clone()
    graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 2
    del features
    prompt.ctx.data += .1
    features = graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 3
    assert not torch.equal(features, kept)


def test_several_backward_passes(graphs, tower):
    """Two in a row, as ProGrad has them; none after another use."""
    prompt = make_prompt(tower)
    recording = record(graphs, tower, prompt)
    features = graphs.encode(tower, prompt(tower)[0])
    loss_of(features).backward(retain_graph=True)
    one = prompt.ctx.grad.clone()
    (2 * loss_of(features)).backward(retain_graph=True)
    torch.testing.assert_close(prompt.ctx.grad, 3 * one)
    graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 3
    with pytest.raises(RuntimeError, match='MMCOOP_CUDA_GRAPHS=0'):
        loss_of(features).backward()


def test_what_is_not_recorded(graphs, tower, monkeypatch):
    prompt = make_prompt(tower)
    for _ in range(2 * AFTER):
        with torch.no_grad():
            graphs.encode(tower, prompt(tower)[0])
    assert not graphs._seen
    divider = TextDivider(memory=1e-4)  # in chunks, and again
    for _ in range(2 * AFTER):
        loss_of(divider.encode(tower, prompt(tower)[0])).backward()
    assert not divider.graphs._seen
    monkeypatch.setenv('MMCOOP_CUDA_GRAPHS', '0')
    assert not TextGraphs().enabled


def test_few_recordings_are_kept(graphs, tower):
    """Those of the prompts that were used last."""
    prompts = [make_prompt(tower, NAMES[:k]) for k in (2, 3, 4)]
    for prompt in prompts:
        record(graphs, tower, prompt)
    assert len(graphs._seen) == KEPT
    layouts = [case.layout for case in graphs._seen]
    assert layouts == [p(tower)[0].layout for p in prompts[-KEPT:]]


def test_weights_in_another_place(graphs, tower):
    """As after model.cpu().cuda(): recorded anew, or never read again."""
    prompt = make_prompt(tower)
    recording = record(graphs, tower, prompt)
    weight = tower.ln_final.weight
    weight.data = 2 * weight.data
    features = graphs.encode(tower, prompt(tower)[0])
    assert recording.uses == 1
    assert torch.equal(features, tower(prompt(tower)[0]))
    weight = tower.positional_embedding
    weight.data = 2 * weight.data
    assert record(graphs, tower, prompt) is not recording


def test_copies_record_their_own(graphs, tower):
    divider = TextDivider()
    divider.graphs = graphs
    record(graphs, tower, make_prompt(tower))
    for other in (copy.deepcopy(divider), pickle.loads(pickle.dumps(divider))):
        assert isinstance(other.graphs, TextGraphs)
        assert not other.graphs._seen and other.graphs.enabled


def test_where_nothing_can_be_recorded(graphs, tower, monkeypatch, logged):
    def fail(tower, prompts):
        raise RuntimeError('out of memory\nand more')
    monkeypatch.setattr(TextGraphs, '_record', staticmethod(fail))
    prompt = make_prompt(tower)
    for _ in range(AFTER + 3):
        features = graphs.encode(tower, prompt(tower)[0])
    assert torch.equal(features, tower(prompt(tower)[0]))
    assert not graphs.enabled
    said, = [line for line in logged if 'CUDA graph' in line]
    assert 'with the same results at less speed (out of memory)' in said


@pytest.fixture
def no_gpu(monkeypatch):
    """A recording is made, of nothing, on a CPU."""
    for name in ('_warm_up', '_capture', '_autocast_without_cache'):
        monkeypatch.setattr(cuda_graphs, name, lambda *args: nullcontext())
    monkeypatch.setattr(torch.cuda, 'CUDAGraph', Mock)


def test_a_backward_pass_can_be_replayed_twice(tower, no_gpu):
    """It frees nothing of what the forward pass saved: within a graph, memory
    that is freed is written over by the same pass."""
    recording = _Recording(tower, make_prompt(tower)(tower)[0])
    again = torch.autograd.grad(
        recording.output, [x for x in recording.inputs if x.requires_grad],
        recording.grad_output)
    assert len(again) == len(recording.grads) == 1


def test_weights_that_learn_are_not_replayed(tower, no_gpu):
    """Their gradients are not recorded."""
    recording = _Recording(tower, make_prompt(tower)(tower)[0])
    assert recording.fits()
    tower.ln_final.weight.requires_grad_(True)
    assert not recording.fits()


def test_the_plain_path_is_not_recorded(graphs, tower, monkeypatch):
    """It copies from the CPU, which a capture cannot."""
    prompt = make_prompt(tower)
    monkeypatch.setattr(tower, 'packable', False)
    for _ in range(2 * AFTER):
        graphs.encode(tower, prompt(tower)[0])
    assert not graphs._seen


def test_another_gpu_than_the_current_one(monkeypatch):
    """Its kernels would be missing in the recording, without an error."""
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 0)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing',
                        lambda: False)
    for device in (0, 1):
        prefix = Mock(is_cuda=True, requires_grad=True,
                      get_device=lambda: device)
        prompts = Mock(prefix=prefix, endings=prefix, deep=None)
        assert TextGraphs()._can_record(prompts) == (device == 0)
