"""What the paper compares CoOp with: class features changed directly.

The paper (Table 5) names the two and gives no formula; these are the plainest
forms: one for all classes, which begin where zero-shot CLIP is.
"""
import torch
import torch.nn as nn

from ..registry import MODELS


@MODELS.register_module()
class TextBias(nn.Module):
    """``w + b``: one learned vector (E, ) for all classes, from zero.

    Args:
        channels: Width E of the features; the head gives it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """L2-normalised class features (K, E) -> (K, E)."""
        return features + self.bias


@MODELS.register_module()
class TextTransform(nn.Module):
    """``w A``: one learned matrix (E, E) for all classes, from the identity.

    Args:
        channels: Width E of the features; the head gives it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """L2-normalised class features (K, E) -> (K, E)."""
        return features @ self.weight
