"""The one data structure between prompts and the text engine.

Shapes: P shared beginnings, a tokens in each, K classes, N tokens in all
endings together, D the width of the text tower.
"""
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from os.path import commonprefix
from typing import Dict, List, Optional, Sequence, Tuple

import torch

PAGE_SIZES = (32, 64)  # rows; or the longest ending; or all of a few


class EndingLayout:
    """Where each class's ending lies; made once for a list of classes.

    The engine wants rectangles, so endings are laid on pages of B rows each,
    several on a page, none across two.

    Args:
        lengths: Tokens in the ending of each class, its EOT included.
        ids: What stands in each ending, token by token: where ids are equal,
            embeddings are. Endings that begin alike then share work. None:
            nothing is known to be equal.
    """

    def __init__(self,
                 lengths: Sequence[int],
                 ids: Optional[Sequence[Sequence[int]]] = None) -> None:
        self.lengths: Tuple[int, ...] = tuple(lengths)
        self.ids = ids
        self._on_device: Dict[torch.device, Pages] = {}
        self._cuts: Dict[int, List[ClassRange]] = {}

    @cached_property
    def _pages(self) -> 'Pages':
        longest = max(self.lengths)
        sizes = {max(min(size, sum(self.lengths)), longest)
                 for size in PAGE_SIZES}  # of a few endings: one size
        # fewest rows; of two as good, the smaller: attention costs rows x B
        return min((_lay_out(self.lengths, self.ids, size)
                    for size in sizes),
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
                    EndingLayout(self.lengths[first:last],
                                 self.ids and self.ids[first:last]))
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
        visible: (n, B, B) whether a row sees another of its page: itself and
            what stands before it in its ending. An empty row sees itself.
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


def _lay_out(lengths: Sequence[int], ids: Optional[Sequence[Sequence[int]]],
             size: int) -> Pages:
    """Lay endings on pages; those that begin alike share that beginning."""
    K = len(lengths)
    # clusters of neighbours in the order of ids: (class, rows as the one
    # before), each cluster on one page
    clusters: List[List[Tuple[int, int]]] = []
    used: List[int] = []
    before = None
    for k in sorted(range(K), key=ids.__getitem__) if ids else range(K):
        alike = 0
        if ids and before is not None:
            alike = len(commonprefix([ids[before], ids[k]]))
        if alike and used[-1] + lengths[k] - alike <= size:
            clusters[-1].append((k, alike))
            used[-1] += lengths[k] - alike
        else:
            clusters.append([(k, 0)])
            used.append(lengths[k])
        before = k
    first_rows, n = _pack(used, size)
    start = [0, *accumulate(lengths)]
    row, offset, eot = [0] * (n * size), [0] * (n * size), [0] * K
    seen_by, seen = [], []  # pairs of rows
    for cluster, free in zip(clusters, first_rows):
        path: List[int] = []  # rows of an ending
        for k, alike in cluster:
            path = path[:alike] + list(range(free, free + lengths[k] - alike))
            free += lengths[k] - alike
            for i in range(alike, lengths[k]):
                row[path[i]], offset[path[i]] = start[k] + i, i
                seen_by += [path[i]] * (i + 1)
                seen += path[:i + 1]
            eot[k] = path[-1]
    seen_by, seen = torch.tensor(seen_by), torch.tensor(seen)
    visible = torch.eye(size, dtype=torch.bool).repeat(n, 1, 1)
    visible[seen_by // size, seen_by % size, seen % size] = True
    return Pages(
        torch.tensor(row), torch.tensor(offset), visible, torch.tensor(eot))


def _pack(sizes: Sequence[int], page: int) -> Tuple[List[int], int]:
    """Lay things on pages, the largest first, each where it fits tightest.

    Returns:
        The first row of each thing, and the number of pages.
    """
    with_room: Dict[int, List[int]] = {}  # rows left -> pages
    first, n = [0] * len(sizes), 0
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        left = next((r for r in range(sizes[i], page) if with_room.get(r)),
                    None)
        if left is None:
            at, left, n = n, page, n + 1
        else:
            at = with_room[left].pop()
        first[i] = at * page + page - left
        with_room.setdefault(left - sizes[i], []).append(at)
    return first, n


@dataclass
class PromptSet:
    """Shared beginnings and one ending per class, as token embeddings.

    Attributes:
        prefix: (P, a, D), from SOS on. P is 1 for CoOp, the batch size for
            contexts conditioned on images, the number of contexts where each
            class has several.
        endings: (N, D), the classes one after the other; every ending
            finishes at its EOT.
        layout: Lengths of the endings.
        deep: (L, P, m, D), deep prompts: at the input of layer 1, 2, ... L
            (the first is layer 0) they take the place of m rows of the
            beginnings. None: there are none.
        deep_start: The first of these rows; 1 follows SOS.
    """
    prefix: torch.Tensor
    endings: torch.Tensor
    layout: EndingLayout = field(repr=False)
    deep: Optional[torch.Tensor] = None
    deep_start: int = 1

    def with_classes(self, classes: ClassRange) -> 'PromptSet':
        """The same beginnings, and the endings of some classes."""
        return replace(self, endings=self.endings[classes.rows],
                       layout=classes.layout)

    def split_beginnings(self, n: int) -> List['PromptSet']:
        """At most n sets with some of the beginnings each."""
        size = -(-len(self.prefix) // n)
        deep = [None] * n if self.deep is None else self.deep.split(size, 1)
        return [replace(self, prefix=prefix, deep=part)
                for prefix, part in zip(self.prefix.split(size), deep)]

    def put_deep(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        """Put the deep prompts of a layer into (P, T, D), T >= a."""
        if self.deep is None or not 1 <= layer <= len(self.deep):
            return x
        deep = self.deep[layer - 1].to(x.dtype)  # (P, m, D)
        end = self.deep_start + deep.shape[1]
        return torch.cat([x[:, :self.deep_start], deep, x[:, end:]], dim=1)
