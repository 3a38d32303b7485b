"""Knowledge-guided context: KgCoOp (Yao et al., CVPR 2023)."""
import torch

from ..registry import MODELS
from .base import LossInputs, Regularizer


@MODELS.register_module()
class KnowledgeGuidance(Regularizer):
    """One minus the mean cosine of learned and hand-written class features.

    KgCoOp, arXiv 2303.13283. It serves any learned prompt.
    """
    default_weight = 8.0
    default_name = 'guidance'
    needs_hand_written = True

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        cosines = inputs.class_features * inputs.hand_written_features
        return 1 - cosines.sum(-1).mean()
