"""Means over seeds, averages over data sets, from records."""
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import (Callable, Dict, Hashable, Iterable, List, Optional,
                    Sequence, Tuple)

from ..catalog import CATALOG
from ..engine.recipe import recipe_epochs
from .records import Record

ALL = math.inf  # in the place of shots: trained on all images


@dataclass(frozen=True)
class Score:
    """Top-1 accuracies of the same run with different seeds.

    Attributes:
        runs: (seed, top-1 in percent) of each run. The seed is None where
            nothing is random, or where seeds cannot be told apart any more.
    """
    runs: Tuple[Tuple[Optional[int], float], ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(top1 for _, top1 in self.runs)

    @property
    def deviation(self) -> Optional[float]:
        """Population standard deviation over seeds; None for one run."""
        values = [top1 for _, top1 in self.runs]
        return statistics.pstdev(values) if len(values) > 1 else None

    @property
    def seeds(self) -> Tuple[int, ...]:
        return tuple(seed for seed, _ in self.runs if seed is not None)

    def __str__(self) -> str:
        if self.deviation is None:
            return f'{self.mean:.2f}'
        return f'{self.mean:.2f} ± {self.deviation:.2f}'


# row -> column -> data set -> score
Cube = Dict[Hashable, Dict[Hashable, Dict[str, Score]]]


def cube(records: Iterable[Record], row: Callable[[Record], Hashable],
         column: Callable[[Record], Hashable]) -> Cube:
    """Sort records into cells and take the seeds of each together.

    Args:
        records: What is compared; row, column, data set and seed must tell
            them apart.
        row: What is compared, e.g. the method.
        column: Under which condition, e.g. the shots.
    """
    cells = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for r in records:
        cells[row(r)][column(r)][r.dataset].append((r.seed, r.top1))
    return {
        a: {
            b: {
                dataset: Score(tuple(sorted(runs, key=_seed_first)))
                for dataset, runs in datasets.items()
            }
            for b, datasets in columns.items()
        }
        for a, columns in cells.items()
    }


def datasets_of(scores: Cube) -> set:
    return {
        dataset
        for columns in scores.values()
        for datasets in columns.values() for dataset in datasets
    }


def lacking(scores: Cube) -> Dict[str, List[Hashable]]:
    """For each data set the rows that lack it somewhere.

    A row lacks a data set if it has any column for which it has others only.
    Rows, and the columns of a row, may only be averaged over data sets that
    no row lacks.
    """
    return {
        dataset: [
            row for row, columns in scores.items()
            if any(dataset not in datasets for datasets in columns.values())
        ]
        for dataset in datasets_of(scores)
    }


def average(scores: Sequence[Score]) -> Score:
    """The average over data sets, seed by seed where all have the same."""
    if len({score.seeds for score in scores}) > 1:
        return Score(((None, statistics.fmean(s.mean for s in scores)), ))
    columns = zip(*(score.runs for score in scores))
    return Score(
        tuple((runs[0][0], statistics.fmean(top1 for _, top1 in runs))
              for runs in columns))


def shots_of(record: Record) -> float:
    """The column of a record: 0 for zero-shot, ``ALL`` for all images."""
    if record.zero_shot:
        return 0
    return ALL if record.shots is None else record.shots


def shots_label(shots: float) -> str:
    return 'all' if shots == ALL else str(shots)


def shots_title(shots: float) -> str:
    return '1 shot' if shots == 1 else f'{shots_label(shots)} shots'


def most_shots(records: Iterable[Record]) -> Optional[float]:
    """The largest number of shots there is; all images count below any."""
    found = {shots_of(record) for record in records} - {0}
    return max(found - {ALL} or found, default=None)


def at_shots(records: Iterable[Record], shots: float) -> List[Record]:
    """Records with these shots, and zero-shot ones."""
    return [r for r in records if shots_of(r) in (0, shots)]


def separate(records: Sequence[Record]) -> List[Record]:
    """Tell runs apart that differ in what no table shows.

    The same data set, method and shots may have been trained with other
    epochs, on cached views, with a selection or other weights of the CLIP.
    Their seeds are never
    taken together: what differs from the recipe is added to the method's
    name, in brackets.
    """
    cells = defaultdict(set)
    for r in records:
        cells[_cell(r)].add(_settings(r))
    separated = []
    for r in records:
        said, found = [], list(zip(*cells[_cell(r)]))
        epochs, views, selected, weights = (
            len(set(values)) > 1 for values in found)
        if epochs and r.epochs != published_epochs(r):
            said.append(f'{r.epochs} epochs')
        if views and r.cached_views is not None:
            said.append(f'{r.cached_views} views')
        if selected and selection(r):
            said.append('selected')
        if weights and r.pretrained not in (None, 'openai'):
            said.append(r.pretrained)
        if said:
            r = replace(r, method=f'{r.method} ({", ".join(said)})')
        separated.append(r)
    return separated


def published_epochs(record: Record) -> int:
    """Epochs of the published recipe for this training run."""
    source = CATALOG.get(record.trained_on or record.dataset)
    return source and source.max_epochs or recipe_epochs(record.shots)


def selection(record: Record) -> Optional[str]:
    """What selected, without the numbers that follow a comma."""
    return record.selected_on and record.selected_on.split(',')[0]


def _cell(record: Record) -> Record:
    return replace(record.key, seed=None, epochs=None, cached_views=None,
                   selected_on=None, pretrained=None)


def _settings(record: Record) -> Tuple:
    return (record.epochs, record.cached_views, selection(record),
            record.pretrained)


def _seed_first(run: Tuple[Optional[int], float]) -> Tuple[int, float]:
    seed, top1 = run
    return (-1 if seed is None else seed), top1
