"""Generalised cross-entropy, a loss for training labels that are noisy."""
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmpretrain.models.losses.utils import weight_reduce_loss

from ..registry import MODELS


@MODELS.register_module()
class GeneralizedCrossEntropy(nn.Module):
    """``(1 - p_y ** q) / q``, between cross-entropy and absolute error.

    For q -> 0 it is the cross-entropy, for q = 1 it is ``1 - p_y``, half the
    mean absolute error: the larger q, the less a label counts that the model
    thinks unlikely (Zhang and Sabuncu, NeurIPS 2018, arXiv 1805.07836; with
    CoOp: Wu et al., ICCV 2023, arXiv 2307.11978). It takes the place of
    mmpretrain's losses: ``head=dict(loss=dict(type=...))``.

    Args:
        q: Exponent, above 0 and at most 1.
        reduction: ``mean``, ``sum`` or ``none``.
        loss_weight: Factor of the loss.

    Raises:
        ValueError: ``q`` is out of range.
    """

    def __init__(self, q: float = 0.7, reduction: str = 'mean',
                 loss_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < q <= 1:
            raise ValueError(f'GeneralizedCrossEntropy: q={q}: above 0 and at '
                             'most 1 is needed.')
        self.q = q
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(self, cls_score: torch.Tensor, label: torch.Tensor,
                weight: Optional[torch.Tensor] = None,
                avg_factor: Optional[float] = None,
                reduction_override: Optional[str] = None) -> torch.Tensor:
        """The loss.

        Args:
            cls_score: Logits (B, K).
            label: Labels (B, ), or shares of the classes (B, K), as of mixup:
                the losses of the classes are summed with these weights.
            weight: (B, ), a factor of each image.
            avg_factor: What the sum is divided by; None: the batch size.
            reduction_override: Takes the place of ``reduction``.

        Returns:
            A scalar; (B, ) without a reduction.
        """
        log_p = F.log_softmax(cls_score, dim=1)
        if label.ndim == 1:
            label = F.one_hot(label, log_p.shape[1])
        # exact for small q, and with finite gradients for p -> 0
        losses = -torch.expm1(self.q * log_p) / self.q
        return self.loss_weight * weight_reduce_loss(
            (losses * label).sum(1), weight,
            reduction_override or self.reduction, avg_factor)
