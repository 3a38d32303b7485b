"""Prompt-aligned gradient: ProGrad (Zhu et al., ICCV 2023)."""
from typing import Dict

import torch
import torch.nn.functional as F

from ..losses import LossInputs, Regularizer
from ..registry import MODELS, OPTIM_WRAPPERS
from .gradient_rule import GradientRuleOptimWrapper


@MODELS.register_module()
class ZeroShotDistillation(Regularizer):
    """Cross-entropy of the zero-shot and the learned class probabilities.

    ``-T^2 sum(softmax(zero-shot / T) * log_softmax(logits / T))``, the mean
    over images: the KL divergence up to a constant.

    Args:
        temperature: T; 1 as published.
        **kwargs: ``weight`` and ``name`` of :class:`Regularizer`.
    """
    default_name = 'kl'
    needs_hand_written = True

    def __init__(self, temperature: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.temperature = temperature

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        T = self.temperature
        teacher = inputs.logit_scale \
            * inputs.image_features @ inputs.hand_written_features.mT
        losses = -F.softmax(teacher / T, dim=-1) \
            * F.log_softmax(inputs.logits / T, dim=-1)
        return T**2 * losses.sum(-1).mean()


@OPTIM_WRAPPERS.register_module()
class ProGradOptimWrapper(GradientRuleOptimWrapper):
    """Remove from the gradient what conflicts with zero-shot knowledge.

    ProGrad, arXiv 2205.14865. With a, the gradient of the cross-entropy, and
    b, that of :class:`ZeroShotDistillation`, as vectors of all learned
    numbers: where a . b < 0, the step takes
    ``a - lambda (a . b / |b|) b / |b|``; elsewhere a.

    Args:
        *args: Arguments of mmengine's ``OptimWrapper``.
        lambda_: Share of the conflicting part that is removed.
        guide: Name of the loss with gradient b.
        **kwargs: Arguments of mmengine's ``OptimWrapper``.
    """

    def __init__(self, *args, lambda_: float = 1.0, guide: str = 'loss_kl',
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.lambda_ = lambda_
        self.guide = guide

    def combine(self, gradients: Dict[str, torch.Tensor]) -> torch.Tensor:
        if self.guide not in gradients:
            raise ValueError(
                f'ProGrad has no loss {self.guide!r} to be guided by, only '
                f'{", ".join(gradients)}: add model.head.regularizers='
                "[dict(type='mmcoop.ZeroShotDistillation')].")
        b = gradients[self.guide]
        a = sum(part for name, part in gradients.items()
                if name != self.guide)
        direction = F.normalize(b, dim=0)
        along = a @ direction
        if along >= 0:
            return a
        return a - self.lambda_ * along * direction
