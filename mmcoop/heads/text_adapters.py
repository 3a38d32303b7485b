"""Adapters of class features, which the CoOp paper compares with (Table 5).

The paper gives no formulas; these are the simplest forms, shared by all
classes and initialised to zero-shot CLIP.
"""
import torch
import torch.nn as nn

from ..registry import MODELS


@MODELS.register_module()
class TextBias(nn.Module):
    """Add one learned vector (E, ), initially zero, to all class features.

    Args:
        channels: Width E of the features; the head sets it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Adapt L2-normalised class features, (K, E) -> (K, E)."""
        return features + self.bias


@MODELS.register_module()
class TextTransform(nn.Module):
    """Multiply all class features by one matrix (E, E), initially identity.

    Args:
        channels: Width E of the features; the head sets it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Adapt L2-normalised class features, (K, E) -> (K, E)."""
        return features @ self.weight
