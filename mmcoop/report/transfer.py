"""Tables of models that were tested elsewhere than they were trained."""
from statistics import fmean, harmonic_mean
from typing import List, Optional, Sequence

from . import published, studies
from .names import (OWN, PROBE, SOURCE, TARGETS, backbone_title, dataset_title,
                    known_backbone, method_title, published_title)
from .notes import average_note, notes, published_notes, shots_note
from .published import AVERAGE
from .records import Record
from .scores import Score, average, shots_title
from .studies import Study
from .table import Cell, Table, slug

HARMONIC = ('H is the harmonic mean of base and new, of their means over '
            'seeds; for the average, of the two averages.')


def domain_tables(records: Sequence[Record]) -> List[Table]:
    """One table: a row for each backbone and method."""
    found = studies.domain(records)
    if not found:
        return []
    lacking = studies.domain_lacking(found)
    targets = [name for name in TARGETS if not lacking[name]]
    shots, rows = found[0].shots, []
    for study in found:
        rows += _domain_rows(study, targets, shots)
    said = notes([r for study in found for r in study.records])
    said += [average_note(lacking), *shots_note(found[0])]
    if any('(published)' in row[1] for row in rows):
        said += published_notes(SOURCE, [study.backbone for study in found])
    return [Table(
        'domain',
        f'Domain generalisation from ImageNet{_trained(found[0])}: top-1 (%)',
        ['backbone', 'method', *map(dataset_title, (SOURCE, *TARGETS)),
         f'average of {len(targets)}'], rows, said)]


def base_to_new_tables(records: Sequence[Record]) -> List[Table]:
    """A table for each backbone: a row for each data set and method."""
    tables = []
    for study in studies.base_to_new(records):
        rows = []
        for place in study.places:
            for method in study.methods:
                base, new = (study.at(place, method, subset)
                             for subset in study.columns)
                if base or new:
                    rows.append([study.place_title(place),
                                 method_title(method), base, new,
                                 _harmonic(base, new)])
            if place == AVERAGE:
                rows += _published_base_to_new(study)
        said = notes(study.records) + [HARMONIC] + shots_note(study)
        if AVERAGE in study.places:
            said.append(average_note(study.lacking))
            if _published_base_to_new(study):
                said += published_notes(AVERAGE, [study.backbone])
        tables.append(Table(
            slug('base-to-new', study.backbone),
            f'Base to new classes, {backbone_title(study.backbone)}'
            f'{_trained(study)}: top-1 (%)',
            ['data set', 'method', 'base', 'new', 'H'], rows, said))
    return tables


def cross_dataset_tables(records: Sequence[Record]) -> List[Table]:
    """A table for each source and backbone: a row for each method."""
    tables = []
    for study in studies.cross_dataset(records):
        targets = [name for name in study.datasets if name != study.source]
        places = [study.source, *targets, AVERAGE]
        rows = [[method_title(method)] +
                [study.at(place, method) for place in places]
                for method in study.methods]
        source = dataset_title(study.source)
        tables.append(Table(
            slug('cross-dataset', study.source, study.backbone),
            f'From {source} to other data sets, '
            f'{backbone_title(study.backbone)}{_trained(study)}: top-1 (%)',
            ['method', f'{source} (source)', *map(dataset_title, targets),
             f'average of {len(study.common)}'], rows,
            notes(study.records) + [average_note(study.lacking)] +
            shots_note(study)))
    return tables


def _domain_rows(study: Study, targets: Sequence[str],
                 shots: Optional[float]) -> List[List[Cell]]:
    """Our rows of a backbone, then the published ones."""
    title = backbone_title(study.backbone)
    rows = []
    for method in study.methods:
        chosen = [study.at(name, method) for name in targets]
        rows.append([title, method_title(method)] +
                    [study.at(name, method) for name in (SOURCE, *TARGETS)] +
                    [average(chosen) if len(chosen) > 1 else None])
    for method in (OWN, PROBE, 'coop-m16-end', 'coop-m4-end'):
        known = {
            name: published.from_source(name, method, study.backbone,
                                        0 if method == OWN else shots)
            for name in (SOURCE, *TARGETS)
        }
        if all(known.values()):
            chosen = [known[name] for name in targets]
            rows.append([title, published_title(method), *known.values(),
                         fmean(chosen) if len(chosen) > 1 else None])
    return rows


def _published_base_to_new(study: Study) -> List[List[Cell]]:
    at = known_backbone(study.backbone), study.shots
    if at != published.BASE_TO_NEW_AT:
        return []
    return [['Average (published)', *row] for row in published.BASE_TO_NEW]


def _trained(study: Study) -> str:
    return f', trained with {shots_title(study.shots)}' if study.shots else ''


def _harmonic(base: Optional[Score], new: Optional[Score]) -> Optional[float]:
    if base is None or new is None:
        return None
    return harmonic_mean([base.mean, new.mean])
