"""Gradient steps of heads on cached features."""
import math
import time
from typing import Callable, Iterable, Iterator, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from mmengine.registry import OPTIMIZERS

from ..config.derived import WARMUP_LR

LOG_INTERVAL = 10  # seconds
Factor = Callable[[int], float]  # step -> part of the learning rate


def minimize(parameters: Iterable[torch.Tensor], optimizer: dict,
             batches: Iterable, loss: Callable[..., torch.Tensor],
             total: int, factor: Optional[Factor] = None,
             after: Optional[Callable[[int], None]] = None) -> float:
    """Take a gradient step on every batch.

    Args:
        parameters: What is learned.
        optimizer: Config of a torch optimiser: ``type`` and its arguments.
        batches: Yields the arguments of ``loss``.
        loss: Gives the loss of a batch.
        total: The number of batches, for the log.
        factor: Gives the part of the learning rate at step i, from 0.
        after: Called after step i with i.

    Returns:
        The last loss.

    Raises:
        FloatingPointError: A loss is NaN or infinite.
    """
    parameters = list(parameters)
    optim = OPTIMIZERS.build(dict(optimizer, params=parameters))
    rate, value = optim.param_groups[0]['lr'], None
    start = last = time.perf_counter()
    for step, batch in enumerate(batches):
        if factor is not None:
            for group in optim.param_groups:
                group['lr'] = rate * factor(step)
        optim.zero_grad()
        with torch.enable_grad():
            value = loss(*batch)
        if not torch.isfinite(value):
            raise FloatingPointError(
                f'the loss is {value.item()} in step {step + 1} of {total}, '
                f"learning rate {optim.param_groups[0]['lr']:g}; try a "
                'smaller one.')
        value.backward()
        optim.step()
        if after is not None:
            after(step)
        now = time.perf_counter()
        if now - last > LOG_INTERVAL:
            last = now
            left = (now - start) / (step + 1) * (total - step - 1)
            print_log(f'Step {step + 1} of {total}, loss {value.item():.4f}, '
                      f'{left:.0f} s left', 'current')
    optim.zero_grad()
    return math.nan if value is None else value.item()


def train_epochs(parameters: Sequence[torch.Tensor], optimizer: dict,
                 features: torch.Tensor, labels: torch.Tensor, size: int,
                 epochs: int, loss: Callable[..., torch.Tensor]) -> float:
    """Train as CoOp's trainer does, on which others are built.

    A first epoch at 1e-5, then half a cosine by epochs; a smaller last batch
    is left out.

    Args:
        parameters: What is learned.
        optimizer: As of :func:`minimize`.
        features: (V, n, E), V views of n images.
        labels: (n, ).
        size: Images of a batch.
        epochs: Passes over all images.
        loss: Gives the loss of features (B, E) and labels (B, ).

    Returns:
        The last loss.
    """
    per = max(1, len(labels) // size)
    return minimize(
        parameters, optimizer,
        draw_batches(features, labels, size, epochs, drop_last=True), loss,
        epochs * per, cosine(epochs, per, WARMUP_LR / optimizer['lr']))


def draw_batches(features: torch.Tensor, labels: torch.Tensor, size: int,
                 epochs: int, drop_last: bool = False
                 ) -> Iterator[Tuple[torch.Tensor, torch.Tensor]]:
    """Batches in a new order each epoch; the views take turns.

    Args:
        features: (V, n, E), V views of n images.
        labels: (n, ).
        size: Images of a batch.
        epochs: Passes over all images.
        drop_last: Whether a smaller last batch is left out, if it is not the
            only one.
    """
    generator = seeded_generator()
    for epoch in range(epochs):
        view = features[epoch % len(features)]
        order = torch.randperm(len(labels), generator=generator).to(
            labels.device)
        parts = order.split(size)
        if drop_last and len(parts) > 1 and len(parts[-1]) < size:
            parts = parts[:-1]
        for rows in parts:
            yield view[rows], labels[rows]


def seeded_generator() -> torch.Generator:
    """A generator that repeats itself: what was selected is fitted again."""
    return torch.Generator().manual_seed(torch.initial_seed())


def cosine(total: int, per: int = 1, warmup: Optional[float] = None
           ) -> Factor:
    """Half a cosine from 1 towards 0.

    Args:
        total: Its length, in units of ``per`` steps: 1, or those of an epoch.
        per: Steps of a unit.
        warmup: Part of the learning rate in the first unit (CoOp's warm-up
            epoch); None: none.
    """

    def factor(step: int) -> float:
        unit = step // per
        if warmup is not None:
            if unit == 0:
                return warmup
            unit -= 1
        return (1 + math.cos(math.pi * unit / total)) / 2

    return factor
