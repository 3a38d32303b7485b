"""Prompt sets: the token embeddings that prompts hand to the text encoder.

Shapes: P prefixes of a tokens each, K classes, N tokens in all endings
together, D the width of the text tower.
"""
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from os.path import commonprefix
from typing import Dict, List, Optional, Sequence, Tuple

import torch

PAGE_SIZES = (32, 64)  # rows, where the endings allow it


class EndingLayout:
    """Lengths of the class endings, and how they are packed into pages.

    An ending is the part of a prompt that differs between classes, EOT
    included. The text engine needs rectangular tensors, so several endings
    share a page of B rows, and none spans two pages.

    Args:
        lengths: Number of tokens in the ending of each class.
        ids: Ids of each ending's tokens; equal ids mean equal embeddings, so
            that endings which begin alike are encoded together. None: no
            tokens are known to be equal.
    """

    def __init__(self,
                 lengths: Sequence[int],
                 ids: Optional[Sequence[Sequence[int]]] = None) -> None:
        self.lengths: Tuple[int, ...] = tuple(lengths)
        self.ids = ids
        self._on_device: Dict[torch.device, Pages] = {}
        self._splits: Dict[int, List[ClassRange]] = {}

    @cached_property
    def _pages(self) -> 'Pages':
        longest = max(self.lengths)
        sizes = {max(min(size, sum(self.lengths)), longest)
                 for size in PAGE_SIZES}
        # few rows first, then small pages: attention costs rows x B
        return min((_lay_out(self.lengths, self.ids, size)
                    for size in sizes),
                   key=lambda pages: pages.row.numel() * (2000 + pages.size))

    def pages(self, device: torch.device) -> 'Pages':
        """Pages on a device; they are computed and copied once."""
        if device not in self._on_device:
            self._on_device[device] = self._pages.to(device)
        return self._on_device[device]

    def split(self, n: int) -> List['ClassRange']:
        """Split into at most n ranges with about as many tokens each."""
        if n not in self._splits:
            ends = list(accumulate(self.lengths))
            bounds = [0] + [
                bisect_left(ends, ends[-1] * i / n) + 1 for i in range(1, n)
            ] + [len(ends)]
            rows = [0, *ends]
            self._splits[n] = [
                ClassRange(
                    slice(rows[first], rows[last]),
                    EndingLayout(self.lengths[first:last],
                                 self.ids and self.ids[first:last]))
                for first, last in zip(bounds, bounds[1:]) if first < last
            ]
        return self._splits[n]


@dataclass
class ClassRange:
    """A range of neighbouring classes.

    Attributes:
        rows: Their rows in the packed endings.
        layout: The layout of these classes alone.
    """
    rows: slice
    layout: EndingLayout


@dataclass
class Pages:
    """Class endings on n pages of B rows.

    Attributes:
        row: (n * B,) index into the packed endings; 0 for an empty row.
        offset: (n * B,) position of the row within its ending.
        visible: (n, B, B) attention mask within each page, True where a row
            attends: to itself and to the rows before it in its ending.
        eot: (K,) index of the EOT row of each class.
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
    """Pack endings into pages; endings that begin alike share those rows."""
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
    """Best-fit decreasing: the first row of each item, number of pages."""
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
    """Prefixes shared by all classes and an ending per class, embedded.

    Attributes:
        prefix: (P, a, D), beginning with SOS. P is 1 for CoOp, the batch size
            for contexts conditioned on images (CoCoOp), or the number of
            contexts per class.
        endings: (N, D), packed class after class; each ends with its EOT.
        layout: Lengths of the endings.
        deep: (L, P, m, D), deep prompts: they replace m rows of the prefixes
            at the inputs of layers 1 to L (the first layer is 0); or None.
        deep_start: The first replaced row; 1 follows SOS.
    """
    prefix: torch.Tensor
    endings: torch.Tensor
    layout: EndingLayout = field(repr=False)
    deep: Optional[torch.Tensor] = None
    deep_start: int = 1

    def select_classes(self, classes: ClassRange) -> 'PromptSet':
        """Keep all prefixes and the endings of some classes."""
        return replace(self, endings=self.endings[classes.rows],
                       layout=classes.layout)

    def split_prefixes(self, n: int) -> List['PromptSet']:
        """Split into at most n sets with a part of the prefixes each."""
        size = -(-len(self.prefix) // n)
        deep = [None] * n if self.deep is None else self.deep.split(size, 1)
        return [replace(self, prefix=prefix, deep=part)
                for prefix, part in zip(self.prefix.split(size), deep)]

    def replace_deep(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        """Insert a layer's deep prompts into its input (P, T, D), T >= a."""
        if self.deep is None or not 1 <= layer <= len(self.deep):
            return x
        deep = self.deep[layer - 1].to(x.dtype)  # (P, m, D)
        end = self.deep_start + deep.shape[1]
        return torch.cat([x[:, :self.deep_start], deep, x[:, end:]], dim=1)
