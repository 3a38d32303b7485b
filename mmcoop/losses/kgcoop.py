"""Knowledge-guided context: KgCoOp (Yao et al., CVPR 2023)."""
from typing import Optional

import torch

from ..registry import MODELS
from .base import LossInputs, Regularizer


@MODELS.register_module()
class KnowledgeGuidance(Regularizer):
    """One minus the mean cosine of learned and hand-written class features.

    KgCoOp, arXiv 2303.13283. It serves any learned prompt.

    Args:
        weight: Factor of the loss; 8 as published.
        name: Its name in the log.
    """
    needs_hand_written = True

    def __init__(self, weight: float = 8.0,
                 name: Optional[str] = 'guidance') -> None:
        super().__init__(weight, name)

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        cosines = inputs.class_features * inputs.hand_written_features
        return 1 - cosines.sum(-1).mean()
