"""Which records belong to which table or picture."""
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Callable, Dict, Hashable, Iterable, List, Optional, Sequence

from .names import (ADAPTATIONS, ENSEMBLES, OWN, PROBE, SHOTS, SOURCE, TARGETS,
                    backbone_title, context_length, dataset_title,
                    method_title, plain, sort_backbones, sort_datasets,
                    sort_methods)
from .published import AVERAGE
from .records import Record
from .scores import (Cube, Score, at_shots, average, cube, datasets_of,
                     lacking, most_shots, shots_of, shots_title)

WORDS = ('coop-m4-end', 'coop-m4-end-words')


@dataclass
class Study:
    """Methods compared under some conditions, on some data sets.

    Attributes:
        records: The results.
        column: The condition of a record, e.g. its shots or its backbone.
        columns: The conditions, in order.
        backbone: The one CLIP, unless the conditions are CLIPs.
        shots: The one number of shots, unless the conditions are shots.
        unshown: Records of the same kind with other shots.
        source: The data set that was trained on, if tests are elsewhere; it
            counts in no average.
    """
    records: Sequence[Record]
    column: Callable[[Record], Hashable]
    columns: List[Hashable]
    backbone: Optional[str] = None
    shots: Optional[float] = None
    unshown: Sequence[Record] = ()
    source: Optional[str] = None
    scores: Cube = field(init=False)

    def __post_init__(self) -> None:
        self.scores = cube(self.records, lambda r: r.method, self.column)
        self.methods = sort_methods(self.scores)
        self.datasets = sort_datasets(datasets_of(self.scores))
        self.lacking = lacking(self.scores)
        self.lacking.pop(self.source, None)
        self.common = [name for name in self.datasets
                       if self.lacking.get(name) == []]

    @property
    def places(self) -> List[str]:
        """The average, where it is more than one data set; the data sets."""
        several = len(self.common) > 1
        return [AVERAGE] * several + self.datasets

    @property
    def condition(self) -> str:
        """What all its scores have in common: ``RN50, 16 shots``."""
        said = [backbone_title(self.backbone)] if self.backbone else []
        if self.shots:
            said.append(shots_title(self.shots))
        return ', '.join(said)

    def place_title(self, place: str) -> str:
        if place == AVERAGE:
            return f'Average of {len(self.common)} data sets'
        return dataset_title(place)

    def at(self, place: str, method: str,
           column: Hashable = None) -> Optional[Score]:
        """The score of a cell, if there is one.

        Args:
            place: A data set, or ``AVERAGE`` over the data sets that every
                method has.
            method: The method.
            column: The condition.
        """
        scores = self.scores.get(method, {}).get(column)
        if scores is None or place != AVERAGE:
            return scores and scores.get(place)
        return average([scores[name] for name in self.common]) \
            if len(self.common) > 1 else None

    def used(self, place: str) -> List[Record]:
        """The records behind the scores of a place."""
        names = self.common if place == AVERAGE else [place]
        return [r for r in self.records if r.dataset in names]


def few_shot(records: Sequence[Record]) -> List[Study]:
    """Accuracy against shots, a study for each backbone (Fig. 3 and 4)."""
    return [
        _by_shots(compared(group), backbone)
        for backbone, group in _by_backbone(_in_place(records)).items()
        if compared(group)
    ]


def context_lengths(records: Sequence[Record]) -> List[Study]:
    """Lengths M against shots, where two of them were run (Fig. 5)."""
    studies = []
    for backbone, group in _by_backbone(_in_place(records)).items():
        lengths = {plain(r.method) for r in group} & {
            f'coop-m{context_length(r.method)}-end' for r in group}
        if len(lengths) > 1:
            group = _only(group, OWN, *lengths)
            studies.append(_by_shots(group, backbone))
    return studies


def backbones(records: Sequence[Record]) -> List[Study]:
    """The same methods on two or more backbones (Fig. 5)."""
    groups = _by_backbone(compared(_in_place(records)))
    groups = {name: group for name, group in groups.items()
              if most_shots(group)}
    chosen = [r for group in groups.values() for r in group]
    return _by_backbones(chosen) if len(groups) > 1 else []


def ensembles(records: Sequence[Record]) -> List[Study]:
    """Hand-written prompts and their ensembles beside CoOp (Table 2)."""
    found = _in_place(records, targets=True)
    where = {r.dataset for r in found if r.method.startswith(ENSEMBLES)}
    found = [r for r in found if r.dataset in where]
    coop = _only(found, first_coop(r.method for r in found))
    return _by_backbones([r for r in found if r.zero_shot] + coop)


def init(records: Sequence[Record]) -> List[Study]:
    """A random context beside one that starts from words (Table 3)."""
    studies = []
    for backbone, group in _by_backbone(_in_place(records)).items():
        shots = most_shots(_only(group, WORDS[1]))
        if shots:
            studies.append(_at_shots(_only(group, *WORDS), backbone, shots))
    return studies


def adaptations(records: Sequence[Record]) -> List[Study]:
    """Other ways to adapt CLIP beside CoOp (Table 5)."""
    studies = []
    for backbone, group in _by_backbone(_in_place(records)).items():
        others = _only(group, *ADAPTATIONS)
        where, shots = {r.dataset for r in others}, most_shots(others)
        group = [r for r in group if r.dataset in where]
        coop = first_coop(r.method for r in group)
        if where:
            studies.append(_at_shots(
                _only(group, OWN, PROBE, *ADAPTATIONS, coop), backbone,
                shots))
    return studies


def base_to_new(records: Sequence[Record]) -> List[Study]:
    """Trained on the base classes, tested on them and on the new ones."""
    found = [
        r for r in records if r.class_subset and r.trained_on is None
        and (r.zero_shot or r.trained_subset == 'base')
    ]
    return [
        _at_shots(_own_template(group), backbone, most_shots(group),
                  lambda r: r.class_subset, ['base', 'new'])
        for backbone, group in _by_backbone(found).items()
    ]


def domain(records: Sequence[Record]) -> List[Study]:
    """Trained on ImageNet, tested on its variants (Table 1), by backbone."""
    return _transfers(
        [r for r in records if r.dataset in (SOURCE, *TARGETS)], SOURCE,
        TARGETS)


def domain_lacking(found: Sequence[Study]) -> Dict[str, List[str]]:
    """For each target the methods that lack it, on whichever backbone."""
    return {
        name: [f'{method_title(method)}, {backbone_title(study.backbone)}'
               for study in found
               for method in study.lacking.get(name, study.methods)]
        for name in TARGETS
    }


def cross_dataset(records: Sequence[Record]) -> List[Study]:
    """Tested on other data sets than trained on, by source and backbone."""
    studies = []
    for source in sort_datasets({r.trained_on for r in records} - {None}):
        found = [r for r in records
                 if source != SOURCE or r.dataset not in TARGETS]
        targets = {r.dataset for r in found if r.trained_on == source}
        studies += [study for study in _transfers(found, source, targets)
                    if most_shots(study.records)]
    return studies


def compared(records: Sequence[Record]) -> List[Record]:
    """The methods of Fig. 3, and one's own.

    What has a table of its own is left out: other adaptations, other
    hand-written prompts where there is the data set's own, other context
    lengths where there is M=16.
    """
    found = [r for r in _own_template(records)
             if plain(r.method) not in ADAPTATIONS]
    if any(context_length(r.method) == 16 for r in found):
        found = [r for r in found if context_length(r.method) in (None, 16)]
    return found


def first_coop(methods: Iterable[str]) -> Optional[str]:
    """The method that stands for CoOp where only one is shown."""
    found = [plain(m) for m in methods if context_length(m)]
    return next(iter(sort_methods(found)), None)


def _transfers(records: Sequence[Record], source: str,
               targets: Iterable[str]) -> List[Study]:
    """Methods on a source and its targets, a study for each backbone."""
    whole = [r for r in _own_template(records)
             if r.class_subset is r.trained_subset is None]
    away = [r for r in whole if r.dataset in targets and (
        r.zero_shot or r.trained_on == source)]
    shots, studies = most_shots(away), []
    for backbone, group in _by_backbone(away).items():
        methods = {r.method for r in group}
        home = [r for r in whole if r.dataset == source
                and r.trained_on is None and r.backbone == backbone
                and r.method in methods]
        studies.append(Study(
            at_shots(group + home, shots), _nothing, [None], backbone, shots,
            group, source))
    return [study for study in studies if study.lacking]


def _in_place(records: Sequence[Record],
              targets: bool = False) -> List[Record]:
    """Trained, if at all, on all classes of the data set of the test.

    Args:
        records: The results.
        targets: Whether to keep data sets that are there to be tested on.
    """
    found = [r for r in records if r.class_subset is r.trained_subset is None
             and r.trained_on is None]
    trained = {r.dataset for r in found if not r.zero_shot}
    return [r for r in found
            if targets or r.dataset in trained or r.dataset not in TARGETS]


def _own_template(records: Sequence[Record]) -> List[Record]:
    """Of the hand-written prompts the data set's own, where there is one."""
    if not any(r.method == OWN for r in records):
        return list(records)
    return [r for r in records if r.method == OWN or not r.zero_shot]


def _only(records: Sequence[Record], *methods: str) -> List[Record]:
    return [r for r in records if plain(r.method) in methods]


def _nothing(record: Record) -> None:
    """The condition where there is only one."""


def _by_backbone(records: Sequence[Record]) -> Dict[str, List[Record]]:
    groups = defaultdict(list)
    for r in records:
        groups[r.backbone].append(r)
    return {name: groups[name] for name in sort_backbones(groups)}


def _by_shots(records: Sequence[Record], backbone: str) -> Study:
    columns = sorted({0, *SHOTS, *map(shots_of, records)})
    return Study(records, shots_of, columns, backbone)


def _by_backbones(records: Sequence[Record]) -> List[Study]:
    if not records:
        return []
    return [_at_shots(records, None, most_shots(records),
                      lambda r: r.backbone,
                      sort_backbones(r.backbone for r in records))]


def _at_shots(records: Sequence[Record], backbone: Optional[str],
              shots: Optional[float], column=_nothing,
              columns=(None, )) -> Study:
    return Study(at_shots(records, shots), column, list(columns), backbone,
                 shots, records)
