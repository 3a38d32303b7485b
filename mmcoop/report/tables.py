"""The tables of the paper, from records."""
from statistics import fmean, harmonic_mean
from typing import List, Optional, Sequence

from ..methods import AVERAGE, all_methods, sort_methods
from . import KINDS
from .names import (SOURCE, TARGETS, backbone_title, dataset_title,
                    method_title, published_backbone, published_title,
                    shots_label, shots_title)
from .notes import (describe_average, describe_other_shots,
                    describe_published, describe_runs, describe_scores)
from .records import Record
from .studies import find_studies
from .study import Study
from .table import Cell, Table, slug

BY_SHOTS = 'top-1 (%) by shots a class (0: zero-shot)'
BY_BACKBONE = 'top-1 (%) by backbone'
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

    The conditions are shots or backbones.
    """
    by_shots = study.by == 'shots'
    label = shots_label if by_shots else backbone_title
    header = ['method', *map(label, study.conditions)]
    tables = []
    for dataset in study.tabulated:
        rows = [[method_title(method)] + [
            study.score(dataset, method, condition)
            for condition in study.conditions] for method in study.methods]
        published = [[published_title(method.title)] + [
            study.published_top1(dataset, method.name, condition)
            for condition in study.conditions]
            for method in study.published_methods()]
        published = [row for row in published if any(row[1:])]
        notes = describe_scores(study, dataset)
        if published:
            notes += _describe_published(study, dataset)
        condition = f', {study.condition}' if study.condition else ''
        tables.append(Table(
            slug(study.kind, study.backbone, dataset),
            f'{study.title_of(dataset)}{condition}: '
            f'{BY_SHOTS if by_shots else BY_BACKBONE}', header,
            [row for row in rows if any(row[1:])] + published, notes))
    return tables


def make_init(study: Study) -> List[Table]:
    """A row for each start of the context, a column for each data set."""
    datasets = study.tabulated
    rows = [[method_title(method)] +
            [study.score(dataset, method) for dataset in datasets]
            for method in study.methods]
    notes = describe_runs(study.runs) + describe_other_shots(study)
    if AVERAGE in datasets:
        notes.append(describe_average(study.missing_titles))
        found = [(method, study.published_top1(AVERAGE, method.name))
                 for method in study.published_methods()]
        published = [[published_title(method.title), top1] + [None] *
                     len(study.datasets) for method, top1 in found if top1]
        rows += published
        if published:
            notes += _describe_published(study, AVERAGE)
    return [Table(
        slug('init', study.backbone),
        f'Start of the context, {study.condition}: top-1 (%)',
        ['method', *map(study.title_of, datasets)], rows, notes)]


def make_adaptations(study: Study) -> List[Table]:
    """For each data set: a row for each way to adapt CLIP."""
    tables = []
    baseline = next(m.name for m in all_methods() if m.baseline)
    for dataset in study.tabulated:
        header = ['method', 'top-1', 'gain over zero-shot']
        notes = describe_scores(study, dataset)
        known = {method.name: study.published_top1(dataset, method.name)
                 for method in study.published_methods()}
        # numbers of methods that other tables compare too are not enough
        if not any(known[method.name] for method in study.published_methods()
                   if method.only_in):
            known = {}
        else:
            header += ['published', 'published gain']
            notes += _describe_published(study, dataset)
        zero_shot, rows = study.score(dataset, baseline), []
        for method in sort_methods([*study.methods, *known]):
            score = study.score(dataset, method)
            row = [method_title(method), score,
                   _gain(score and score.mean, zero_shot and zero_shot.mean)]
            if known:
                row += [known.get(method),
                        _gain(known.get(method), known[baseline])]
            if any(row[1:]):
                rows.append(row)
        tables.append(Table(
            slug('adaptations', study.backbone, dataset),
            f'Ways to adapt CLIP, {study.title_of(dataset)}, '
            f'{study.condition}: top-1 (%)', header, rows, notes))
    return tables


def make_domain(study: Study) -> List[Table]:
    """One table: a row for each backbone and method."""
    datasets, targets, rows = (SOURCE, *TARGETS), study.averaged, []
    any_published = False
    for backbone in study.conditions:
        title = backbone_title(backbone)
        here = set(study.runs.method[study.runs.backbone == backbone])
        for method in sort_methods(here):
            rows.append([title, method_title(method)] + [
                study.score(dataset, method, backbone)
                for dataset in (*datasets, AVERAGE)])
        for method in study.published_methods():
            known = {name: study.published_top1(name, method.name, backbone)
                     for name in datasets}
            if all(known.values()):
                any_published = True
                average = fmean(known[name] for name in targets) if len(
                    targets) > 1 else None
                rows.append([title, published_title(method.title),
                             *known.values(), average])
    notes = describe_runs(study.runs)
    notes += [describe_average(study.missing_titles)]
    notes += describe_other_shots(study)
    if any_published:
        notes += _describe_published(study, SOURCE)
    return [Table(
        'domain',
        f'Domain generalisation from ImageNet{_trained(study)}: top-1 (%)',
        ['backbone', 'method', *map(dataset_title, datasets),
         f'average of {len(targets)}'], rows, notes)]


def make_base_to_new(study: Study) -> List[Table]:
    """A row for each data set and method."""
    rows, published = [], _published_base_to_new(study)
    for dataset in study.tabulated:
        for method in study.methods:
            base, new = (study.score(dataset, method, subset)
                         for subset in study.conditions)
            if base or new:
                mean = harmonic_mean([base.mean, new.mean]) \
                    if base and new else None
                rows.append([study.title_of(dataset), method_title(method),
                             base, new, mean])
        if dataset == AVERAGE:
            rows += published
    notes = describe_runs(study.runs) + [HARMONIC]
    notes += describe_other_shots(study)
    if AVERAGE in study.tabulated:
        notes.append(describe_average(study.missing_titles))
        if published:
            notes += _describe_published(study, AVERAGE)
    return [Table(
        slug('base-to-new', study.backbone),
        f'Base to new classes, {backbone_title(study.backbone)}'
        f'{_trained(study)}: top-1 (%)',
        ['data set', 'method', 'base', 'new', 'H'], rows, notes)]


def make_cross_dataset(study: Study) -> List[Table]:
    """A row for each method, a column for each data set."""
    targets = [name for name in study.datasets if name != study.source]
    rows = [[method_title(method)] + [
        study.score(dataset, method)
        for dataset in (study.source, *targets, AVERAGE)]
        for method in study.methods]
    source = dataset_title(study.source)
    return [Table(
        slug('cross-dataset', study.source, study.backbone),
        f'From {source} to other data sets, '
        f'{backbone_title(study.backbone)}{_trained(study)}: top-1 (%)',
        ['method', f'{source} (source)', *map(dataset_title, targets),
         f'average of {len(study.averaged)}'], rows,
        describe_runs(study.runs) + [describe_average(study.missing_titles)]
        + describe_other_shots(study))]


_MAKE = {
    'domain': make_domain,
    'init': make_init,
    'adaptations': make_adaptations,
    'base-to-new': make_base_to_new,
    'cross-dataset': make_cross_dataset,
}


def _describe_published(study: Study, dataset: str) -> List[str]:
    backbones = study.conditions if study.by == 'backbone' else \
        [study.backbone]
    return describe_published(study.published_methods(), dataset, backbones)


def _published_base_to_new(study: Study) -> List[List[Cell]]:
    """Published averages; none if there are no learned ones to compare."""
    rows, any_learned = [], False
    for method in study.published_methods():
        for row in method.published:
            if (row.dataset, row.backbone, row.shots) == (
                    AVERAGE, published_backbone(study.backbone),
                    study.shots if method.learns else 0) and {
                        *BASE_TO_NEW_METRICS} <= set(row.metrics):
                any_learned |= method.learns
                rows.append(['Average (published)', row.label or method.title,
                             *map(row.metrics.get, BASE_TO_NEW_METRICS)])
    return rows if any_learned else []


def _trained(study: Study) -> str:
    return f', trained with {shots_title(study.shots)}' if study.shots else ''


def _gain(top1: Optional[float], zero_shot: Optional[float]) -> Cell:
    if top1 is None or zero_shot is None:
        return None
    return f'{top1 - zero_shot:+.2f}'
