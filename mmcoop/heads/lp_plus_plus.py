"""LP++: a linear probe blended with class features, with computed rates.

Huang et al., "LP++: A Surprisingly Strong Linear Probe for Few-Shot CLIP",
CVPR 2024 (arXiv 2404.02285).
"""
from typing import Any, Iterator, List, Tuple

import torch

from ..registry import MODELS
from .fitted import FeatureHead, Values, new_parameter

MOMENTUM = 0.9
ALPHA_INTERVAL = 10  # steps
ALPHA_SCALE = 250.


@MODELS.register_module()
class LPPlusPlusHead(FeatureHead):
    """``logits = f W + b + alpha (f t)``, trained by full-batch descent.

    The learning rates are bounds of the Lipschitz constants, computed from the
    features; the gradients are in closed form. W starts at the sums of the
    features of each class, b at 0 (published: PyTorch's random start) and
    alpha at the mean over the classes of 250 times the mean cosine between
    images and text. The epoch is selected: the last of the best.

    Args:
        prompt: As in :class:`FeatureHead`.
        epochs: Number of steps.
        accumulate_alpha_gradient: As in the published code, alpha's gradient
            is never set to zero, so that it sums up over all steps. False:
            every tenth step takes its own gradient.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        weight: W, (K, E).
        bias: b, (K, ).
        alpha: (K, ).
    """
    of_classes = ('weight', 'bias', 'alpha')
    views = 1
    ties = 'last'

    def __init__(self, prompt: Any, epochs: int = 300,
                 accumulate_alpha_gradient: bool = True, **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.epochs = epochs
        self.accumulate_alpha_gradient = accumulate_alpha_gradient
        self.values = dict(epoch=epochs)

    def build(self, channels: int) -> None:
        self.weight = new_parameter(0, channels)
        self.bias = new_parameter(0)
        self.alpha = new_parameter(0)

    def grid(self) -> List[Values]:
        return [dict(epoch=epoch + 1) for epoch in range(self.epochs)]

    def learn(self, train: Any, epoch: int) -> dict:
        for step, loss in enumerate(self._descend(train), 1):
            if step == epoch:
                return dict(loss=loss)

    def count_right(self, train: Any, held_out: Any,
                    candidates: List[Values]) -> List[int]:
        """As the base class, in a single descent."""
        counts = [self.count(held_out) for _ in self._descend(train)]
        return [counts[values['epoch'] - 1] for values in candidates]

    @torch.no_grad()
    def _descend(self, train: Any) -> Iterator[float]:
        """Yield the loss before each step, after the step."""
        features, labels = self.normalize(train.features), train.labels
        n, rows = len(labels), torch.arange(len(labels),
                                            device=labels.device)
        text = self.class_features()
        cosines = features @ text.mT  # (n, K)
        counts = labels.bincount(minlength=cosines.shape[1]).clamp(min=1)
        weight = torch.zeros_like(self.weight).index_add(0, labels, features)
        bias = torch.zeros_like(self.bias)
        own = torch.zeros_like(bias).index_add(0, labels,
                                               cosines[rows, labels])
        alpha = torch.full_like(bias, (ALPHA_SCALE * own / counts).mean())
        # F'F and FF' have the same largest eigenvalue
        gram = features @ features.mT if n < features.shape[1] \
            else features.mT @ features
        lr_weight = 4 * n / torch.linalg.eigvalsh(gram)[-1]
        lr_alpha = n / (4 * cosines.square().sum(0).max())
        momenta = torch.zeros_like(weight), torch.zeros_like(bias)
        accumulated = torch.zeros_like(alpha)
        for step in range(1, self.epochs + 1):
            loss, gradients = loss_and_gradients(
                features, text, labels, weight, bias, alpha)
            for tensor, momentum, gradient in zip(
                    (weight, bias), momenta, gradients):
                momentum.mul_(MOMENTUM).add_(gradient)
                tensor.sub_(lr_weight * momentum)
            if not self.accumulate_alpha_gradient:
                accumulated.zero_()
            accumulated += gradients[2]
            if step % ALPHA_INTERVAL == 0:
                alpha -= lr_alpha * accumulated
            self.assign('weight', weight)
            self.assign('bias', bias)
            self.assign('alpha', alpha)
            yield loss.item()

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        features = self.normalize(self.pre_logits(feats))
        return features @ self.select(self.weight).mT + self.select(
            self.bias) + self.select(self.alpha) * (
                features @ self.class_features().mT)


def loss_and_gradients(features: torch.Tensor, text: torch.Tensor,
                       labels: torch.Tensor, weight: torch.Tensor,
                       bias: torch.Tensor, alpha: torch.Tensor
                       ) -> Tuple[torch.Tensor, Tuple[torch.Tensor, ...]]:
    """Cross-entropy of LP++ and its gradients in closed form.

    ``f W + alpha (f t) = f (W + alpha t)``, so that alpha costs no product of
    its own, forward or backward.

    Args:
        features: (n, E).
        text: Class features (K, E).
        labels: (n, ).
        weight: (K, E).
        bias: (K, ).
        alpha: (K, ).

    Returns:
        The mean loss, and the gradients of weight, bias and alpha.
    """
    n, own = len(labels), labels[:, None]
    logits = torch.addmm(
        bias, features, torch.addcmul(weight, alpha[:, None], text).mT)
    own_logits, error = logits.gather(1, own), logits.softmax(1)  # (n, K)
    most, where = error.max(1, keepdim=True)
    # log-sum-exp by the largest term, which cannot underflow
    loss = (logits.gather(1, where) - most.log() - own_logits).mean()
    error.scatter_add_(1, own, error.new_full((n, 1), -1.))
    gradient = error.mT @ features / n
    return loss, (gradient, error.sum(0) / n, (gradient * text).sum(1))
