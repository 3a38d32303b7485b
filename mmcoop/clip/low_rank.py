"""Low-rank adaptation of a tower's attention.

LoRA is by Hu et al., ICLR 2022 (arXiv 2106.09685), its use in both towers of
CLIP by Zanella and Ben Ayed, CVPR Workshops 2024 (arXiv 2405.18541).

Shapes: L layers of width W, rank r.
"""
import math
from functools import partial
from typing import Dict

import torch
import torch.nn as nn
import torch.nn.functional as F

from ..registry import MODELS
from .adapt import Addition, TowerAdapter
from .frozen import FrozenModule


@MODELS.register_module()
class LoRA(TowerAdapter):
    """Low-rank matrices beside the queries', keys' and values' weights.

    Each of these weights (W, W) of each layer becomes
    ``weight + alpha / sqrt(rank) * B @ A``, with A (r, W) uniform in
    +-1 / sqrt(W) and B (W, r) zero at the start. In training the branch has
    an input of its own, x after dropout; in evaluation it is merged.

    Where the text engine encodes tokens that classes share once, these
    classes share their dropout masks as well: each class's features are
    distributed as if it were encoded alone.

    Args:
        rank: r.
        alpha: Numerator of the scale. As in the published CLIP-LoRA the
            denominator is the rank's root, not the rank.
        dropout: Probability with which elements of the branch's input are 0.

    Attributes:
        A: (L, 3, r, W), of q, k and v.
        B: (L, 3, W, r).

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(self, rank: int = 2, alpha: float = 1.,
                 dropout: float = 0.25) -> None:
        super().__init__()
        if not isinstance(rank, int) or rank < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f'LoRA: rank={rank}, dropout={dropout}: a whole number of at '
                'least 1 and a probability below 1 are needed.')
        self.rank, self.alpha, self.dropout = rank, alpha, dropout

    @property
    def scale(self) -> float:
        """The factor of ``B @ A``."""
        return self.alpha / math.sqrt(self.rank)

    def create(self, tower: FrozenModule) -> None:
        self.layers = [  # names of the attention layers
            name for name, module in tower.named_modules()
            if name.split('.')[-3:-2] == ['resblocks']
            and type(module) is nn.MultiheadAttention and module.batch_first]
        if not self.layers:
            raise ValueError(
                f'LoRA: the {type(tower).__name__} of this CLIP has no '
                'attention layers of PyTorch\'s kind (nn.MultiheadAttention).')
        like = tower.get_submodule(self.layers[0]).in_proj_weight
        L, W, r = len(self.layers), like.shape[1], self.rank
        self.A = nn.Parameter(
            like.new_empty(L, 3, r, W).uniform_(-W**-0.5, W**-0.5))
        self.B = nn.Parameter(like.new_zeros(L, 3, W, r))

    def weights(self, tower: FrozenModule) -> Dict[str, torch.Tensor]:
        change = self.scale * (self.B @ self.A).flatten(1, 2)  # (L, 3W, W)
        return {f'{name}.in_proj_weight':
                tower.get_submodule(name).in_proj_weight + part
                for name, part in zip(self.layers, change)}

    def additions(self) -> Dict[str, Addition]:
        return {name: partial(self._branch, A, B) for name, A, B in zip(
            self.layers, self.A.unbind(), self.B.unbind())}

    def _branch(self, A: torch.Tensor, B: torch.Tensor,
                x: torch.Tensor) -> torch.Tensor:
        """(..., W) -> (..., 3W), with A (3, r, W) and B (3, W, r)."""
        parts = [F.linear(F.linear(F.dropout(x, self.dropout), a), b)
                 for a, b in zip(A, B)]  # a dropout mask for each of q, k, v
        return self.scale * torch.cat(parts, dim=-1)

    def settings(self) -> dict:
        return dict(super().settings(), rank=self.rank, alpha=self.alpha)
