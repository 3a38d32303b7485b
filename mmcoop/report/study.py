"""Runs that are compared with each other, and their scores."""
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Hashable, List, Optional, Sequence

from ..methods import (AVERAGE, TOP1, Method, all_methods, find_method,
                       plain_name, sort_methods)
from .names import (backbone_title, dataset_title, method_title,
                    published_backbone, shots_label, shots_title,
                    sort_datasets)
from .records import load_pandas
from .table import Score

if TYPE_CHECKING:
    from pandas import DataFrame

# other kinds of table whose published numbers a kind shows as well
PUBLISHED_TOO = {'backbones': 'domain'}
# kinds that compare runs alone: published ones had other protocols or labels
MEASURED = ('noise', 'leaderboard')


class Study:
    """Methods compared under some conditions, on some data sets.

    Args:
        kind: The kind of table.
        runs: The runs, of :func:`mmcoop.report.records.make_frame`.
        by: The column that is the condition: 'shots', 'backbone', 'noise'
            or 'class_subset'; None: there is only one condition, ''.
        conditions: The conditions, in order.
        backbone: The CLIP, unless the condition is the CLIP.
        shots: The number of shots, unless the condition is the shots; runs
            with others are left out, except zero-shot ones.
        source: The data set that was trained on, if others were tested on;
            it counts in no average.
        targets: The data sets to average over; by default all but the source.
        noise_kind: The kind of label noise, if the condition is its rate.

    Attributes:
        methods: The methods, in order.
        datasets: The data sets, in order.
        missing: For each data set the (method, condition) pairs without it,
            of those that have another data set.
        averaged: The data sets that averages are over: none is missing.
        other_shots: The numbers of shots of the runs that were left out.
        protocols: The protocol of each method.
        noisy: The number of runs that were left out for their label noise.
    """

    def __init__(self, kind: str, runs: 'DataFrame', by: Optional[str] = None,
                 conditions: Sequence[Hashable] = ('', ),
                 backbone: Optional[str] = None,
                 shots: Optional[float] = None, source: Optional[str] = None,
                 targets: Sequence[str] = (),
                 noise_kind: Optional[str] = None) -> None:
        self.kind, self.by, self.conditions = kind, by, list(conditions)
        self.backbone, self.shots, self.source = backbone, shots, source
        self.noise_kind, self.noisy = noise_kind, 0
        self.other_shots: List[float] = []
        if by != 'shots':
            self.other_shots = sorted({*runs.shots} - {0, shots})
            runs = runs[runs.shots.isin([0, shots])]
        self.runs = runs.assign(condition=runs[by] if by else '')
        self.methods = sort_methods(runs.method)
        self.protocols = runs.groupby('method').protocol.first().to_dict()
        self.datasets = sort_datasets(runs.dataset)
        counts = self.runs.groupby(
            ['method', 'condition', 'dataset']).size().unstack(fill_value=0)
        counts = counts.reindex(fill_value=0, columns=sort_datasets(
            targets or set(self.datasets) - {source}))
        self.missing = {dataset: list(counts.index[counts[dataset] == 0])
                        for dataset in counts}
        self.averaged = [name for name in self.datasets
                         if self.missing.get(name) == []]
        self._compute_scores()

    def _compute_scores(self) -> None:
        runs = self.runs[['dataset', 'method', 'condition', 'seed', 'top1']]
        if len(self.averaged) > 1:
            averages = self.runs_on(AVERAGE).groupby(
                ['method', 'condition'])[['dataset', 'seed', 'top1']].apply(
                    _average_datasets).reset_index(['method', 'condition'])
            runs = load_pandas().concat(
                [runs, averages.assign(dataset=AVERAGE)])
        cells = runs.groupby(['dataset', 'method', 'condition'])
        self._scores = cells[['seed', 'top1']].apply(_summarize).to_dict()

    @property
    def tabulated(self) -> List[str]:
        """The average, if it is over several data sets, and the data sets."""
        return [AVERAGE] * (len(self.averaged) > 1) + self.datasets

    @property
    def condition(self) -> str:
        """What all scores have in common: ``RN50, 16 shots``."""
        parts = [backbone_title(self.backbone)] if self.backbone else []
        parts += [shots_title(self.shots)] if self.shots else []
        parts += [f'{self.noise_kind} label noise'] if self.noise_kind else []
        return ', '.join(parts)

    @property
    def mixed(self) -> bool:
        """Whether methods were selected on different images."""
        return len(set(self.protocols.values())) > 1

    def title(self, method: str) -> str:
        """The title of a method, with its protocol if others have another."""
        title, protocol = method_title(method), self.protocols[method]
        told = protocol in method[len(plain_name(method)):]
        return f'{title} [{protocol}]' if self.mixed and not told else title

    def label(self, condition: Hashable) -> str:
        """The header of a condition's column."""
        if self.by == 'noise':
            return f'{100 * condition:g} %'
        return {'shots': shots_label, 'backbone': backbone_title}.get(
            self.by, str)(condition)

    def title_of(self, dataset: str) -> str:
        """The title of a data set or of the average."""
        if dataset == AVERAGE:
            return f'Average of {len(self.averaged)} data sets'
        return dataset_title(dataset)

    def score(self, dataset: str, method: str,
              condition: Hashable = '') -> Optional[Score]:
        """The score on a data set or ``AVERAGE``, None without runs."""
        return self._scores.get((dataset, method, condition))

    def runs_on(self, dataset: str) -> 'DataFrame':
        """The runs behind the scores of a data set or of the average."""
        names = self.averaged if dataset == AVERAGE else [dataset]
        return self.runs[self.runs.dataset.isin(names)]

    def published_methods(self) -> List[Method]:
        """The methods whose published numbers belong to this kind."""
        if self.kind in MEASURED:
            return []
        kinds = {self.kind, PUBLISHED_TOO.get(self.kind)}
        return [method for method in all_methods()
                if method.baseline or kinds & {*method.tables}
                or method.name in set(self.runs.name)]

    def published_top1(self, dataset: str, name: str,
                       condition: Hashable = '') -> Optional[float]:
        """The published accuracy of a method, in percent, if there is one.

        ``AVERAGE`` is over the paper's eleven data sets. A method with
        settings in brackets has none.
        """
        method = find_method(name)
        if method is None or method.name != name or self.kind in MEASURED:
            return None
        backbone = condition if self.by == 'backbone' else self.backbone
        shots = self.shots if method.learns else 0
        row = method.find_published(
            self.kind, dataset, published_backbone(backbone),
            condition if self.by == 'shots' else shots)
        return row and row.metrics.get(TOP1)


def _average_datasets(runs: 'DataFrame') -> 'DataFrame':
    """Average over data sets, seed by seed if all have the same seeds."""
    by_dataset = runs.groupby('dataset')
    if by_dataset.seed.agg(lambda s: tuple(sorted(s))).nunique() == 1:
        return runs.groupby('seed').top1.agg(fmean).reset_index()
    mean = fmean(by_dataset.top1.agg(fmean))
    return load_pandas().DataFrame(dict(seed=[-1], top1=[mean]))


def _summarize(runs: 'DataFrame') -> Score:
    # exact, unlike pandas' sums: values ending in 5 are rounded the same way
    values = runs.top1.tolist()
    return Score(fmean(values), pstdev(values) if len(values) > 1 else None,
                 tuple(sorted(seed for seed in runs.seed if seed >= 0)))
