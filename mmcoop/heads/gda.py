"""Gaussian discriminant analysis beside zero-shot CLIP.

Wang et al., "A Hard-to-Beat Baseline for Training-Free CLIP-based Adaptation",
ICLR 2024 (arXiv 2402.04087).
"""
from typing import Any, List, Tuple

import torch

from ..registry import MODELS
from .fitted import FeatureHead, Values, new_parameter

ROWS = 1 << 16  # features that are converted to fp64 at a time


@MODELS.register_module()
class GDAHead(FeatureHead):
    """``logits = 100 f t + alpha (f W + b)``, where f are unit features.

    W and b are those of Gaussians with a mean for each class and one shared
    covariance, from all views of the training images (:func:`fit_gaussians`).

    Args:
        prompt: As in :class:`FeatureHead`.
        alpha: Weight of the Gaussians, if none is selected.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        weight: W of the fitted classes, (K, E).
        bias: b, (K, ).
    """
    of_classes = ('weight', 'bias')
    views = 10
    in_forward = ('alpha', )

    def __init__(self, prompt: Any, alpha: float = 1., **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.values = dict(alpha=alpha)

    def build(self, channels: int) -> None:
        self.weight = new_parameter(0, channels)
        self.bias = new_parameter(0)

    def grid(self) -> List[Values]:
        return [dict(alpha=10. ** power) for power in range(-4, 3)]

    @torch.no_grad()
    def learn(self, train: Any) -> None:
        features = self.normalize(train.views)  # (V, n, E)
        weight, bias = fit_gaussians(
            features.flatten(0, 1), train.labels.repeat(len(features)),
            len(self.fitted_names))
        self.assign('weight', weight)
        self.assign('bias', bias)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        features = self.normalize(self.pre_logits(feats))
        gaussians = features @ self.select(self.weight).mT \
            + self.select(self.bias)
        return self.logit_scale * features @ self.class_features().mT \
            + self.values['alpha'] * gaussians


def fit_gaussians(features: torch.Tensor, labels: torch.Tensor, classes: int
                  ) -> Tuple[torch.Tensor, torch.Tensor]:
    """The linear classifier of Gaussians that share their covariance.

    The precision is ``E (S + tr(S) / (n - 1) I)^-1`` (Kubokawa and Srivastava,
    2008) with the scatter S of the features about their class means. Memory
    is that of the features and two (E, E) matrices in fp64.

    Args:
        features: (n, E), L2-normalised.
        labels: (n, ).
        classes: K.

    Returns:
        Weight (K, E) and bias (K, ), in fp64. Zeros and ``log(1 / K)`` if all
        features are class means, as with one view of one image a class.
    """
    n, width = features.shape
    double = dict(dtype=torch.float64, device=features.device)
    sums = torch.zeros(classes, width, **double)
    products = torch.zeros(width, width, **double)
    for part, rows in zip(features.split(ROWS), labels.split(ROWS)):
        part = part.double()
        sums.index_add_(0, rows, part)
        products.addmm_(part.mT, part)
    counts = labels.bincount(minlength=classes).clamp(min=1).to(**double)
    means = sums / counts[:, None]
    scatter = products - sums.mT @ means
    trace = scatter.trace()
    bias = sums.new_full((classes, ), 1 / classes).log()
    if n < 2 or trace <= 1e-12 * products.trace():
        return torch.zeros_like(means), bias
    scatter.diagonal().add_(trace / (n - 1))
    weight = width * torch.cholesky_solve(
        means.mT, torch.linalg.cholesky(scatter)).mT
    return weight, bias - (weight * means).sum(1) / 2
