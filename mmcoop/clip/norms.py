"""Learned LayerNorms of a tower."""
from typing import Dict

import torch
import torch.nn as nn

from ..registry import MODELS
from .adapt import TowerAdapter
from .frozen import FrozenModule


@MODELS.register_module()
class LayerNorms(TowerAdapter):
    """Copies of all LayerNorms' weights and biases, which are learned.

    They are whole weights and not differences, because weight decay pulls
    them to zero in the published recipe of two-stage adaptation (Farina et
    al., CVPR 2025, arXiv 2503.11609).

    Attributes:
        copies: By the tower's names, with / for each dot: two parameters of
            a width (W, ) for each norm.
    """

    def create(self, tower: FrozenModule) -> None:
        self.copies = nn.ParameterDict({
            f'{name}.{key}'.replace('.', '/'): p.detach().clone()
            for name, module in tower.named_modules()
            if isinstance(module, nn.LayerNorm)
            for key, p in module.named_parameters()})
        if not self.copies:
            raise ValueError(f'LayerNorms: the {type(tower).__name__} of this '
                             'CLIP has no LayerNorms.')

    def weights(self, tower: FrozenModule) -> Dict[str, torch.Tensor]:
        return {key.replace('/', '.'): p for key, p in self.copies.items()}
