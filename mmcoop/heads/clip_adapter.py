"""CLIP-Adapter: a small network on the image features.

Gao et al., IJCV 2024 (arXiv 2110.04544).
"""
from typing import Any, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from ..registry import MODELS
from .fitted import FeatureHead, new_parameter
from .steps import train_epochs


@MODELS.register_module()
class CLIPAdapterHead(FeatureHead):
    """``ratio relu(relu(f A) B) + (1 - ratio) f``, normalised, against text.

    f are features before normalisation. Nothing belongs to the classes: the
    head predicts any.

    Args:
        prompt: As in :class:`FeatureHead`.
        ratio: Part of the network's output.
        reduction: The width between A and B is E / ``reduction``.
        lr: Learning rate of SGD.
        epochs: None: CoOp's, 50 for 1 image a class, 100 for up to 4, else
            200.
        batch_size: Images of a step.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        down: A, (E / reduction, E).
        up: B, (E, E / reduction).
    """
    views = 200  # a new one in each epoch
    fixes_classes = False

    def __init__(self, prompt: Any, ratio: float = 0.2, reduction: int = 4,
                 lr: float = 2e-3, epochs: Optional[int] = None,
                 batch_size: int = 32, **kwargs) -> None:
        self.reduction = reduction
        super().__init__(prompt, **kwargs)
        self.ratio, self.lr = ratio, lr
        self.epochs, self.batch_size = epochs, batch_size

    def build(self, channels: int) -> None:
        hidden = max(1, channels // self.reduction)
        self.down = new_parameter(hidden, channels)
        self.up = new_parameter(channels, hidden)

    def learn(self, train: Any) -> dict:
        for weight in (self.down, self.up):  # as nn.Linear
            nn.init.kaiming_uniform_(weight, a=5 ** .5)
        text = self.class_features()
        shots = len(train.labels) / len(text)
        epochs = self.epochs or (50 if shots <= 1 else
                                 100 if shots <= 4 else 200)

        def loss(features: torch.Tensor, labels: torch.Tensor):
            return F.cross_entropy(self.compute(features, text), labels)

        last = train_epochs(
            [self.down, self.up],
            dict(type='SGD', lr=self.lr, momentum=0.9, weight_decay=5e-4),
            train.views.float(), train.labels, self.batch_size, epochs, loss)
        return dict(loss=last)

    def compute(self, features: torch.Tensor,
                text: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of features (B, E) before normalisation."""
        adapted = F.linear(F.linear(features, self.down).relu(),
                           self.up).relu()
        features = self.ratio * adapted + (1 - self.ratio) * features
        return self.logit_scale * self.normalize(features) @ text.mT

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        return self.compute(self.pre_logits(feats).float(),
                            self.class_features())
