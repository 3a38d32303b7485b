"""What must be known to compare the numbers of a table."""
from collections import defaultdict
from typing import Hashable, Iterable, List, Sequence

from ..catalog import CATALOG
from .names import (SOURCE, dataset_title, known_backbone, method_title,
                    sort_datasets, sort_methods)
from .published import AVERAGE, RE_RUNS
from .records import Record
from .scores import published_epochs, selection, shots_label, shots_of

PUBLISHED_SEEDS = {1, 2, 3}
PUBLISHED = ("published: numbers of the papers, with OpenAI's CLIP weights and"
             ' whole test sets; not run here.')


def notes(records: Sequence[Record]) -> List[str]:
    """Seeds, and all in which the runs differ from the published recipe."""
    return [
        *_seeds(records), *_views(records), *_epochs(records),
        *_selection(records), *_test_images(records)
    ]


def published_notes(dataset: str, backbones: Iterable[str]) -> List[str]:
    """Said under a table that shows published numbers."""
    said = [PUBLISHED]
    if dataset == AVERAGE:
        said.append('The published average is over eleven data sets.')
    if dataset == SOURCE and 'RN50' in map(known_backbone, backbones):
        said.append('Independent re-runs of CoOp on ImageNet with RN50 and '
                    f'16 shots gave about {RE_RUNS}.')
    return said


def average_note(lacking: dict) -> str:
    """Over how many data sets an average goes, and what others lack.

    Args:
        lacking: For each data set the methods that lack it.
    """
    count = sum(not methods for methods in lacking.values())
    said = (f'Average over the {count} of {len(lacking)} data sets for which '
            'every method has all its numbers.')
    if count < 2:
        said = 'No average: it takes two data sets that every method has.'
    left_out = [
        f'{dataset_title(name)} (lacks {_methods(lacking[name])})'
        for name in sort_datasets(lacking) if lacking[name]
    ]
    if left_out:
        said += f' Left out: {"; ".join(left_out)}.'
    return said


def study_notes(study, place: str) -> List[str]:
    """All notes on our own scores of a place.

    Args:
        study: The :class:`mmcoop.report.studies.Study`.
        place: A data set, or the average.
    """
    said = notes(study.used(place))
    first = place == study.places[0] and len(study.datasets) > 1
    if first:  # the average, or the first table without one
        said.append(average_note(study.lacking))
    return said + shots_note(study)


def shots_note(study) -> List[str]:
    """Said where only the largest number of shots is shown."""
    others = sorted({shots_of(r) for r in study.unshown} - {0, study.shots})
    if not others:
        return []
    labels = ', '.join(map(shots_label, others))
    return [f'Results of other numbers of shots are not shown: {labels}.']


def _seeds(records: Sequence[Record]) -> List[str]:
    seeds = sorted({r.seed for r in records if r.seed is not None})
    if not seeds:
        return []
    listed = ', '.join(map(str, seeds))
    said = [f'Mean ± population standard deviation over seeds {listed}.'
            if len(seeds) > 1 else f'One seed only: {listed}.']
    if not PUBLISHED_SEEDS <= set(seeds):
        said[0] += ' Published means are over seeds 1, 2, 3.'
    found = defaultdict(set)
    for r in records:
        if r.seed is not None:
            found[r.method, r.dataset, shots_of(r), r.class_subset].add(r.seed)
    missing = defaultdict(list)
    for (method, dataset, shots, subset), there in found.items():
        gone = tuple(seed for seed in seeds if seed not in there)
        if gone:
            where = f'{dataset_title(dataset)}{subset and f" {subset}" or ""}'
            missing[method, gone].append(f'{where} {shots_label(shots)}-shot')
    for (method, gone), places in missing.items():
        said.append(f'Seeds missing: {", ".join(map(str, gone))} of '
                    f'{method_title(method)} ({_few(places)}).')
    return said


def _views(records: Iterable[Record]) -> List[str]:
    found = [r for r in records if r.cached_views is not None]
    return [
        f'Approximation: trained on {views} cached views an image, not on '
        f'new views each epoch: {who}.'
        for views, who in _grouped(found, lambda r: r.cached_views)
    ]


def _epochs(records: Iterable[Record]) -> List[str]:
    found = [r for r in records if r.epochs is not None
             and r.epochs != published_epochs(r)]
    return [
        f'Trained for {epochs} epochs, not the {published} of the recipe: '
        f'{who}.' for (epochs, published), who in _grouped(
            found, lambda r: (r.epochs, published_epochs(r)))
    ]


def _selection(records: Iterable[Record]) -> List[str]:
    found = [r for r in records if selection(r)]
    said = [f'Selected ({how}): {who}.'
            for how, who in _grouped(found, selection)]
    if any(r.method.startswith('coop') for r in found):
        said.append('Published numbers of CoOp are of the last epoch; nothing '
                    'was selected.')
    return said


def _test_images(records: Iterable[Record]) -> List[str]:
    found, records = defaultdict(set), list(records)
    for r in records:
        if r.dataset in CATALOG and not r.class_subset and r.num_test:
            found[r.dataset].add(r.num_test)
        elif r.dataset in CATALOG and r.lists not in (None, 'published'):
            found[r.dataset]  # a part of another split
    said = []
    for dataset in sort_datasets(found):
        whole = CATALOG[dataset].sizes['test']
        cut = sorted(found[dataset] - {whole})
        other = any(r.lists == 'other sizes' for r in records
                    if r.dataset == dataset)
        if other and not cut:
            said.append(f'{dataset_title(dataset)}: other lists of images '
                        'than published.')
        by_rule = any(r.lists == 'made by rule' for r in records
                      if r.dataset == dataset)
        if by_rule:
            said.append(
                f'{dataset_title(dataset)}: split by the published rule, not '
                'the published split.')
        if cut:
            said.append(
                f'{dataset_title(dataset)}: tested on '
                f'{" or ".join(map(str, cut))} images, the published test '
                f'set has {whole}.')
    return said


def _grouped(records: Iterable[Record], key) -> List[tuple]:
    """(what the key gives, "method (data sets); ..."), sorted."""
    groups = defaultdict(lambda: defaultdict(set))
    for r in records:
        groups[key(r)][r.method].add(r.dataset)
    return [
        (value, '; '.join(
            f'{method_title(method)} '
            f'({_few([dataset_title(n) for n in sort_datasets(names)])})'
            for method, names in groups[value].items()))
        for value in sorted(groups)
    ]


def _methods(methods: Iterable[Hashable]) -> str:
    return _few([method_title(name) for name in sort_methods(methods)], 3)


def _few(names: Sequence[str], most: int = 6) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
