"""What each method costs and brings, in one table for a number of shots."""
from statistics import fmean
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from ..methods import AVERAGE, find_method
from .names import dataset_title, method_title, shots_title
from .notes import describe_average, describe_runs, describe_study
from .study import Study
from .table import Table, slug

if TYPE_CHECKING:
    from pandas import DataFrame

HEADER = ['method', 'protocol', 'top-1', 'largest drop below zero-shot', 'at',
          'ECE', 'seconds of training', 'host MiB', 'GPU MiB',
          'learned parameters', 'selected']
NOTES = [
    'Largest drop below zero-shot: the largest difference, in points, between '
    'zero-shot CLIP and a single run of the method on the same data set, over '
    'all data sets and seeds at hand with this number of shots; 0: no run is '
    'below.',
    'ECE: expected calibration error of the top-1 confidence in percent, 15 '
    'bins; mean over data sets and seeds.',
    'Seconds of training: of fitting, selection included, without encoding '
    'images and without evaluation; mean over data sets and seeds.',
    'Memory: the largest peak of a process, towers and data included.',
]


def make_summaries(study: Study) -> List[Table]:
    """A table for each number of shots, the largest first.

    A row holds a method's mean accuracy, its largest drop below zero-shot,
    calibration error, seconds of training, peak memory, learned parameters,
    and what was selected on which images. It is over the data sets of the
    average or, where there is none, for each data set.

    Args:
        study: By shots, of the kind ``leaderboard``.
    """
    tables, overall = [], _describe_drops(study)
    for shots in sorted(set(study.runs.shots[study.runs.learns]))[::-1]:
        part = Study(study.kind, study.runs, backbone=study.backbone,
                     shots=shots)
        for scope in [part.averaged] if part.averaged else \
                [[name] for name in part.datasets]:
            dataset = AVERAGE if len(scope) > 1 else scope[0]
            rows = [row for method in part.methods
                    if (row := _make_row(part, method, scope, dataset))]
            kept = [i for i, name in enumerate(HEADER)
                    if name != 'GPU MiB' or any(row[i] for row in rows)]
            tables.append(Table(
                slug('summary', study.backbone, f'{shots:g}shot', dataset),
                f'Summary, {part.title_of(dataset)}, {part.condition}',
                [HEADER[i] for i in kept],
                [[row[i] for i in kept] for row in rows],
                describe_runs(part.runs_on(dataset), False) + NOTES
                + _describe_devices(part.runs_on(dataset))
                + [overall] + [describe_average(part)] * (
                    len(part.datasets) > 1) + describe_study(study)))
    return tables


def find_zero_shot(study: Study) -> Dict[tuple, float]:
    """Top-1 accuracy of the baseline, by data set and weights."""
    runs = study.runs[[bool((method := find_method(name)) and method.baseline)
                       for name in study.runs.name]]
    return dict(zip(zip(runs.dataset, runs.pretrained), runs.top1))


def mean_of(runs: 'DataFrame', column: str) -> Optional[float]:
    """The mean over data sets of the mean over seeds; None if any lacks it."""
    if not len(runs) or runs[column].isna().any():
        return None
    return fmean(fmean(group) for _, group in runs.groupby('dataset')[column])


def _make_row(part: Study, method: str, scope: Sequence[str],
              dataset: str) -> Optional[list]:
    whole = part.runs[part.runs.method == method]
    runs = whole[whole.dataset.isin(scope)]
    if not len(runs):
        return None
    drop, where = _find_drop(whole, find_zero_shot(part))
    host, gpu = (runs[name].dropna().max() if runs[name].notna().any()
                 else None for name in ('host_mib', 'gpu_mib'))
    counts = sorted(set(runs.learned_parameters.dropna()))
    return [
        method_title(method), part.protocols[method],
        part.score(dataset, method), drop, where, mean_of(runs, 'ece'),
        mean_of(runs, 'seconds') if runs.learns.all() else None, host, gpu,
        ' to '.join(f'{n:,}' for n in dict.fromkeys([counts[0], counts[-1]]))
        if counts else None, _describe_choice(runs)]


def _find_drop(runs: 'DataFrame', zero_shot: Dict[tuple, float]
               ) -> Tuple[Optional[float], Optional[str]]:
    """The largest drop of learned runs below zero-shot, and where it is."""
    drops = [(zero_shot[run.dataset, run.pretrained] - run.top1, run)
             for run in runs[runs.learns].itertuples()
             if (run.dataset, run.pretrained) in zero_shot]
    if not drops:
        return None, None
    drop, worst = max(drops, key=lambda pair: pair[0])
    if drop <= 0:
        return 0., None
    return drop, (f'{dataset_title(worst.dataset)}, '
                  f'{shots_title(worst.shots)}, seed {worst.seed}')


def _describe_drops(study: Study) -> str:
    """The largest drops over all numbers of shots."""
    zero_shot, below, never = find_zero_shot(study), [], []
    for method in study.methods:
        drop, where = _find_drop(study.runs[study.runs.method == method],
                                 zero_shot)
        if where:
            below.append(f'{method_title(method)} {drop:.2f} ({where})')
        elif drop is not None:
            never.append(method_title(method))
    parts = below + ([f'none: {", ".join(never)}'] if never else [])
    return ('Largest drop over all data sets, shots and seeds at hand: '
            f'{"; ".join(parts)}.') if parts else \
        'No drop below zero-shot is known: zero-shot was not run.'


def _describe_choice(runs: 'DataFrame') -> Optional[str]:
    """What was selected, and on what."""
    names = dict.fromkeys(name for run in runs.selected for name in run)
    images = dict.fromkeys(runs.selection.dropna())
    if not names and not images:
        return None
    return ' on '.join(filter(None, (', '.join(names), ', '.join(images))))


def _describe_devices(runs: 'DataFrame') -> List[str]:
    devices = sorted(set(runs.device.dropna()))
    if len(devices) > 1:
        return ['Run on different devices, so that seconds and memory do not '
                f'compare: {", ".join(devices)}.']
    return [f'Device: {devices[0]}.'] if devices else []
