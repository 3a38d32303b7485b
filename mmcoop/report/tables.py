"""The tables of the paper, from records."""
from typing import Callable, List, Optional, Sequence

from . import published, studies
from .names import (OWN, PROBE, SOURCE, backbone_title, known_backbone,
                    method_title, published_title, sort_methods)
from .notes import (average_note, notes, published_notes, shots_note,
                    study_notes)
from .published import AVERAGE
from .records import ZERO_SHOT, Record
from .scores import separate, shots_label
from .studies import Study
from .table import Cell, Table, slug
from .transfer import base_to_new_tables, cross_dataset_tables, domain_tables

BY_SHOTS = 'top-1 (%) by shots a class (0: zero-shot)'
BY_BACKBONE = 'top-1 (%) by backbone'


def table(kind: str, records: Sequence[Record]) -> List[Table]:
    """The tables of a kind; none where no record belongs to it.

    Scores are means over seeds with their population standard deviation.
    Published numbers stand in rows or columns of their own.

    Args:
        kind: One of :data:`KINDS`.
        records: Results of any kinds.

    Raises:
        ValueError: An unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f'kind={kind!r}: choose of {", ".join(KINDS)}.')
    return _TABLES[kind](separate(records))


def few_shot_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each method, a column for each number of shots."""
    return [
        _by_shots('few-shot', study, place, (OWN, PROBE, 'coop-m16-end'))
        for study in studies.few_shot(records) for place in study.places
    ]


def context_length_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each length, a column for each number of shots."""
    return [
        _by_shots('context-length', study, place,
                  (OWN, 'coop-m16-end', 'coop-m4-end'))
        for study in studies.context_lengths(records)
        for place in study.places
    ]


def backbones_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each method, a column for each backbone."""
    return [
        _by_backbone('backbones', study, place,
                     (OWN, PROBE, 'coop-m16-end', 'coop-m4-end'))
        for study in studies.backbones(records) for place in study.places
    ]


def ensembles_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each hand-written prompt, a column for each backbone."""
    return [
        _by_backbone('ensembles', study, place,
                     (OWN, 'zeroshot-ensemble7', 'coop-m16-end'))
        for study in studies.ensembles(records) for place in study.places
    ]


def init_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each start of the context, a column for each data set."""
    return [_init(study) for study in studies.init(records)]


def adaptations_tables(records: Sequence[Record]) -> List[Table]:
    """A row for each way to adapt CLIP; a table for each data set."""
    return [
        _adaptations(study, place)
        for study in studies.adaptations(records) for place in study.places
    ]


_TABLES = {
    'few-shot': few_shot_tables,
    'context-length': context_length_tables,
    'backbones': backbones_tables,
    'domain': domain_tables,
    'ensembles': ensembles_tables,
    'init': init_tables,
    'adaptations': adaptations_tables,
    'base-to-new': base_to_new_tables,
    'cross-dataset': cross_dataset_tables,
}
KINDS = tuple(_TABLES)


def _by_shots(kind: str, study: Study, place: str,
              compare: Sequence[str]) -> Table:

    def known(method: str, shots: float) -> Optional[float]:
        return published.few_shot(place, method, study.backbone, shots)

    return _grid(
        slug(kind, study.backbone, place),
        f'{study.place_title(place)}, {study.condition}: {BY_SHOTS}',
        [shots_label(shots) for shots in study.columns], study, place,
        compare, known, [study.backbone])


def _by_backbone(kind: str, study: Study, place: str,
                 compare: Sequence[str]) -> Table:

    def known(method: str, backbone: str) -> Optional[float]:
        shots = 0 if method.startswith(ZERO_SHOT) else study.shots
        return published.from_source(place, method, backbone, shots)

    condition = f', {study.condition}' if study.condition else ''
    return _grid(
        slug(kind, place),
        f'{study.place_title(place)}{condition}: {BY_BACKBONE}',
        [backbone_title(name) for name in study.columns], study, place,
        compare, known, study.columns)


def _grid(name: str, title: str, header: List[str], study: Study, place: str,
          compare: Sequence[str], known: Callable,
          backbones: Sequence[str]) -> Table:
    """Our rows, then published ones, with a column for each condition.

    Args:
        name: Of the table.
        title: Of the table.
        header: Names of the conditions.
        study: Our scores.
        place: A data set, or the average.
        compare: Methods to show published numbers of.
        known: Gives the published number of a method and a condition.
        backbones: Backbones in the table.
    """
    ours = [[method_title(method)] +
            [study.at(place, method, column) for column in study.columns]
            for method in study.methods]
    theirs = [[published_title(method)] +
              [known(method, column) for column in study.columns]
              for method in compare]
    theirs = [row for row in theirs if any(row[1:])]
    said = study_notes(study, place)
    if theirs:
        said += published_notes(place, backbones)
    return Table(name, title, ['method', *header],
                 [row for row in ours if any(row[1:])] + theirs, said)


def _init(study: Study) -> Table:
    places = study.places
    rows = [[method_title(method)] +
            [study.at(place, method) for place in places]
            for method in study.methods]
    said = notes(study.records) + shots_note(study)
    if AVERAGE in places:
        said.append(average_note(study.lacking))
        if _is_rn50_16(study):
            rows += [[published_title(method), top1] + [None] *
                     len(study.datasets)
                     for method, top1 in published.INIT.items()]
            said += published_notes(AVERAGE, [study.backbone])
    return Table(
        slug('init', study.backbone),
        f'Start of the context, {study.condition}: top-1 (%)',
        ['method', *map(study.place_title, places)], rows, said)


def _adaptations(study: Study, place: str) -> Table:
    header = ['method', 'top-1', 'gain over zero-shot']
    known, said = {}, study_notes(study, place)
    if place == SOURCE and _is_rn50_16(study):
        known = published.ADAPTATIONS
        header += ['published', 'published gain']
        said += published_notes(place, [study.backbone])
    zero_shot, rows = study.at(place, OWN), []
    for method in sort_methods([*study.methods, *known]):
        score = study.at(place, method)
        row = [method_title(method), score,
               _gain(score and score.mean, zero_shot and zero_shot.mean)]
        if known:
            row += [known.get(method), _gain(known.get(method), known[OWN])]
        if any(row[1:]):
            rows.append(row)
    return Table(
        slug('adaptations', study.backbone, place),
        f'Ways to adapt CLIP, {study.place_title(place)}, '
        f'{study.condition}: top-1 (%)', header, rows, said)


def _is_rn50_16(study: Study) -> bool:
    """Whether the paper's studies were made under the same conditions."""
    return known_backbone(study.backbone) == 'RN50' and study.shots == 16


def _gain(top1: Optional[float], zero_shot: Optional[float]) -> Cell:
    if top1 is None or zero_shot is None:
        return None
    return f'{top1 - zero_shot:+.2f}'
