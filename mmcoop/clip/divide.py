"""Split the classes into chunks that fit into memory, and over GPUs."""
from dataclasses import replace
from functools import partial
from typing import Callable, Dict, Optional, Tuple

import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from torch.utils.checkpoint import checkpoint

from .adapt import TowerAdapter
from .cuda_graphs import TextGraphs
from .prompt_set import PromptSet
from .text_tower import TextTower

GIB = 2**30
EVALUATION_TOKENS = 2**16  # encoded at once without gradients


def saved_bytes(function: Callable[[], torch.Tensor],
                frozen: torch.nn.Module) -> int:
    """Measure the bytes that autograd saves for the backward pass.

    Args:
        function: Runs the forward pass.
        frozen: Module whose parameters are not counted.

    Returns:
        Bytes of all saved storages; each storage counts once.
    """
    known = {p.untyped_storage().data_ptr() for p in frozen.parameters()}
    storages: Dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        # drawing no random numbers that dropout would get otherwise
        devices = [torch.cuda.current_device()] \
            if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            result = function()
    del result  # storages were alive until here: no address counts twice
    return sum(n for key, n in storages.items() if key not in known)


class TextDivider:
    """Encode prompt sets within a memory budget, over all ranks.

    Args:
        memory: GiB that activations saved for the backward pass may take.
            Where all classes need more, they are encoded in chunks (split by
            prefixes, then by classes) with activation checkpointing. That
            costs about 1.5 times the computation, and memory no longer grows
            with the number of classes or prefixes. None sets no limit.
            Without gradients chunks are of a fixed size.

    Raises:
        ValueError: ``memory`` is not a positive number.
    """

    def __init__(self, memory: Optional[float] = None) -> None:
        if memory is not None and not (
                isinstance(memory, (int, float)) and memory > 0):
            raise ValueError(
                f'text_memory={memory}: a number of GiB above 0 is needed; '
                'None sets no limit.')
        self.memory = memory
        self.graphs = TextGraphs()
        self._bytes_per_token: Dict[tuple, float] = {}

    def encode(self, tower: TextTower, prompts: PromptSet,
               shared: bool = False,
               adapter: Optional[TowerAdapter] = None) -> torch.Tensor:
        """Encode the prompts of all classes.

        Args:
            tower: The text tower.
            prompts: Prompt set, the same on every rank if ``shared``.
            shared: Whether each rank encodes a part of the classes and
                receives the features of all, with gradients.
            adapter: What is learned inside the tower.

        Returns:
            Class features (P, K, E) before L2 normalisation.
        """
        encode = partial(self._encode_local, tower, adapter)
        ranks = get_world_size() if shared else 1
        shares = prompts.layout.split(ranks) if ranks > 1 else []
        if ranks == 1 or len(shares) < ranks:  # fewer classes than GPUs
            return encode(prompts)
        own = encode(prompts.select_classes(shares[get_rank()]))
        counts = tuple(len(share.layout.lengths) for share in shares)
        # sums of many ranks' gradients want fp32 at least
        own = own.to(torch.promote_types(own.dtype, torch.float32))
        return _GatherClasses.apply(own, counts)

    def _encode_local(self, tower: TextTower,
                      adapter: Optional[TowerAdapter],
                      prompts: PromptSet) -> torch.Tensor:
        run = _call(tower, adapter)
        n = self._number_of_chunks(tower, prompts, adapter)
        if n == 1:
            return run(prompts) if adapter is not None \
                else self.graphs.encode(tower, prompts)
        # by prefixes first: each chunk of classes encodes all prefixes again
        groups = prompts.split_prefixes(min(n, len(prompts.prefix)))
        classes = prompts.layout.split(-(-n // len(groups)))
        if torch.is_grad_enabled():
            run = partial(_recompute, run, adapter is not None)
        return torch.cat([
            torch.cat([run(group.select_classes(part)) for part in classes],
                      dim=1) for group in groups])

    def _number_of_chunks(self, tower: TextTower, prompts: PromptSet,
                          adapter: Optional[TowerAdapter] = None) -> int:
        lengths = prompts.layout.lengths
        if not torch.is_grad_enabled():  # nothing is saved: 1 GiB at most
            tokens = len(prompts.prefix) * (
                sum(lengths) if tower.packable
                else len(lengths) * tower.context_length)
            return min(len(lengths) * len(prompts.prefix),
                       -(-tokens // EVALUATION_TOKENS))
        if self.memory is None:
            return 1
        half = torch.is_autocast_enabled(prompts.prefix.device.type)
        key = (prompts.prefix.shape[1:], half, max(lengths))
        if key not in self._bytes_per_token:
            # measured on a few classes of a prefix, for any tower and
            # precision
            few = prompts.layout.split(max(1, len(lengths) // 128))[0]
            with torch.enable_grad():
                part = prompts.split_prefixes(len(prompts.prefix))[0]
                part = part.select_classes(few)
                part = replace(part, endings=part.endings.detach(),
                               prefix=part.prefix.detach().requires_grad_())
                n = saved_bytes(
                    lambda: _call(tower, adapter)(part), tower)
            self._bytes_per_token[key] = n / sum(few.layout.lengths)
        needed = self._bytes_per_token[key] * sum(lengths) \
            * len(prompts.prefix)
        return min(len(lengths) * len(prompts.prefix),
                   -(-int(needed) // int(self.memory * GIB)))


def _call(tower: TextTower, adapter: Optional[TowerAdapter]
          ) -> Callable[[PromptSet], torch.Tensor]:
    return tower if adapter is None else partial(adapter.run, tower)


def _recompute(run: Callable[[PromptSet], torch.Tensor], dropout: bool,
               prompts: PromptSet) -> torch.Tensor:
    """Encode a chunk, and again in the backward pass."""
    # the prefix tells checkpoint the device whose random state to restore
    return checkpoint(lambda _: run(prompts), prompts.prefix,
                      use_reentrant=False, preserve_rng_state=dropout)


class _GatherClasses(torch.autograd.Function):
    """Gather (P, own classes, E) of every rank into (P, K, E).

    Backward sums the gradients of all ranks, so that DDP's mean over ranks
    is the gradient of the mean loss.
    """

    @staticmethod
    def forward(ctx, own: torch.Tensor,
                counts: Tuple[int, ...]) -> torch.Tensor:
        ctx.counts = counts
        P, n, E = own.shape
        padded = own.new_zeros(max(counts), P, E)
        padded[:n] = own.transpose(0, 1)
        gathered = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(gathered, padded)
        rows = [part[:count] for part, count in zip(gathered, counts)]
        return torch.cat(rows).transpose(0, 1)

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> Tuple[torch.Tensor, None]:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.split(ctx.counts, dim=1)[get_rank()], None
