"""Mean shift over views: MTA (Zanella and Ben Ayed, CVPR 2024)."""
import torch
import torch.nn.functional as F

from ..registry import MODELS
from .base import BaseAdaptation, check_share

ITERATIONS = 5  # at most, of both steps together and of each of them
TOLERANCE = 1e-6


@MODELS.register_module()
class MTA(BaseAdaptation):
    """Classify the mode of the features of views, by a weighted mean shift.

    arXiv 2405.02266. Nothing is learned. In turns, at most five times,

    - the inlierness scores y of the views on the simplex increase
      ``sum_p y_p k_p + lambda_q / 2 sum_pq w_pq y_p y_q + lambda_y H(y)``,
      by ``y = softmax((k + lambda_q w y) / lambda_y)``, where k are the
      densities at the mode and w_pq the product of the views' probabilities;
    - the mode moves to the mean of the features weighted by k y, normalised.

    k is Gaussian, with the bandwidth of each view from its nearest other
    views.

    Args:
        module: As in :class:`BaseAdaptation`.
        views: Number of views V.
        lambda_y: Weight of the entropy of y.
        lambda_q: Weight of the affinities.
        nearest: The part of the other views that set the bandwidth.
        **kwargs: Other arguments of :class:`BaseAdaptation`.

    Raises:
        ValueError: As in :class:`BaseAdaptation`, or there is one view only.
    """

    def __init__(self, module, views: int = 64, lambda_y: float = 0.2,
                 lambda_q: float = 4., nearest: float = 0.3,
                 **kwargs) -> None:
        check_share('nearest', nearest)
        if views == 1:
            raise ValueError('tta_model.views=1: MTA seeks the mode of '
                             'several views.')
        super().__init__(module, views, **kwargs)
        self.lambda_y = lambda_y
        self.lambda_q = lambda_q
        self.nearest = nearest

    def adapt(self, feats: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        mode = self.find_mode(F.normalize(feats.float(), dim=-1),
                              self.logits(feats).softmax(1))
        return self.logits(mode[None])[0]

    def find_mode(self, features: torch.Tensor,
                  probabilities: torch.Tensor) -> torch.Tensor:
        """Find the mode (E,), L2-normalised.

        Args:
            features: (V, E), L2-normalised.
            probabilities: (V, K).
        """
        squared_width = self.squared_bandwidth(features)
        affinity = probabilities @ probabilities.T
        y = features.new_full((len(features), ), 1 / len(features))
        mode = features[0]
        for _ in range(ITERATIONS):
            density = _density(features, mode, squared_width)
            for _ in range(ITERATIONS):
                before, y = y, self.update_scores(y, density, affinity)
                if torch.norm(y - before) < TOLERANCE:
                    break
            for _ in range(ITERATIONS):
                weights = y * _density(features, mode, squared_width)
                before, mode = mode, F.normalize(weights @ features, dim=0)
                if torch.norm(mode - before) < TOLERANCE:
                    break
        return mode

    def squared_bandwidth(self, features: torch.Tensor) -> torch.Tensor:
        """(V,): half the mean squared distance of the nearest other views."""
        squared = _squared_distance(features[:, None], features)  # (V, V)
        kept = max(1, int(self.nearest * (len(features) - 1)))
        squared = squared.sort(1).values[:, 1:kept + 1]
        # equal views: their distances are rounding only
        return (0.5 * squared.mean(1)).clamp(min=1e-10)

    def update_scores(self, y: torch.Tensor, density: torch.Tensor,
                      affinity: torch.Tensor) -> torch.Tensor:
        """The next inlierness scores (V,) from those before.

        Args:
            y: (V,), on the simplex.
            density: (V,).
            affinity: (V, V).
        """
        return ((density + self.lambda_q * affinity @ y)
                / self.lambda_y).softmax(0)


def _squared_distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Over the last axis; not by products, which would lose small ones."""
    return (a - b).square().sum(-1)


def _density(features: torch.Tensor, mode: torch.Tensor,
             squared_width: torch.Tensor) -> torch.Tensor:
    """Gaussian kernels (V,) at the mode."""
    return (-_squared_distance(features, mode) / (2 * squared_width)).exp()
