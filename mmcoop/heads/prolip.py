"""ProLIP: the image tower's last projection is fine-tuned.

Fahes et al., "CLIP's Visual Embedding Projector is a Few-shot Cornucopia",
2024 (arXiv 2410.05270).
"""
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F

from ..clip import Projection
from ..registry import MODELS
from .fitted import FeatureHead, new_parameter
from .steps import cosine, draw_batches, minimize


@MODELS.register_module()
class ProLIPHead(FeatureHead):
    """``logits = 100 normalised(x P + bias) t``, where P starts at CLIP's.

    x are the tower's features before its projection. The loss is the
    cross-entropy and ``strength |P - P_0|^2``, over all images at once.
    Nothing is selected; nothing belongs to the classes: the head predicts
    any.

    Args:
        prompt: As in :class:`FeatureHead`.
        projection: The tower's projection, which :class:`CoOp` gives.
        lr: Learning rate of Adam; a cosine to 0 over all steps.
        strength: Weight of the squared departure. None: 1 / N with N images a
            class, as published for use without validation images.
        steps: Number of steps; each takes the next view.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        weight: P, as (E, W).
    """
    views = 300
    fixes_classes = False
    before_projection = True

    def __init__(self, prompt: Any, projection: Projection, lr: float = 1e-5,
                 strength: Optional[float] = None, steps: int = 300,
                 **kwargs) -> None:
        self.projection = projection
        super().__init__(prompt, **kwargs)
        self.lr, self.strength, self.steps = lr, strength, steps

    def build(self, channels: int) -> None:
        weight, bias = self.projection
        self.weight = new_parameter(*weight.shape)
        self.assign('weight', weight)
        # CLIP's own, which checkpoints need not hold
        self.register_buffer('start', weight.clone(), persistent=False)
        self.register_buffer('shift', weight.new_zeros(len(weight))
                             if bias is None else bias, persistent=False)

    @property
    def in_channels(self) -> int:
        return self.weight.shape[1]

    def learn(self, train: Any) -> dict:
        text, n = self.class_features(), len(train.labels)
        strength = len(text) / n if self.strength is None else self.strength
        self.assign('weight', self.start.clone())

        def loss(features: torch.Tensor, labels: torch.Tensor):
            return F.cross_entropy(self.compute(features, text), labels) \
                + strength * (self.weight - self.start).square().sum()

        last = minimize(
            [self.weight], dict(type='Adam', lr=self.lr, eps=1e-4),
            draw_batches(train.views.float(), train.labels, n, self.steps),
            loss, self.steps, cosine(self.steps))
        return dict(loss=last)

    def compute(self, features: torch.Tensor,
                text: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of features (B, W) before the projection."""
        projected = F.linear(features, self.weight, self.shift)
        return self.logit_scale * self.normalize(projected) @ text.mT

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from features ((B, W), )."""
        return self.compute(self.pre_logits(feats).float(),
                            self.class_features())
