"""CLAP: a linear probe held near the class features, class by class.

Silva-Rodriguez et al., "A Closer Look at the Few-Shot Adaptation of Large
Vision-Language Models", CVPR 2024 (arXiv 2312.12730).
"""
from typing import Any, Iterator, Tuple

import torch
import torch.nn.functional as F

from ..config.derived import WARMUP_LR
from ..registry import MODELS
from .fitted import FeatureHead, new_parameter
from .steps import cosine, minimize, seeded_generator


@MODELS.register_module()
class CLAPHead(FeatureHead):
    """``logits = 100 f normalised(w)``, with w pulled towards the text.

    The loss is the cross-entropy and ``mean_k lambda_k |w_k - t_k|^2``. w
    starts at t, the class features before normalisation, and lambda_k is the
    mean zero-shot probability of class k on its own images, computed once.
    Nothing is selected: the constants are the same for all data sets.

    Args:
        prompt: As in :class:`FeatureHead`.
        lr: Learning rate of SGD.
        epochs: Each takes as many images as there are, of all views.
        batch_size: Images of a step.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        weight: w, (K, E).
    """
    of_classes = ('weight', )
    views = 20

    def __init__(self, prompt: Any, lr: float = 0.1, epochs: int = 300,
                 batch_size: int = 256, **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.lr, self.epochs, self.batch_size = lr, epochs, batch_size

    def build(self, channels: int) -> None:
        self.weight = new_parameter(0, channels)

    def learn(self, train: Any) -> dict:
        features = self.normalize(train.views).flatten(0, 1)  # (V n, E)
        labels = train.labels.repeat(len(train.views))
        text = self.raw_class_features().mean(0)
        strength = self.constraint(features, labels)
        weight = text.clone().requires_grad_()
        per = max(1, len(train.labels) // self.batch_size)

        def loss(part: torch.Tensor, own: torch.Tensor):
            distance = (weight - text).square().sum(1)
            return F.cross_entropy(self.compute(part, weight), own) \
                + (strength * distance).mean()

        def batches() -> Iterator[Tuple[torch.Tensor, torch.Tensor]]:
            generator = seeded_generator()
            for _ in range(self.epochs):
                order = torch.randperm(
                    len(labels), generator=generator).to(labels.device)
                for rows in order.split(self.batch_size)[:per]:
                    yield features[rows], labels[rows]

        last = minimize(
            [weight], dict(type='SGD', lr=self.lr, momentum=0.9), batches(),
            loss, self.epochs * per,
            cosine(self.epochs, per, WARMUP_LR / self.lr))
        self.assign('weight', weight)
        return dict(loss=last)

    @torch.no_grad()
    def constraint(self, features: torch.Tensor,
                   labels: torch.Tensor) -> torch.Tensor:
        """lambda (K, ) from unit features (m, E) and their labels (m, )."""
        text = self.class_features()
        own = (self.logit_scale * features @ text.mT).softmax(1).gather(
            1, labels[:, None])[:, 0]
        sums = own.new_zeros(len(text)).index_add(0, labels, own)
        return sums / labels.bincount(minlength=len(text)).clamp(min=1)

    def compute(self, features: torch.Tensor,
                weight: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of unit features (B, E)."""
        return self.logit_scale * features @ F.normalize(weight, dim=-1).mT

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        return self.compute(self.normalize(self.pre_logits(feats)),
                            self.select(self.weight))
