"""Caches of earlier test images: TDA (Karmanov et al., CVPR 2024)."""
import math
from typing import Optional, Tuple

import torch
import torch.nn.functional as F

from ..registry import MODELS
from .base import BaseAdaptation, entropy


@MODELS.register_module()
class TDA(BaseAdaptation):
    """Add what the features of earlier test images say to the logits.

    arXiv 2403.18293. Nothing is learned, and an image is seen once, as it is.
    It enters the positive cache of its predicted class, and the negative cache
    if its entropy, over log2 K, is within ``entropy_range``; where a class is
    full, in place of the image of highest entropy if its own is lower. Then
    ``logits + positive - negative``, each ``alpha * sum_i exp(-beta (1 - f
    k_i)) v_i`` over the cached features k_i, with v_i the one-hot predicted
    class, and in the negative cache the classes whose probability is within
    ``mask_range``.

    The result depends on the order of the test images, and on ``seed`` where
    the sampler shuffles them. So it runs in one process only. The published
    code sets the positive alpha and beta for each data set (ImageNet 2 and 5,
    EuroSAT 4 and 8); here they are one constant.

    Args:
        module: As in :class:`BaseAdaptation`.
        positive_alpha: Weight of the positive cache.
        positive_beta: Sharpness of its similarities.
        positive_shots: Its images a class; 0 switches it off.
        negative_alpha: Weight of the negative cache.
        negative_beta: Sharpness of its similarities.
        negative_shots: Its images a class; 0 switches it off.
        entropy_range: Entropies, over log2 K, that enter it, without the ends.
        mask_range: Probabilities that count as present, without the ends.
        **kwargs: Other arguments of :class:`BaseAdaptation`.

    Raises:
        ValueError: As in :class:`BaseAdaptation`, or the number of shots is
            negative.
    """
    depends_on_order = True

    def __init__(self, module,
                 positive_alpha: float = 2.,
                 positive_beta: float = 5.,
                 positive_shots: int = 3,
                 negative_alpha: float = 0.117,
                 negative_beta: float = 1.,
                 negative_shots: int = 2,
                 entropy_range: Tuple[float, float] = (0.2, 0.5),
                 mask_range: Tuple[float, float] = (0.03, 1.0),
                 **kwargs) -> None:
        for name, shots in (('positive_shots', positive_shots),
                            ('negative_shots', negative_shots)):
            if type(shots) is not int or shots < 0:
                raise ValueError(f'tta_model.{name}={shots}: a whole number '
                                 'is needed; 0 switches the cache off.')
        super().__init__(module, **kwargs)
        self.positive_alpha = positive_alpha
        self.positive_beta = positive_beta
        self.positive_shots = positive_shots
        self.negative_alpha = negative_alpha
        self.negative_beta = negative_beta
        self.negative_shots = negative_shots
        self.entropy_range = tuple(entropy_range)
        self.mask_range = tuple(mask_range)
        self.reset()

    def reset(self) -> None:
        self.positive: Optional[Cache] = None
        self.negative: Optional[Cache] = None

    def adapt(self, feats: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        feature = F.normalize(feats[0].float(), dim=-1)  # (E,)
        if self.positive is None:
            self.positive, self.negative = (
                Cache(len(plain), shots, feature) for shots in
                (self.positive_shots, self.negative_shots))
        probability, own = plain.softmax(0), entropy(plain)  # (K,), ()
        label = int(plain.argmax())
        self.positive.add(label, own, feature, F.one_hot(
            plain.argmax(), len(plain)))
        low, high = self.entropy_range
        if low < own / math.log2(max(2, len(plain))) < high:
            low, high = self.mask_range
            self.negative.add(label, own, feature,
                              (probability > low) & (probability < high))
        return plain \
            + self.positive_alpha * self.positive.look_up(
                feature, self.positive_beta) \
            - self.negative_alpha * self.negative.look_up(
                feature, self.negative_beta)


class Cache:
    """Up to S images of least entropy for each of K classes.

    Args:
        classes: K.
        shots: S.
        like: (E,), a feature, for its size and device.

    Attributes:
        entropy: (K, S), infinite where no image is kept.
        keys: (K, S, E), L2-normalised features.
        values: (K, S, K), which classes an image speaks of.
    """

    def __init__(self, classes: int, shots: int, like: torch.Tensor) -> None:
        self.entropy = like.new_full((classes, shots), torch.inf)
        self.keys = like.new_zeros(classes, shots, len(like))
        self.values = like.new_zeros(classes, shots, classes)

    def add(self, label: int, entropy: torch.Tensor, key: torch.Tensor,
            value: torch.Tensor) -> None:
        """Keep an image if its class has room, or one of higher entropy."""
        if self.entropy.shape[1] == 0:
            return
        worst = self.entropy[label].argmax()
        if entropy < self.entropy[label, worst]:
            self.entropy[label, worst] = entropy
            self.keys[label, worst] = key
            self.values[label, worst] = value.to(key.dtype)

    def look_up(self, feature: torch.Tensor, beta: float) -> torch.Tensor:
        """Sum of the values (K,), weighted by similarity to a feature (E,)."""
        weights = (beta * (self.keys @ feature - 1)).exp()  # (K, S)
        weights = weights * self.entropy.isfinite()
        return weights.flatten() @ self.values.flatten(0, 1)
