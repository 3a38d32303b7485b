"""Which runs belong to which table or figure."""
from typing import (TYPE_CHECKING, Dict, Iterable, Iterator, List, Optional,
                    Sequence, Tuple)

from ..methods import (Method, all_methods, find_method, methods_in,
                       sort_methods)
from .names import SHOTS, SOURCE, TARGETS, sort_backbones, sort_datasets
from .records import (Record, load_pandas, make_frame, most_shots,
                      select_methods)
from .study import Study

if TYPE_CHECKING:
    from pandas import DataFrame


def learns_prompts(method: Optional[Method]) -> bool:
    """Whether a method is neither a baseline nor a comparison.

    False for a method that no metafile describes (None).
    """
    return bool(method and method.learns and not method.comparison)


def find_studies(kind: str, records: Sequence[Record]) -> List[Study]:
    """The comparisons of a kind of table, usually one for each backbone.

    Args:
        kind: One of :data:`mmcoop.report.KINDS`.
        records: Results, also of other kinds.

    Returns:
        The studies; an empty list where no result belongs to the kind.
    """
    # runs with wrong labels have a kind of table to themselves
    shown = [one for one in records if kind == 'noise' or not one.noise]
    frame = make_frame(shown)
    excluded = [method.name for method in all_methods()
                if method.only_in and kind not in method.only_in]
    studies = _SELECT[kind](frame[~frame.name.isin(excluded)])
    for study in studies:
        study.noisy = len(records) - len(shown)
    return studies


def select_few_shot(frame: 'DataFrame') -> List[Study]:
    """Accuracy against shots, a study for each backbone (Fig. 3 and 4)."""
    return [_compare_shots('few-shot', hide_variants(runs), backbone)
            for backbone, runs in _by_backbone(_select_same_dataset(frame))]


def select_context_length(frame: 'DataFrame') -> List[Study]:
    """Lengths M against shots, where two of them were run (Fig. 5)."""
    kind = 'context-length'
    names = [method.name for method in methods_in(kind) if method.learns]
    baselines = [method.name for method in all_methods() if method.baseline]
    return [_compare_shots(kind, select_methods(runs, *names, *baselines),
                           backbone)
            for backbone, runs in _by_backbone(_select_same_dataset(frame))
            if select_methods(runs, *names).name.nunique() > 1]


def select_backbones(frame: 'DataFrame') -> List[Study]:
    """The same methods on two or more backbones (Fig. 5)."""
    groups = [runs for _, runs in _by_backbone(
        hide_variants(_select_same_dataset(frame))) if most_shots(runs)]
    return _compare_backbones('backbones', groups) if len(groups) > 1 else []


def select_ensembles(frame: 'DataFrame') -> List[Study]:
    """Hand-written prompts and their ensembles beside CoOp (Table 2)."""
    kind, runs = 'ensembles', _select_same_dataset(frame, keep_targets=True)
    names = [method.name for method in methods_in(kind)
             if not (method.learns or method.baseline)]
    runs = runs[runs.dataset.isin(select_methods(runs, *names).dataset)]
    learned = select_methods(runs, *_representatives(kind, runs))
    return _compare_backbones(kind, [runs[~runs.learns], learned])


def select_init(frame: 'DataFrame') -> List[Study]:
    """Starts of the context (Table 3).

    The first method of the kind is what the others are compared with: they
    decide whether there is a table, and its shots.
    """
    names = [method.name for method in methods_in('init')]
    return [Study('init', select_methods(runs, *names), backbone=backbone,
                  shots=shots)
            for backbone, runs in _by_backbone(_select_same_dataset(frame))
            if (shots := most_shots(select_methods(runs, *names[1:])))]


def select_adaptations(frame: 'DataFrame') -> List[Study]:
    """Other ways to adapt CLIP beside CoOp (Table 5)."""
    kind, studies = 'adaptations', []
    compared = methods_in(kind)
    others = [method.name for method in compared if kind in method.only_in]
    shown = [method.name for method in compared
             if method.comparison or method.baseline]
    for backbone, runs in _by_backbone(_select_same_dataset(frame)):
        adapted = select_methods(runs, *others)
        runs = runs[runs.dataset.isin(adapted.dataset)]
        if len(runs):
            names = {*shown, *_representatives(kind, runs)}
            studies.append(Study(kind, select_methods(runs, *names),
                                 backbone=backbone,
                                 shots=most_shots(adapted)))
    return studies


def select_base_to_new(frame: 'DataFrame') -> List[Study]:
    """Trained on the base classes, tested on them and on the new ones."""
    runs = frame[frame.class_subset.notna() & frame.trained_on.isna()
                 & (~frame.learns
                    | (frame.trained_subset == 'base'))]
    return [Study('base-to-new', hide_variants(runs, learned=False),
                  'class_subset', ['base', 'new'], backbone, most_shots(runs))
            for backbone, runs in _by_backbone(runs)]


def select_domain(frame: 'DataFrame') -> List[Study]:
    """Trained on ImageNet, tested on its variants (Table 1)."""
    shots, groups = _select_transfers(frame, SOURCE, TARGETS)
    if not groups:
        return []
    return [Study('domain', load_pandas().concat(groups.values()), 'backbone',
                  list(groups), shots=shots, source=SOURCE, targets=TARGETS)]


def select_cross_dataset(frame: 'DataFrame') -> List[Study]:
    """Tested on other data sets than trained on, by source and backbone."""
    studies = []
    for source in sort_datasets(frame.trained_on.dropna()):
        targets = set(frame.dataset[frame.trained_on == source])
        if source == SOURCE:
            targets -= set(TARGETS)
        shots, groups = _select_transfers(frame, source, targets)
        studies += [Study('cross-dataset', runs, backbone=backbone,
                          shots=shots, source=source)
                    for backbone, runs in groups.items()
                    if most_shots(runs[runs.shots.isin([0, shots])])]
    return studies


def select_noise(frame: 'DataFrame') -> List[Study]:
    """Accuracy against the part of the training labels that is wrong.

    A study for each backbone and kind of noise. Zero-shot CLIP sees no label:
    it is the same at every rate.
    """
    studies, all_runs = [], _select_same_dataset(frame)
    for backbone, runs in _by_backbone(all_runs):
        for kind in sorted(set(runs.noise_kind.dropna())):
            noisy = runs[runs.noise_kind == kind]
            clean = runs[(runs.noise == 0) & runs.dataset.isin(noisy.dataset)]
            learned = select_methods(clean, *noisy.name)
            rates = sorted({*noisy.noise, *learned.noise})
            zero_shot = hide_variants(clean[~clean.learns])
            studies.append(Study(
                'noise', load_pandas().concat([
                    noisy, learned,
                    *(zero_shot.assign(noise=rate) for rate in rates)]),
                'noise', rates, backbone, most_shots(noisy), noise_kind=kind))
    return studies


def select_leaderboard(frame: 'DataFrame') -> List[Study]:
    """All methods against shots, a study for each backbone."""
    return [Study('leaderboard', runs, 'shots', sorted(set(runs.shots)),
                  backbone)
            for backbone, runs in _by_backbone(_select_same_dataset(frame))
            if most_shots(runs)]


def hide_variants(runs: 'DataFrame', learned: bool = True) -> 'DataFrame':
    """Leave out variants of methods if their collection has others there.

    Args:
        runs: The runs.
        learned: Whether to leave out variants that learn as well; otherwise
            only those of zero-shot CLIP.
    """
    known = [method for method in map(find_method, runs.name.unique())
             if method and (learned or not method.learns)]
    main = {method.collection for method in known if not method.variant}
    return runs[~runs.name.isin([
        method.name for method in known
        if method.variant and method.collection in main])]


_SELECT = {
    'few-shot': select_few_shot,
    'context-length': select_context_length,
    'backbones': select_backbones,
    'domain': select_domain,
    'ensembles': select_ensembles,
    'init': select_init,
    'adaptations': select_adaptations,
    'base-to-new': select_base_to_new,
    'cross-dataset': select_cross_dataset,
    'noise': select_noise,
    'leaderboard': select_leaderboard,
}


def _select_same_dataset(frame: 'DataFrame',
                         keep_targets: bool = False) -> 'DataFrame':
    """Runs on all classes, tested on the data set they were trained on.

    Args:
        frame: All runs.
        keep_targets: Whether to keep zero-shot runs on ImageNet's variants,
            which exist to be tested on.
    """
    runs = frame[frame.class_subset.isna() & frame.trained_subset.isna()
                 & frame.trained_on.isna()]
    trained = runs.dataset[runs.learns]
    return runs[keep_targets | runs.dataset.isin(trained)
                | ~runs.dataset.isin(TARGETS)]


def _select_transfers(frame: 'DataFrame', source: str, targets: Iterable[str]
                      ) -> Tuple[float, Dict[str, 'DataFrame']]:
    """Runs on a source and its targets: the shots, and runs by backbone."""
    whole = frame[frame.class_subset.isna() & frame.trained_subset.isna()
                  & frame.dataset.isin([source, *targets])]
    whole = hide_variants(whole, learned=False)
    transferred = whole[whole.dataset.isin(targets) & (
        ~whole.learns | (whole.trained_on == source))]
    shots, groups = most_shots(transferred), {}
    for backbone, runs in _by_backbone(transferred):
        on_source = whole[
            (whole.dataset == source) & whole.trained_on.isna()
            & (whole.backbone == backbone) & whole.method.isin(runs.method)
            & whole.shots.isin([0, shots])]
        groups[backbone] = load_pandas().concat([runs, on_source])
    return shots, groups


def _representatives(kind: str, runs: 'DataFrame') -> List[str]:
    """Which prompt learning methods to show beside others.

    Of each collection that a kind of table compares: its methods of that
    kind, or else the first of its methods that was run.
    """
    names = []
    listed = filter(learns_prompts, methods_in(kind))
    for collection in dict.fromkeys(method.collection for method in listed):
        run = [method for method in map(find_method, sort_methods(runs.name))
               if method and method.collection == collection
               and learns_prompts(method)]
        chosen = [method for method in run if kind in method.tables]
        names += [method.name for method in chosen or run[:1]]
    return names


def _by_backbone(runs: 'DataFrame') -> Iterator[Tuple[str, 'DataFrame']]:
    """Yield each backbone, in order, with its runs."""
    for backbone in sort_backbones(runs.backbone):
        yield backbone, runs[runs.backbone == backbone]


def _compare_shots(kind: str, runs: 'DataFrame', backbone: str) -> Study:
    return Study(kind, runs, 'shots', sorted({0, *SHOTS, *runs.shots}),
                 backbone)


def _compare_backbones(kind: str, groups: List['DataFrame']) -> List[Study]:
    runs = load_pandas().concat(groups)
    return [Study(kind, runs, 'backbone', sort_backbones(runs.backbone),
                  shots=most_shots(runs))] if len(runs) else []
