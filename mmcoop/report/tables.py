"""The tables of the paper, from records."""
from statistics import fmean, harmonic_mean
from typing import List, Optional, Sequence, Tuple

from ..methods import AVERAGE, sort_methods
from . import KINDS
from .names import (backbone_title, dataset_title, method_title,
                    published_backbone, shots_title)
from .notes import (describe_average, describe_published, describe_runs,
                    describe_scores, describe_study)
from .records import Record
from .studies import find_studies
from .study import Study
from .summary import make_summaries
from .table import Cell, Table, slug

BY = {'shots': 'shots a class (0: zero-shot)', 'backbone': 'backbone',
      'noise': 'the part of the training labels that is wrong'}
BASE_TO_NEW_METRICS = ('Base Top 1 Accuracy', 'New Top 1 Accuracy',
                       'Harmonic Mean')
HARMONIC = ('H is the harmonic mean of base and new, of their means over '
            'seeds; for the average, of the two averages.')


def table(kind: str, records: Sequence[Record]) -> List[Table]:
    """Make the tables of a kind; none where no record belongs to it.

    Scores are means over seeds with their population standard deviation.
    Published numbers are in rows or columns of their own.

    Args:
        kind: One of :data:`KINDS`.
        records: Results, also of other kinds.

    Raises:
        ValueError: The kind is unknown.
        ImportError: pandas is not installed.
    """
    if kind not in KINDS:
        raise ValueError(f'kind={kind!r}: choose of {", ".join(KINDS)}.')
    make = _MAKE.get(kind, make_grids)
    return [part for study in find_studies(kind, records)
            for part in make(study)]


def make_grids(study: Study) -> List[Table]:
    """For each data set: a row for each method, a column for each condition.

    The conditions are shots, backbones or rates of label noise.
    """
    tables = []
    for dataset in study.tabulated:
        rows, published = _make_rows(
            study, [(dataset, condition) for condition in study.conditions])
        title = ', '.join(filter(None, (study.title_of(dataset),
                                        study.condition)))
        tables.append(Table(
            slug(study.kind, study.noise_kind, study.backbone, dataset),
            f'{title}: top-1 (%) by {BY[study.by]}',
            ['method', *map(study.label, study.conditions)],
            rows + published,
            describe_scores(study, dataset)
            + describe_published(study, dataset, published)))
    return tables


def make_init(study: Study) -> List[Table]:
    """A row for each start of the context, a column for each data set."""
    datasets = study.tabulated
    rows, published = _make_rows(
        study, [(dataset, '') for dataset in datasets], [AVERAGE])
    notes = describe_runs(study.runs) + describe_study(study)
    if AVERAGE in datasets:
        notes.append(describe_average(study))
        notes += describe_published(study, AVERAGE, published)
    return [Table(
        slug('init', study.backbone),
        f'Start of the context, {study.condition}: top-1 (%)',
        ['method', *map(study.title_of, datasets)], rows + published, notes)]


def make_adaptations(study: Study) -> List[Table]:
    """For each data set: a row for each way to adapt CLIP."""
    tables, compared = [], study.published_methods()
    baseline = next(m.name for m in compared if m.baseline)
    for dataset in study.tabulated:
        header = ['method', 'top-1', 'gain over zero-shot']
        known = {method.name: study.published_top1(dataset, method.name)
                 for method in compared}
        # numbers of methods that other tables compare too are not enough
        if any(known[method.name] for method in compared if method.only_in):
            header += ['published', 'published gain']
        else:
            known = {}
        zero_shot, rows = study.score(dataset, baseline), []
        for method in sort_methods([*study.methods, *known]):
            score = study.score(dataset, method)
            row = [study.title(method) if method in study.methods
                   else method_title(method), score,
                   _gain(score and score.mean, zero_shot and zero_shot.mean)]
            if known:
                row += [known.get(method),
                        _gain(known.get(method), known[baseline])]
            rows += [row] if any(row[1:]) else []
        tables.append(Table(
            slug('adaptations', study.backbone, dataset),
            f'Ways to adapt CLIP, {study.title_of(dataset)}, '
            f'{study.condition}: top-1 (%)', header, rows,
            describe_scores(study, dataset)
            + describe_published(study, dataset, known)))
    return tables


def make_transfer(study: Study) -> List[Table]:
    """A column for the source and each target, a row for each method.

    Domain generalisation is one table of all backbones.
    """
    datasets, rows, any_published = [study.source, *study.missing], [], False
    domain, source = study.kind == 'domain', dataset_title(study.source)
    for condition in study.conditions:
        scores, published = _make_rows(
            study, [(dataset, condition) for dataset in (*datasets, AVERAGE)],
            None if domain else [])
        for row in published:
            top1 = dict(zip(datasets, row[1:]))
            if all(top1.values()):
                any_published = True
                scores.append(row[:-1] + [
                    fmean(map(top1.get, study.averaged))
                    if len(study.averaged) > 1 else None])
        rows += [[backbone_title(condition), *row] if domain else row
                 for row in scores]
    header = ['method', f'{source} (source)']
    title = (f'From {source} to other data sets, '
             f'{backbone_title(study.backbone or "")}')
    if domain:
        header = ['backbone', 'method', source]
        title = f'Domain generalisation from {source}'
    return [Table(
        slug(study.kind, None if domain else study.source, study.backbone),
        f'{title}{_trained(study)}: top-1 (%)',
        [*header, *map(dataset_title, study.missing),
         f'average of {len(study.averaged)}'], rows,
        describe_runs(study.runs) + [describe_average(study)]
        + describe_study(study)
        + describe_published(study, study.source, any_published))]


def make_base_to_new(study: Study) -> List[Table]:
    """A row for each data set and method."""
    rows, published = [], []
    notes = describe_runs(study.runs) + [HARMONIC]
    notes += describe_study(study)
    for dataset in study.tabulated:
        scores, _ = _make_rows(
            study, [(dataset, subset) for subset in study.conditions], [])
        for title, base, new in scores:
            mean = harmonic_mean([base.mean, new.mean]) \
                if base and new else None
            rows.append([study.title_of(dataset), title, base, new, mean])
        if dataset == AVERAGE:
            published = _find_published_averages(study)
            rows += published
            notes.append(describe_average(study))
    return [Table(
        slug('base-to-new', study.backbone),
        f'Base to new classes, {backbone_title(study.backbone)}'
        f'{_trained(study)}: top-1 (%)',
        ['data set', 'method', 'base', 'new', 'H'], rows,
        notes + describe_published(study, AVERAGE, published))]


_MAKE = {
    'domain': make_transfer,
    'init': make_init,
    'adaptations': make_adaptations,
    'base-to-new': make_base_to_new,
    'cross-dataset': make_transfer,
    'leaderboard': lambda study: make_summaries(study) + make_grids(study),
}


def _make_rows(study: Study, columns: Sequence[tuple],
               published_on: Optional[Sequence[str]] = None
               ) -> Tuple[List[List[Cell]], List[List[Cell]]]:
    """Rows of scores and of published numbers (of all data sets if None)."""
    scores = [[study.title(name)] + [
        study.score(dataset, name, condition)
        for dataset, condition in columns] for name in study.methods]
    published = [[f'{method.title} (published)'] + [
        study.published_top1(dataset, method.name, condition)
        if published_on is None or dataset in published_on else None
        for dataset, condition in columns]
        for method in study.published_methods()]
    return ([row for row in scores if any(row[1:])],
            [row for row in published if any(row[1:])])


def _find_published_averages(study: Study) -> List[List[Cell]]:
    """Published rows of base to new; none without learned ones."""
    rows, any_learned = [], False
    for method in study.published_methods():
        for row in method.published:
            numbers = [row.metrics.get(name) for name in BASE_TO_NEW_METRICS]
            condition = (AVERAGE, published_backbone(study.backbone),
                         study.shots if method.learns else 0)
            if all(numbers) and condition == (
                    row.dataset, row.backbone, row.shots) and (
                        not row.tables or study.kind in row.tables):
                any_learned |= method.learns
                rows.append(['Average (published)', row.label or method.title,
                             *numbers])
    return rows if any_learned else []


def _trained(study: Study) -> str:
    return f', trained with {shots_title(study.shots)}' if study.shots else ''


def _gain(top1: Optional[float], zero_shot: Optional[float]) -> Cell:
    if top1 is None or zero_shot is None:
        return None
    return f'{top1 - zero_shot:+.2f}'
