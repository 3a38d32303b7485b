"""Cross-modal linear probe: class features are training samples as well.

Lin et al., "Multimodality Helps Unimodality", CVPR 2023 (arXiv 2301.06267).
"""
import math
import time
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import torch
from mmengine.logging import print_log

from ..config.derived import WARMUP_LR
from ..registry import MODELS
from .fitted import FeatureHead, Values, new_parameter
from .steps import LOG_INTERVAL, seeded_generator

RATES, DECAYS, BATCHES = (1e-3, 1e-4), (0., 1e-2, 1e-4), (8, 32)
WARMUP = 50  # steps
INTERVAL = 100  # steps between evaluations
BETAS, EPS = (0.9, 0.999), 1e-8  # of AdamW


@MODELS.register_module()
class CrossModalHead(FeatureHead):
    """``logits = 100 f w``, w trained on as many prompts as images.

    w starts at the class features. Half of each batch are images, half are
    class features: each prompt of a class is a sample of it. Learning rate,
    weight decay and batch size (12 combinations) and the step are selected:
    the first of the best.

    Args:
        prompt: As in :class:`FeatureHead`.
        steps: Steps of each combination; a cosine to 0 after a warm-up of 50.
        lr: Learning rate of AdamW, if none is selected.
        weight_decay: Weight decay, if none is selected.
        batch_size: Samples of a step, if none is selected.
        **kwargs: Other arguments of :class:`FeatureHead`.

    Attributes:
        weight: w, (K, E).
    """
    of_classes = ('weight', )

    def __init__(self, prompt: Any, steps: int = 12800, lr: float = 1e-3,
                 weight_decay: float = 1e-2, batch_size: int = 8,
                 **kwargs) -> None:
        super().__init__(prompt, **kwargs)
        self.steps = steps
        self.values = dict(lr=lr, weight_decay=weight_decay,
                           batch_size=batch_size, step=steps)

    def build(self, channels: int) -> None:
        self.weight = new_parameter(0, channels)

    def grid(self) -> List[Values]:
        return [dict(lr=lr, weight_decay=decay, batch_size=batch, step=step)
                for lr in RATES for decay in DECAYS for batch in BATCHES
                for step in range(1, self.steps + 1, INTERVAL)]

    def learn(self, train: Any, lr: float, weight_decay: float,
              batch_size: int, step: int) -> None:
        for done, weights in self._train(train, [lr], [weight_decay],
                                         batch_size):
            if done == step:
                self.assign('weight', weights[0])
                return

    def count_right(self, train: Any, held_out: Any,
                    candidates: List[Values]) -> List[int]:
        """As the base class; those of a batch size are trained at once."""
        counts: Dict[tuple, int] = {}
        for batch in dict.fromkeys(c['batch_size'] for c in candidates):
            pairs = list(dict.fromkeys(
                (c['lr'], c['weight_decay']) for c in candidates
                if c['batch_size'] == batch))
            wanted = {c['step'] for c in candidates
                      if c['batch_size'] == batch}
            if not self._fits(train, batch):
                continue
            for step, weights in self._train(train, *zip(*pairs), batch):
                if step not in wanted:
                    continue
                for pair, weight in zip(pairs, weights):
                    self.assign('weight', weight)
                    counts[(*pair, batch, step)] = self.count(held_out)
        return [counts.get((c['lr'], c['weight_decay'], c['batch_size'],
                            c['step']), 0) for c in candidates]

    def _fits(self, train: Any, batch: int) -> bool:
        """As published: a half must be smaller than its samples are many."""
        least = min(len(train.labels), len(self.raw_class_features()[0]))
        return batch == min(BATCHES) or batch // 2 < least

    def _train(self, train: Any, rates: Sequence[float],
               decays: Sequence[float], batch: int
               ) -> Iterator[Tuple[int, torch.Tensor]]:
        """Yield the step and w of each pair of rate and decay, (C, K, E)."""
        raw = self.raw_class_features()  # (S, K, E)
        texts = self.normalize(raw.flatten(0, 1))
        start = self.normalize(self.normalize(raw).mean(0))
        rows = torch.arange(raw.shape[1], device=raw.device)
        samples = [(self.normalize(train.features), train.labels),
                   (texts, rows.repeat(len(raw)))]
        return train_probes(start, samples, self.logit_scale, rates, decays,
                            batch, self.steps)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K) in fp32 from image features ((B, E), )."""
        return self.logit_scale * self.normalize(self.pre_logits(feats)) \
            @ self.select(self.weight).mT


@torch.no_grad()
def train_probes(start: torch.Tensor,
                 samples: Sequence[Tuple[torch.Tensor, torch.Tensor]],
                 scale: torch.Tensor, rates: Sequence[float],
                 decays: Sequence[float], batch: int, steps: int
                 ) -> Iterator[Tuple[int, torch.Tensor]]:
    """Train C linear classifiers on the same batches, by AdamW.

    The gradient of the mean cross-entropy is in closed form.

    Args:
        start: Initial weight (K, E) of all.
        samples: Unit features (n, E) and labels (n, ) of each modality, which
            has an equal part of every batch.
        scale: Logits are ``scale f w``.
        rates: C learning rates.
        decays: C weight decays.
        batch: Samples of a batch.
        steps: Number of steps.

    Yields:
        The number of steps and the weights (C, K, E), after each step.
    """
    weight = start.repeat(len(rates), 1, 1)
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    rate = weight.new_tensor(rates)[:, None, None]
    decay = weight.new_tensor(decays)[:, None, None]
    generator, size = seeded_generator(), batch // len(samples)
    streams = [_draw(len(labels), size, generator) for _, labels in samples]
    begin = last = time.perf_counter()
    for step in range(steps):
        rows = [next(stream).to(start.device) for stream in streams]
        x = torch.cat([f[r] for (f, _), r in zip(samples, rows)])  # (b, E)
        y = torch.cat([labels[r] for (_, labels), r in zip(samples, rows)])
        error = (scale * x @ weight.mT).softmax(-1)  # (C, b, K)
        error[:, torch.arange(len(y)), y] -= 1
        gradient = (scale / len(y)) * error.mT @ x  # (C, K, E)
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient,
                                       value=1 - BETAS[1])
        lr = rate * _factor(step, steps) if step else \
            torch.full_like(rate, WARMUP_LR)
        weight -= lr * decay * weight
        denominator = (second / (1 - BETAS[1] ** (step + 1))).sqrt_() + EPS
        weight -= lr / (1 - BETAS[0] ** (step + 1)) * first / denominator
        yield step + 1, weight
        now = time.perf_counter()
        if now - last > LOG_INTERVAL:
            last = now
            left = (now - begin) / (step + 1) * (steps - step - 1)
            print_log(f'Step {step + 1} of {steps}, {left:.0f} s left',
                      'current')


def _factor(step: int, steps: int) -> float:
    """Part of the learning rate: a linear warm-up, then half a cosine."""
    if step < WARMUP:
        return step / WARMUP
    return (1 + math.cos(math.pi * (step - WARMUP) / steps)) / 2


def _draw(images: int, size: int, generator: torch.Generator
          ) -> Iterator[torch.Tensor]:
    """Batches of indices without end, in a new order each time."""
    size = min(size, images)
    while True:
        order = torch.randperm(images, generator=generator)
        yield from order[:images // size * size].split(size)
