"""TaskRes: a learned residual of each class feature.

Yu et al., "Task Residual for Tuning Vision-Language Models", CVPR 2023
(arXiv 2211.10277).
"""
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F

from ..registry import MODELS
from .fitted import FeatureHead, new_parameter
from .steps import train_epochs


@MODELS.register_module()
class TaskResHead(FeatureHead):
    """``logits = 100 f normalised(t + scale x)``, x learned from zeros.

    Args:
        prompt: As in :class:`FeatureHead`.
        scale: Published: 0.5, and 1 for Oxford Flowers.
        lr: Learning rate of Adam. Published: 2e-3, and 2e-4 for ImageNet.
        epochs: None: 100 for up to 4 images a class, else 200.
        batch_size: Images of a step.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        residual: x, (K, E).
    """
    of_classes = ('residual', )
    views = 200  # a new one in each epoch

    def __init__(self, prompt: Any, scale: float = 0.5, lr: float = 2e-3,
                 epochs: Optional[int] = None, batch_size: int = 256,
                 **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.scale, self.lr = scale, lr
        self.epochs, self.batch_size = epochs, batch_size

    def build(self, channels: int) -> None:
        self.residual = new_parameter(0, channels)

    def learn(self, train: Any) -> dict:
        text = self.class_features()
        residual = torch.zeros_like(text, requires_grad=True)
        few = len(train.labels) <= 4 * len(text)
        epochs = self.epochs or (100 if few else 200)

        def loss(features: torch.Tensor, labels: torch.Tensor):
            return F.cross_entropy(
                self.compute(features, text, residual), labels)

        last = train_epochs(
            [residual], dict(type='Adam', lr=self.lr, weight_decay=5e-4),
            self.normalize(train.views), train.labels, self.batch_size,
            epochs, loss)
        self.assign('residual', residual)
        return dict(loss=last)

    def compute(self, features: torch.Tensor, text: torch.Tensor,
                residual: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of unit features (B, E)."""
        text = F.normalize(text + self.scale * residual, dim=-1)
        return self.logit_scale * features @ text.mT

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        return self.compute(self.normalize(self.pre_logits(feats)),
                            self.class_features(),
                            self.select(self.residual))
