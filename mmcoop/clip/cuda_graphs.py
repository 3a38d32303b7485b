"""Replay the text tower's forward and backward passes as CUDA graphs.

A step of the text tower launches hundreds of small kernels, which takes the
CPU several times as long as the GPU needs to compute them. Once the same
prompts have been encoded a few times, the kernels are recorded and launched
together; the numbers are those of the recorded kernels.
"""
import os
import weakref
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import List, Optional, Tuple

import torch
from mmengine.logging import print_log

from .prompt_set import EndingLayout, PromptSet
from .text_tower import TextTower

AFTER = 3  # steps as they come before the kernels are recorded
KEPT = 2  # recordings; each keeps the activations of a step


class TextGraphs:
    """Encode prompt sets with gradients, replaying what is recorded.

    A recording holds for one layout of the endings, for the same shapes,
    precision and weights. What is not recorded is encoded as it comes: the
    first steps, prompts on a CPU, on another GPU than the current one or
    without gradients, those of towers that are not packable, and prompts
    whose recording still waits for the backward pass of its last use.

    ``MMCOOP_CUDA_GRAPHS=0`` (an environment variable) records nothing.
    """

    def __init__(self) -> None:
        self.enabled = os.environ.get('MMCOOP_CUDA_GRAPHS', '1') != '0'
        self._seen: List[_Case] = []  # the last used one comes last

    def encode(self, tower: TextTower, prompts: PromptSet) -> torch.Tensor:
        """Class features (P, K, E) before L2 normalisation."""
        if not (tower.packs(prompts) and self._can_record(prompts)):
            return tower(prompts)
        case = self._case(tower, prompts)
        case.uses += 1
        if case.recording is None and case.uses > AFTER:
            try:
                case.recording = self._record(tower, prompts)
            except RuntimeError as error:  # out of memory too
                self.enabled = False
                self._seen = []
                print_log(
                    'The text tower could not be recorded as a CUDA graph; '
                    'training goes on without, with the same results at less '
                    f'speed ({str(error).splitlines()[0]}).', 'current')
        if case.recording is None or not case.recording.fits():
            return tower(prompts)
        return _Replay.apply(case.recording, *_tensors(prompts))

    def _can_record(self, prompts: PromptSet) -> bool:
        return (self.enabled and prompts.prefix.is_cuda
                and torch.is_grad_enabled()
                and any(x.requires_grad for x in _tensors(prompts))
                # a capture records the kernels of the current device alone
                and prompts.prefix.get_device() == torch.cuda.current_device()
                and not torch.compiler.is_compiling()
                and not torch.cuda.is_current_stream_capturing())

    def _case(self, tower: TextTower, prompts: PromptSet) -> '_Case':
        device = prompts.prefix.device.type
        key = (
            prompts.deep_start, torch.is_autocast_enabled(device),
            torch.get_autocast_dtype(device), tower.dtype,
            tower.positional_embedding.data_ptr(),
            *((x.shape, x.dtype, x.device, x.requires_grad)
              for x in _tensors(prompts)))
        case = next((case for case in self._seen
                     if case.layout is prompts.layout and case.key == key),
                    None)
        if case is not None:
            self._seen.remove(case)
        self._seen = [*self._seen, case or _Case(prompts.layout, key)][-KEPT:]
        return self._seen[-1]

    @staticmethod
    def _record(tower: TextTower, prompts: PromptSet) -> '_Recording':
        return _Recording(tower, prompts)

    def __reduce__(self) -> tuple:  # graphs are neither copied nor pickled
        return TextGraphs, ()


class _Case:
    """How often prompts of a kind were encoded, and their recording."""

    def __init__(self, layout: EndingLayout, key: tuple) -> None:
        self.layout, self.key = layout, key
        self.uses = 0
        self.recording: Optional[_Recording] = None


class _Recording:
    """A forward and a backward pass, in tensors of their own."""

    def __init__(self, tower: TextTower, prompts: PromptSet) -> None:
        self.uses = 0
        self._last_use: Optional[weakref.ref] = None
        self.weights = [(p, p.data_ptr()) for p in tower.parameters()]
        self.inputs = [x.detach().clone().requires_grad_(x.requires_grad)
                       for x in _tensors(prompts)]
        learned = [x for x in self.inputs if x.requires_grad]
        own = _with_tensors(prompts, self.inputs)
        with _autocast_without_cache():
            _warm_up(lambda: torch.autograd.grad(tower(own).sum(), learned))
            self.forward_graph = torch.cuda.CUDAGraph()
            with _capture(self.forward_graph):
                self.output = tower(own)
            self.grad_output = torch.zeros_like(self.output)
            self.backward_graph = torch.cuda.CUDAGraph()
            with _capture(self.backward_graph, self.forward_graph.pool()):
                # a freed graph's memory would be written over within the
                # pass, which is replayed twice if two losses share features
                self.grads = torch.autograd.grad(
                    self.output, learned, self.grad_output, retain_graph=True)

    def forward(self) -> None:
        self.forward_graph.replay()

    def backward(self) -> None:
        self.backward_graph.replay()

    def fits(self) -> bool:
        """Whether nothing waits for what is in its memory, and the weights
        are where they were and frozen."""
        use = self._last_use and self._last_use()
        return (use is None or use.done) and all(
            p.data_ptr() == place and not p.requires_grad
            for p, place in self.weights)

    def begin(self) -> '_Use':
        self.uses += 1
        use = _Use(self.uses)
        self._last_use = weakref.ref(use)
        return use


class _Use:
    """A use of a recording; it ends with its autograd graph."""

    def __init__(self, number: int) -> None:
        self.number, self.done = number, False


class _Replay(torch.autograd.Function):
    """A recorded encoding of (prefix, endings[, deep])."""

    @staticmethod
    def forward(ctx, recording: _Recording,
                *inputs: torch.Tensor) -> torch.Tensor:
        ctx.recording, ctx.use = recording, recording.begin()
        for own, given in zip(recording.inputs, inputs):
            own.copy_(given)
        recording.forward()
        return recording.output.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: torch.Tensor) -> Tuple:
        recording = ctx.recording
        if ctx.use.number != recording.uses:
            raise RuntimeError(
                'a second backward pass through class features whose CUDA '
                'graph was used anew since the first: set the environment '
                'variable MMCOOP_CUDA_GRAPHS=0.')
        recording.grad_output.copy_(grad)
        recording.backward()
        ctx.use.done = True
        grads = iter(recording.grads)
        # a copy: a parameter may take it as its .grad
        return (None, *(next(grads).clone() if own.requires_grad else None
                        for own in recording.inputs))


def _tensors(prompts: PromptSet) -> List[torch.Tensor]:
    return [x for x in (prompts.prefix, prompts.endings, prompts.deep)
            if x is not None]


def _with_tensors(prompts: PromptSet,
                  tensors: List[torch.Tensor]) -> PromptSet:
    names = [name for name in ('prefix', 'endings', 'deep')
             if getattr(prompts, name) is not None]
    return replace(prompts, **dict(zip(names, tensors)))


def _autocast_without_cache() -> AbstractContextManager:
    """The autocast of this moment; its cache would outlive the recording."""
    return torch.autocast(
        'cuda', enabled=torch.is_autocast_enabled('cuda'),
        dtype=torch.get_autocast_dtype('cuda'), cache_enabled=False)


def _warm_up(function) -> None:
    """Lazy initialisation must be over before a capture."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            function()
    torch.cuda.current_stream().wait_stream(stream)


def _capture(graph: 'torch.cuda.CUDAGraph',
             pool: Optional[tuple] = None) -> AbstractContextManager:
    # other threads (pinned memory, NCCL) go on meanwhile
    return torch.cuda.graph(graph, pool=pool,
                            capture_error_mode='thread_local')
