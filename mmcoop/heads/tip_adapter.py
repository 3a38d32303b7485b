"""Tip-Adapter: a cache of training features beside zero-shot CLIP.

Zhang et al., ECCV 2022 (arXiv 2207.09519).
"""
from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmengine.logging import print_log

from ..registry import MODELS
from .fitted import LOGITS, FeatureHead, Values, new_parameter
from .steps import cosine, draw_batches, minimize

GIB = 1 << 30
PRODUCT = 256  # classes up to which a matrix product is the faster sum


@MODELS.register_module()
class TipAdapterHead(FeatureHead):
    """``logits = 100 f t + alpha exp(-beta (1 - f keys)) one-hot labels``.

    The keys are the training features: the mean over views, L2-normalised
    afterwards. Nothing is trained.

    Args:
        prompt: As in :class:`FeatureHead`.
        alpha: Weight of the cache, if none is selected.
        beta: Sharpness, if none is selected. The defaults are the paper's.
        max_cache: GiB that the keys may take.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        keys: (n, E).
        labels: Their classes, (n, ).

    Raises:
        ValueError: The cache would be larger than ``max_cache``.
    """
    views = 10
    in_forward = ('beta', 'alpha')

    def __init__(self, prompt: Any, alpha: float = 1., beta: float = 5.5,
                 max_cache: float = 4., **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.values = dict(beta=beta, alpha=alpha)
        self.initial = dict(self.values)
        self.max_cache = max_cache

    def build(self, channels: int) -> None:
        self.keys = new_parameter(0, channels)
        self.register_buffer('labels', torch.zeros(0, dtype=torch.long))

    def check_size(self, images: int) -> None:
        size = images * self.keys.shape[1] * 4 / GIB
        what = f'the cache of {images} images takes {size:.2f} GiB'
        if size > self.max_cache:
            raise ValueError(
                f'{what}, more than model.head.max_cache={self.max_cache} '
                'allows: raise it, or take fewer images a class (shots=16).')
        print_log(f'{type(self).__name__}: {what}.', 'current')

    def grid(self) -> List[Values]:
        return [dict(beta=.1 + i * 11.9 / 200, alpha=.1 + j * 9.9 / 20)
                for i in range(200) for j in range(20)]

    @torch.no_grad()
    def learn(self, train: Any) -> None:
        keys = train.views.float().mean(0)
        self.assign('keys', F.normalize(keys, dim=-1))
        self.assign('labels', train.labels)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        features = self.normalize(self.pre_logits(feats))
        cache = look_up(features, self.keys, self.labels,
                        len(self.fitted_names), self.values['beta'])
        return self.logit_scale * features @ self.class_features().mT \
            + self.values['alpha'] * self.select(cache, 1)

    @torch.no_grad()
    def count_right(self, train: Any, held_out: Any,
                    candidates: List[Values]) -> List[int]:
        """As the base class; cosines are computed once for all candidates."""
        self.learn(train)
        by_beta = {}
        for i, values in enumerate(candidates):
            by_beta.setdefault(values['beta'], []).append(i)
        right = torch.zeros(len(candidates), dtype=torch.long)
        text, most = self.class_features(), max(map(len, by_beta.values()))
        width = max(len(self.keys), most * len(self.fitted_names))
        step = max(1, LOGITS // width)
        for part, labels in zip(held_out.features.split(step),
                                held_out.labels.split(step)):
            part = self.normalize(part)
            zero_shot = self.logit_scale * part @ text.mT
            cosines = part @ self.keys.mT
            for beta, rows in by_beta.items():
                alphas = zero_shot.new_tensor(
                    [candidates[i]['alpha'] for i in rows])
                logits = zero_shot + alphas[:, None, None] * sum_affinities(
                    cosines, self.labels, zero_shot.shape[1], beta)
                right[rows] += (logits.argmax(-1) == labels).sum(1).cpu()
        return right.tolist()


@MODELS.register_module()
class TipAdapterFHead(TipAdapterHead):
    """Tip-Adapter-F: the keys are trained, with the initial alpha and beta.

    The published code reports the epoch that is best on test images; here it
    is the last one.

    Args:
        prompt: As in :class:`FeatureHead`.
        epochs: Passes over the training images.
        batch_size: Images of a step.
        lr: Initial learning rate of AdamW; a cosine to 0 over all steps.
        **kwargs: Other arguments of :class:`TipAdapterHead`.
    """

    def __init__(self, prompt: Any, epochs: int = 20, batch_size: int = 256,
                 lr: float = 1e-3, **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.epochs, self.batch_size, self.lr = epochs, batch_size, lr

    def learn(self, train: Any) -> Optional[dict]:
        super().learn(train)
        text, (beta, alpha) = self.class_features(), self.initial.values()
        keys = self.keys.detach().clone().requires_grad_()

        def loss(features: torch.Tensor, labels: torch.Tensor):
            logits = self.logit_scale * features @ text.mT + alpha * \
                sum_affinities(features @ keys.mT, self.labels, len(text),
                               beta)
            return F.cross_entropy(logits, labels)

        total = self.epochs * -(-len(train.labels) // self.batch_size)
        last = minimize(
            [keys], dict(type='AdamW', lr=self.lr, eps=1e-4,
                         weight_decay=0.01),
            draw_batches(self.normalize(train.views), train.labels,
                         self.batch_size, self.epochs),
            loss, total, cosine(total))
        self.assign('keys', keys)
        return dict(loss=last)


def look_up(features: torch.Tensor, keys: torch.Tensor, labels: torch.Tensor,
            classes: int, beta: float) -> torch.Tensor:
    """What the cache says of each class, in bounded memory.

    Args:
        features: Unit features (B, E).
        keys: (n, E).
        labels: Their classes, (n, ).
        classes: K.
        beta: Sharpness.

    Returns:
        (B, K), the sums of ``exp(-beta (1 - f key))`` over the keys of a
        class.
    """
    step = max(1, LOGITS // max(1, len(keys)))
    return torch.cat([sum_affinities(part @ keys.mT, labels, classes, beta)
                      for part in features.split(step)])


def sum_affinities(cosines: torch.Tensor, labels: torch.Tensor, classes: int,
                   beta: float) -> torch.Tensor:
    """As :func:`look_up`, from the cosines (B, n) of features and keys."""
    affinity = torch.exp(-beta * (1 - cosines))
    if classes <= PRODUCT:
        return affinity @ F.one_hot(labels, classes).to(affinity)
    return affinity.new_zeros(len(cosines), classes).index_add(
        1, labels, affinity)
