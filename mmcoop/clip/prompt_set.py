"""The one data structure between prompts and the text engine.

Shapes: P shared beginnings, a tokens in each, K classes, N tokens in all
endings together, D the width of the text tower.
"""
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Dict, List, Sequence, Tuple

import torch

PAGE_SIZES = (32, 64)  # tokens; or the longest ending


class EndingLayout:
    """Where each class's ending lies; made once for a list of classes.

    The engine wants rectangles, so endings are laid on pages of B rows each,
    several on a page, none across two.

    Args:
        lengths: Tokens in the ending of each class, its EOT included.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths: Tuple[int, ...] = tuple(lengths)
        self._on_device: Dict[torch.device, Pages] = {}
        self._cuts: Dict[int, List[ClassRange]] = {}

    @cached_property
    def _pages(self) -> 'Pages':
        longest = max(self.lengths)
        sizes = [max(size, longest) for size in PAGE_SIZES]
        # fewest rows; of two as good, the smaller: attention costs rows x B
        return min((_lay_out(self.lengths, size) for size in sizes),
                   key=lambda pages: pages.row.numel() * (2000 + pages.size))

    def pages(self, device: torch.device) -> 'Pages':
        """The pages, kept on each device that asked for them."""
        if device not in self._on_device:
            self._on_device[device] = self._pages.to(device)
        return self._on_device[device]

    def cut(self, n: int) -> List['ClassRange']:
        """Cut into at most n runs of classes of about as many tokens each."""
        if n not in self._cuts:
            ends = list(accumulate(self.lengths))
            bounds = [0] + [
                bisect_left(ends, ends[-1] * i / n) + 1 for i in range(1, n)
            ] + [len(ends)]
            rows = [0, *ends]
            self._cuts[n] = [
                ClassRange(
                    slice(rows[first], rows[last]),
                    EndingLayout(self.lengths[first:last]))
                for first, last in zip(bounds, bounds[1:]) if first < last
            ]
        return self._cuts[n]


@dataclass
class ClassRange:
    """Neighbouring classes of a layout: their packed rows, their layout."""
    rows: slice
    layout: EndingLayout


@dataclass
class Pages:
    """Endings on n pages of B rows.

    Attributes:
        row: (n * B,) the packed row that lies there; 0 where none does.
        offset: (n * B,) its place in its ending.
        visible: (n, B, B) whether a row sees another of its page: its own
            ending up to itself. An empty row sees itself alone.
        eot: (K,) where the EOT of each class lies.
    """
    row: torch.Tensor
    offset: torch.Tensor
    visible: torch.Tensor
    eot: torch.Tensor

    @property
    def size(self) -> int:
        return self.visible.shape[-1]

    def to(self, device: torch.device) -> 'Pages':
        return Pages(**{k: v.to(device) for k, v in vars(self).items()})


def _lay_out(lengths: Sequence[int], size: int) -> Pages:
    """Lay endings on pages, the longest first, each where it fits tightest."""
    pages_with_room: Dict[int, List[int]] = {}
    n = 0
    places = torch.empty(len(lengths), dtype=torch.long)  # (K,) first rows
    for k in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        room = next((r for r in range(lengths[k], size + 1)
                     if pages_with_room.get(r)), None)
        if room is None:
            page, room, n = n, size, n + 1
        else:
            page = pages_with_room[room].pop()
        places[k] = page * size + size - room
        pages_with_room.setdefault(room - lengths[k], []).append(page)
    length = torch.tensor(lengths)
    start = length.cumsum(0) - length
    offset = torch.arange(int(length.sum())) \
        - start.repeat_interleave(length)
    place = places.repeat_interleave(length) + offset  # (N,)
    row = torch.zeros(n * size, dtype=torch.long)
    row[place] = torch.arange(len(place))
    offsets = torch.zeros_like(row)
    offsets[place] = offset
    owner = -1 - torch.arange(n * size)  # nobody else's
    owner[place] = torch.arange(len(lengths)).repeat_interleave(length)
    owner = owner.view(n, size)
    same = owner[:, :, None] == owner[:, None, :]
    return Pages(row, offsets, same.tril(), places + length - 1)


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

    def part(self, classes: ClassRange) -> 'PromptSet':
        """The same beginnings, and the endings of some classes."""
        return PromptSet(self.prefix, self.endings[classes.rows],
                         classes.layout)
