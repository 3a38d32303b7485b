"""Notes below tables: what a reader must know to compare the numbers."""
from typing import TYPE_CHECKING, Dict, Iterable, List, Sequence

from ..methods import AVERAGE, Method, find_method, sort_methods
from .names import (CATALOG, backbone_title, dataset_title, method_title,
                    published_backbone, shots_label, sort_datasets)
from .protocols import PROTOCOLS
from .study import MEASURED, Study

if TYPE_CHECKING:
    from pandas import DataFrame

PUBLISHED_SEEDS = {1, 2, 3}
PUBLISHED = ("published: numbers of the papers, with OpenAI's CLIP weights and"
             ' whole test sets; not run here.')


def describe_scores(study: Study, dataset: str) -> List[str]:
    """All notes on our own scores of a data set or of the average."""
    notes = describe_runs(study.runs_on(dataset), study.kind not in MEASURED)
    if dataset == study.tabulated[0] and len(study.datasets) > 1:
        notes.append(describe_average(study))
    return notes + describe_study(study)


def describe_runs(runs: 'DataFrame', published: bool = True) -> List[str]:
    """Seeds, and everything in which runs differ from the published recipe.

    Args:
        runs: The runs.
        published: Whether published numbers are shown beside them.
    """
    notes = _describe_seeds(runs, published)
    for views, group in runs.groupby('cached_views'):
        notes.append(
            f'Approximation: trained on {views} cached views an image, not on '
            f'new views each epoch: {_list_runs(group)}.')
    known = runs[runs.epochs.notna() & runs.recipe_epochs.notna()]
    changed = known[known.epochs != known.recipe_epochs]
    for (epochs, recipe), group in changed.groupby(
            ['epochs', 'recipe_epochs']):
        notes.append(f'Trained for {epochs} epochs, not the {recipe} of the '
                     f'recipe: {_list_runs(group)}.')
    return notes + _describe_selection(runs) + _describe_test_sets(runs)


def describe_average(study: Study) -> str:
    """Over which data sets an average goes, and why not over the others."""
    count, left_out = len(study.averaged), []
    note = (f'Average over the {count} of {len(study.missing)} data sets for '
            'which every method has all its numbers.')
    if count < 2:
        note = 'No average: it takes two data sets that every method has.'
    for dataset, pairs in study.missing.items():
        if study.kind == 'domain':  # on any backbone
            titles = sorted({
                f'{method_title(method)}, {backbone_title(backbone)}'
                for method, backbone in pairs})
        else:
            titles = list(map(method_title,
                              sort_methods(method for method, _ in pairs)))
        if titles:
            left_out.append(
                f'{dataset_title(dataset)} (lacks {_shorten(titles, 3)})')
    return note + (f' Left out: {"; ".join(left_out)}.' if left_out else '')


def describe_study(study: Study) -> List[str]:
    """Protocols that differ, and runs that are not shown."""
    notes, labels = [], ', '.join(map(shots_label, study.other_shots))
    if study.mixed:
        notes.append('Rows differ in protocol: ' + '; '.join(
            f'[{protocol}] {PROTOCOLS.get(protocol, "see the result files")}'
            for protocol in sorted(set(study.protocols.values()))) + '.')
    if study.kind == 'noise':
        notes.append(
            'Labels of the training draw are wrong on purpose: round(rate x '
            'images) of each class. Validation and test images are labelled '
            'right; zero-shot sees no label.')
        runs = study.runs[study.runs.wrong.notna()]
        for (rate, wrong), _ in runs.groupby(['noise', 'wrong']):
            if abs(rate - wrong) > 0.01:
                notes.append(f'Rounding leaves {100 * wrong:.1f} % of the '
                             f'labels wrong where {100 * rate:g} % are said.')
    if labels:
        notes.append('Results of other numbers of shots are not shown: '
                     f'{labels}.')
    if study.noisy:
        notes.append(f'{study.noisy} runs with label noise are not shown: the '
                     'kind noise shows them.')
    return notes


def describe_published(study: Study, dataset: str, shown) -> List[str]:
    """Notes on the published numbers of a data set, if any are shown."""
    if not shown:
        return []
    notes = [PUBLISHED]
    if dataset == AVERAGE:
        notes.append('The published average is over eleven data sets.')
    names = set(map(published_backbone, study.conditions if study.by
                    == 'backbone' else [study.backbone]))
    return notes + _collection_notes(
        study.published_methods(), 'published',
        lambda note: note.get('Dataset') == dataset
        and note.get('Backbone') in names)


def _collection_notes(methods: Iterable[Method], when: str,
                      applies=lambda note: True) -> List[str]:
    """Notes that metafiles have for their collections, each once."""
    return list(dict.fromkeys(
        note['Text'] for method in methods for note in method.notes
        if note['When'] == when and applies(note)))


def _describe_seeds(runs: 'DataFrame', published: bool) -> List[str]:
    runs = runs[runs.seed >= 0]
    seeds = sorted(set(runs.seed))
    if not seeds:
        return []
    listed = ', '.join(map(str, seeds))
    note = (f'Mean ± population standard deviation over seeds {listed}.'
            if len(seeds) > 1 else f'One seed only: {listed}.')
    if published and not PUBLISHED_SEEDS <= set(seeds):
        note += ' Published means are over seeds 1, 2, 3.'
    missing: Dict[tuple, List[str]] = {}
    groups = runs.fillna({'class_subset': ''}).groupby(
        ['method', 'dataset', 'shots', 'class_subset', 'noise'], sort=False)
    for (method, dataset, shots, subset, noise), found in groups.seed:
        absent = ', '.join(str(s) for s in seeds if s not in set(found))
        if absent:
            where = ' '.join(filter(None, (
                dataset_title(dataset), subset, f'{shots_label(shots)}-shot',
                noise and f'{100 * noise:g} % noise')))
            missing.setdefault((method, absent), []).append(where)
    return [note] + [
        f'Seeds missing: {absent} of {method_title(method)} '
        f'({_shorten(where)}).'
        for (method, absent), where in missing.items()]


def _describe_selection(runs: 'DataFrame') -> List[str]:
    notes = [f'Selected ({how}): {_list_runs(group)}.'
             for how, group in runs.groupby('selection')]
    names = sort_methods(runs.name[runs.selection.notna()])
    return notes + _collection_notes(
        filter(None, map(find_method, names)), 'selected')


def _describe_test_sets(runs: 'DataFrame') -> List[str]:
    """Published data sets with other test images than published."""
    notes = []
    for dataset in sort_datasets(set(runs.dataset) & set(CATALOG)):
        title, whole = dataset_title(dataset), CATALOG[dataset].sizes['test']
        group = runs[runs.dataset == dataset]
        tested = set(group.num_test[group.class_subset.isna()].dropna())
        cut = sorted(tested - {0, whole})
        lists = set(group.lists)
        if 'other sizes' in lists and not cut:
            notes.append(f'{title}: other lists of images than published.')
        if 'made by rule' in lists:
            notes.append(f'{title}: split by the published rule, not the '
                         'published split.')
        if cut:
            notes.append(f'{title}: tested on {" or ".join(map(str, cut))} '
                         f'images, the published test set has {whole}.')
    return notes


def _list_runs(runs: 'DataFrame') -> str:
    """``method (data sets); method (data sets)``."""
    return '; '.join(
        f'{method_title(method)} '
        f'({_shorten(list(map(dataset_title, sort_datasets(names))))})'
        for method, names in runs.groupby('method', sort=False).dataset)


def _shorten(names: Sequence[str], most: int = 6) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
