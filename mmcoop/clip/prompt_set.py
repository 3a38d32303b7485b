"""The one data structure between prompts and the text engine.

Shapes: P shared beginnings, a tokens in each, K classes, N tokens in all
endings together, D the width of the text tower.
"""
from dataclasses import dataclass, field
from functools import cached_property
from typing import Dict, List, Sequence, Tuple

import torch


class EndingLayout:
    """Where each class's ending lies; made once for a list of classes.

    The engine wants classes of one length side by side, so ``sort`` brings
    packed rows into that order and ``restore`` brings classes back.

    Args:
        lengths: Tokens in the ending of each class, its EOT included.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths: Tuple[int, ...] = tuple(lengths)
        self._on_device: Dict[torch.device, _Indices] = {}

    @cached_property
    def groups(self) -> List[Tuple[int, int]]:
        """(number of classes, their length), shortest first."""
        counts: Dict[int, int] = {}
        for length in sorted(self.lengths):
            counts[length] = counts.get(length, 0) + 1
        return [(count, length) for length, count in counts.items()]

    def on(self, device: torch.device) -> '_Indices':
        """The index tensors, kept on each device that asked for them."""
        if device not in self._on_device:
            self._on_device[device] = _Indices.of(self.lengths).to(device)
        return self._on_device[device]


@dataclass
class _Indices:
    sort: torch.Tensor  # (N,) packed row of each row in sorted order
    offset: torch.Tensor  # (N,) place of each sorted row in its ending
    last: torch.Tensor  # (K,) row of each EOT, both in sorted order
    restore: torch.Tensor  # (K,) place of class k among the sorted ones

    @classmethod
    def of(cls, lengths: Sequence[int]) -> '_Indices':
        length = torch.tensor(lengths)
        start = length.cumsum(0) - length
        order = length.argsort(stable=True)  # (K,) class of each sorted class
        sorted_end = length[order].cumsum(0)
        within = torch.arange(int(length.sum()))
        offset = within - (sorted_end - length[order]).repeat_interleave(
            length[order])
        return cls(
            sort=start[order].repeat_interleave(length[order]) + offset,
            offset=offset,
            last=sorted_end - 1,
            restore=order.argsort())

    def to(self, device: torch.device) -> '_Indices':
        return _Indices(**{k: v.to(device) for k, v in vars(self).items()})


@dataclass
class PromptSet:
    """Shared beginnings and one ending per class, as token embeddings.

    Attributes:
        prefix: (P, a, D), from SOS on. P is 1 for CoOp, the batch size for
            instance-conditioned contexts, the number of prompts for sets of
            them.
        endings: (N, D), the classes one after the other; every ending
            finishes at its EOT.
        layout: Lengths of the endings.
    """
    prefix: torch.Tensor
    endings: torch.Tensor
    layout: EndingLayout = field(repr=False)
