"""Where hyper-parameters of fitted heads come from: decided here alone.

They are never selected on test images: this module sees none.
"""
import logging
import time
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.logging import print_log

from .fitted import FittedHead, Values

SOURCES = ('val', 'cross-validation', 'fixed')
FOLDS = 4
TRACE = 50  # candidates that a result lists at most
# how results call what was looked at beside the training draw
VAL_FREE, VAL_4, FULL_VAL = 'val-free', 'val-4', 'full-val'


class Selection:
    """Selects the hyper-parameters of a head, and fits it.

    Args:
        source: ``val``: the accuracy on validation images selects.
            ``cross-validation``: that on parts of the training images which
            take turns in being held out; no other image is looked at.
            ``fixed``: the head's own values are used.
        folds: How many parts ``cross-validation`` makes of the images of a
            class (the j-th image is in part j modulo ``folds``), so that
            1 / folds is held out; fewer where no class has as many images.

    Attributes:
        keeps_held_out: Whether ``cross-validation`` keeps ``held_out``, for
            which the head is fitted once more to each fold.
        held_out: Logits (n, K) of training images by the head that is fitted
            without them, and their labels (n, ); None: there are none.

    Raises:
        ValueError: The source is unknown, or there are fewer than 2 folds.
    """

    def __init__(self, source: str = 'val', folds: int = FOLDS) -> None:
        if source not in SOURCES:
            raise ValueError(f'selection={source!r}: choose from '
                             f'{", ".join(SOURCES)}.')
        if folds < 2:
            raise ValueError(f'folds={folds}: at least 2 are needed.')
        self.source, self.folds = source, folds
        self.keeps_held_out = False
        self.held_out: Optional[Tuple[torch.Tensor, torch.Tensor]] = None

    def needs_val(self, head: FittedHead) -> bool:
        """Whether validation images are needed for the head."""
        return self.source == 'val' and head.searches

    def fit(self, head: FittedHead, train: Any, val: Any = None,
            val_name: str = 'val draw', protocol: str = VAL_4) -> dict:
        """Select, and fit to all training images.

        Args:
            head: The head.
            train: ``LabelledFeatures`` to fit.
            val: Those to select on, if :meth:`needs_val`.
            val_name: What to call them in the result.
            protocol: ``val-4`` or ``full-val``: which they are.

        Returns:
            Entries of the result file: ``protocol``; ``selected_on`` (None if
            nothing was selected); ``selected``, the hyper-parameters in use;
            ``val_accuracy`` (percent) and ``search``, where something was
            selected; and what ``head.learn`` returns.
        """
        parts, selected_on = [], None
        if self.needs_val(head):
            parts = [(train, val)]
            selected_on = f'{val_name}, {len(val.labels)} images'
        elif self.source == 'cross-validation' and head.searches:
            parts = self._hold_out(train)
            protocol = VAL_FREE
            if parts:
                selected_on = (f'cross-validation, {len(parts)} folds of the '
                               f'training draw, {len(train.labels)} images')
            else:
                print_log(
                    'One image a class: none can be held out. The fixed '
                    f'values are used ({_format(head.values)}).', 'current',
                    logging.WARNING)
        else:
            protocol = VAL_FREE
        found: Dict[str, Any] = {}
        if parts:
            found = self._select(head, parts, selected_on)
        early = {name: value for name, value in head.values.items()
                 if name not in head.in_forward}
        if self.keeps_held_out and self.source == 'cross-validation':
            self._score_held_out(head, parts or self._hold_out(train), early)
        outcome = head.learn(train, **early) or {}
        return dict(protocol=protocol, selected_on=selected_on,
                    selected=dict(head.values) or None, **found, **outcome)

    def _select(self, head: FittedHead, parts: list, where: str) -> dict:
        start, trace = time.perf_counter(), []

        def score(candidates: List[Values]) -> List[float]:
            right = [0] * len(candidates)
            for fitted, held_out in parts:
                counts = head.count_right(fitted, held_out, candidates)
                right = [a + b for a, b in zip(right, counts)]
            total = sum(len(held_out.labels) for _, held_out in parts)
            percent = [100 * count / total for count in right]
            trace.extend(zip(candidates, percent))
            return percent

        values = head.search(score)
        accuracy = next(value for candidate, value in trace
                        if candidate == values)
        head.values.update(values)
        print_log(
            f'Selected {_format(values)} of {len(trace)} candidates: '
            f'{accuracy:.2f} % on {where}; '
            f'{time.perf_counter() - start:.1f} s', 'current', logging.INFO)
        search = [dict(candidate, val_accuracy=value)
                  for candidate, value in trace]
        return dict(val_accuracy=accuracy, candidates=len(trace),
                    search=search if len(search) <= TRACE else None)

    def _score_held_out(self, head: FittedHead, parts: list,
                        early: Values) -> None:
        self.held_out, logits = None, []
        for fitted, held_out in parts:
            # what is learned in the end must not depend on it
            device = held_out.labels.device
            with torch.random.fork_rng(
                    devices=[device] if device.type == 'cuda' else []):
                head.learn(fitted, **early)
            logits += head.score(held_out)
        if logits:
            self.held_out = torch.cat(logits), torch.cat(
                [held_out.labels for _, held_out in parts])

    def _hold_out(self, train: Any) -> list:
        """Pairs of images to fit and images that are held out.

        The only image of a class is never held out.
        """
        place = torch.zeros_like(train.labels)
        counts = train.labels.bincount()
        for label in counts.nonzero().flatten().tolist():
            where = (train.labels == label).nonzero().flatten()
            place[where] = torch.arange(len(where), device=place.device)
        single = counts[train.labels] == 1
        folds = min(self.folds, int(counts.max()))
        if folds < 2:
            return []
        parts = []
        for fold in range(folds):
            held_out = (place % folds == fold) & ~single
            parts.append((train.take(~held_out), train.take(held_out)))
        return parts


def describe_protocol(shots: Optional[int]) -> str:
    """What a validation draw beside ``shots`` training images is called."""
    return FULL_VAL if shots is None else VAL_4


def _format(values: Values) -> str:
    return ', '.join(f'{name}={value:.4g}' for name, value in values.items())
