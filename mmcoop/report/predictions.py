"""Predictions of one run: kept as CSV, and what they say."""
import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ..files import replacing

BINS = 10  # of confidence
PAIRS = 15  # confused classes that are listed
MISTAKES = 24  # shown
COLUMNS = ('path', 'label', 'predicted', 'confidence', 'calibrated',
           'zero_shot')


class Predicted(NamedTuple):
    """Of one image; classes by their numbers.

    Attributes:
        path: Of the image.
        label: The true class.
        predicted: The class with the largest probability.
        confidence: Its probability.
        calibrated: Its probability with the temperature, or the same.
        zero_shot: What zero-shot CLIP predicts; None: not known.
    """
    path: str
    label: int
    predicted: int
    confidence: float
    calibrated: float
    zero_shot: Optional[int] = None


def unique_names(classes: Sequence[str]) -> List[str]:
    """Class names, with a number where two are equal."""
    counts = Counter(classes)
    return [f'{name} ({number})' if counts[name] > 1 else str(name)
            for number, name in enumerate(classes, 1)]


def write_predictions(path: Path, rows: Sequence[Predicted],
                      classes: Sequence[str]) -> None:
    """Write a line for each image, with the names of classes."""
    names = unique_names(classes)
    with replacing(path) as temporary, temporary.open(
            'w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([
                row.path, names[row.label], names[row.predicted],
                f'{row.confidence:.6g}', f'{row.calibrated:.6g}',
                '' if row.zero_shot is None else names[row.zero_shot]])


def read_predictions(path: Path, classes: Sequence[str]) -> List[Predicted]:
    """Read what :func:`write_predictions` wrote.

    Raises:
        ValueError: The file is not of these classes.
    """
    numbers = {name: i for i, name in enumerate(unique_names(classes))}
    rows = []
    with path.open(encoding='utf-8', newline='') as file:
        for line in csv.DictReader(file):
            try:
                rows.append(Predicted(
                    line['path'], numbers[line['label']],
                    numbers[line['predicted']], float(line['confidence']),
                    float(line['calibrated']),
                    numbers[line['zero_shot']] if line['zero_shot']
                    else None))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f'{path}: {line} is no prediction of these '
                                 f'classes ({error}).') from None
    return rows


def summarize(rows: Sequence[Predicted], classes: Sequence[str]) -> dict:
    """What predictions say, as a JSON file can hold it.

    Accuracies, confidences and errors are in percent.

    Returns:
        ``accuracy``, its 95 % ``interval``, ``zero_shot`` (None: not known),
        ``images``, ``classes`` (a dict for each: name, images, accuracy,
        zero_shot, mistaken_for), ``confused`` (the pairs), ``bins`` (of
        confidence, before and after the temperature) and ``mistakes`` (the
        most confident ones first).
    """
    names = unique_names(classes)
    right = sum(row.label == row.predicted for row in rows)
    known = [row for row in rows if row.zero_shot is not None]
    groups: Dict[int, List[Predicted]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    wrong = Counter((row.label, row.predicted) for row in rows
                    if row.label != row.predicted)
    mistakes = sorted((row for row in rows if row.label != row.predicted),
                      key=lambda row: (-row.calibrated, -row.confidence,
                                       row.path))[:MISTAKES]
    return dict(
        accuracy=_percent(right, len(rows)),
        interval=interval(right, len(rows)),
        zero_shot=_percent(sum(row.label == row.zero_shot for row in known),
                           len(known)),
        images=len(rows),
        classes=[_describe_class(names, label, groups.get(label, []), wrong)
                 for label in range(len(names))],
        confused=[dict(label=names[a], predicted=names[b], images=count)
                  for (a, b), count in wrong.most_common(PAIRS)],
        bins=dict(before=_bins(rows, 'confidence'),
                  after=_bins(rows, 'calibrated')),
        mistakes=[dict(path=row.path, label=names[row.label],
                       predicted=names[row.predicted],
                       confidence=round(100 * row.calibrated, 2))
                  for row in mistakes])


def _describe_class(names: Sequence[str], label: int,
                    rows: Sequence[Predicted], wrong: Counter) -> dict:
    zero_shot = [row for row in rows if row.zero_shot is not None]
    mistaken = [(count, b) for (a, b), count in wrong.items() if a == label]
    count, other = max(mistaken, default=(0, None),
                       key=lambda pair: (pair[0], -pair[1]))
    return dict(
        name=names[label], images=len(rows),
        accuracy=_percent(sum(row.predicted == label for row in rows),
                          len(rows)),
        zero_shot=_percent(sum(row.zero_shot == label for row in zero_shot),
                           len(zero_shot)),
        mistaken_for=None if other is None else names[other],
        mistaken=count)


def _bins(rows: Sequence[Predicted], which: str) -> List[dict]:
    """Mean confidence and accuracy of images by their confidence."""
    groups: Dict[int, list] = {}
    for row in rows:
        value = getattr(row, which)
        groups.setdefault(min(max(math.ceil(value * BINS) - 1, 0), BINS - 1),
                          []).append((value, row.label == row.predicted))
    return [dict(low=100 * number / BINS, high=100 * (number + 1) / BINS,
                 images=len(found),
                 confidence=100 * sum(c for c, _ in found) / len(found),
                 accuracy=_percent(sum(r for _, r in found), len(found)))
            for number, found in sorted(groups.items())]


def interval(right: int, total: int) -> Optional[List[float]]:
    """Wilson's 95 % interval of an accuracy in percent: where that of all
    such images would lie, of which these are a sample."""
    if not total:
        return None
    z = 1.959964
    part, scale = right / total, 1 + z * z / total
    centre = (part + z * z / (2 * total)) / scale
    half = z * math.sqrt(part * (1 - part) / total
                         + (z / (2 * total)) ** 2) / scale
    return [100 * max(0., centre - half), 100 * min(1., centre + half)]


def _percent(count: int, total: int) -> Any:
    return 100 * count / total if total else None
