"""The figures of the paper, from records."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from matplotlib.figure import Figure

from ..files import replacing
from ..methods import AVERAGE, find_method
from .names import (SOURCE, TARGETS, backbone_title, dataset_title,
                    method_title, shots_title)
from .plots import (BLACK, GAIN, LOSS, TOP1_AXIS, add_legend, choose_styles,
                    format_axis, make_panels, plot_bars, plot_costs,
                    plot_curves)
from .records import Record, most_shots
from .studies import find_studies, learns_prompts
from .study import Study
from .table import slug

DPI = 150


def draw(kind: str, records: Sequence[Record],
         folder: Union[str, Path]) -> List[Path]:
    """Draw the figures of a kind into an existing folder.

    Args:
        kind: One of :data:`mmcoop.report.KINDS`.
        records: Results, also of other kinds.
        folder: The folder to write to.

    Returns:
        The PNG files; none for a kind without figures, or without records.
    """
    paths = []
    for name, figure in figures(kind, records).items():
        paths.append(Path(folder) / f'{name}.png')
        with replacing(paths[-1]) as temporary:
            figure.savefig(temporary, dpi=DPI, format='png')
    return paths


def figures(kind: str, records: Sequence[Record]) -> Dict[str, Figure]:
    """Make the figures of a kind: the name of its file to the figure."""
    made = {}
    for study in find_studies(kind, records) if kind in _DRAW else ():
        for name, make in _DRAW[kind].items():
            figure = make(study)
            if figure is not None:
                made[slug(name, study.noise_kind, study.backbone)] = figure
    return made


def draw_few_shot(study: Study) -> Optional[Figure]:
    """Accuracy against shots: the average, then each data set."""
    if not most_shots(study.runs):
        return None
    return _draw_curves(study, study.tabulated)


def draw_context_length(study: Study) -> Figure:
    """Accuracy against shots for each length, on the average."""
    return _draw_curves(study, study.tabulated[:1])


def draw_gains(study: Study) -> Optional[Figure]:
    """The gain of the first prompt learning method over zero-shot.

    A bar for each data set, at the most shots the method was run with.
    """
    method = next((name for name in study.methods
                   if learns_prompts(find_method(name))), None)
    zero_shot = find_method(study.methods[0])
    if method is None or zero_shot is None or zero_shot.learns:
        return None
    shots = most_shots(study.runs[study.runs.method == method])
    gains = {}
    for dataset in study.datasets:
        learned = study.score(dataset, method, shots)
        baseline = study.score(dataset, study.methods[0], 0)
        if learned and baseline:
            gains[dataset_title(dataset)] = learned.mean - baseline.mean
    if not gains:
        return None
    gains = dict(sorted(gains.items(), key=lambda item: -item[1]))
    figure = Figure(figsize=(6, 1.2 + 0.3 * len(gains)), layout='constrained')
    axis = figure.subplots()
    bars = axis.barh(
        list(gains), list(gains.values()), height=0.7,
        color=[GAIN if gain >= 0 else LOSS for gain in gains.values()])
    axis.bar_label(bars, fmt='%+.2f', fontsize=8.5, padding=3)
    axis.invert_yaxis()
    axis.axvline(0, color=BLACK, linewidth=0.8)
    axis.margins(x=0.14)
    format_axis(axis, f'{method_title(method)}, '
                f'{backbone_title(study.backbone)}, {shots_title(shots)}', 'x')
    axis.tick_params(axis='y', length=0)
    axis.set_xlabel('gain over zero-shot (percentage points)')
    return figure


def draw_backbones(study: Study) -> Figure:
    """A group of bars for each backbone."""
    dataset = study.tabulated[0]
    count = len(study.conditions) * len(study.methods)
    figure = Figure(figsize=(max(5.4, 1.5 + 0.3 * count), 4.2),
                    layout='constrained')
    axis = figure.subplots()
    plot_bars(axis, study, [(backbone_title(name), dataset, name)
                            for name in study.conditions],
              choose_styles(study.methods))
    format_axis(axis, f'{study.title_of(dataset)}, {study.condition}')
    axis.set_ylabel(TOP1_AXIS)
    add_legend(figure, [axis])
    return figure


def draw_domain(study: Study) -> Figure:
    """A panel for each backbone: a group of bars for each data set."""
    source = dataset_title(SOURCE)
    groups = [(source, SOURCE)]
    for name in TARGETS:
        suffix = dataset_title(name).removeprefix(source).lstrip('-')
        groups.append((f'-{suffix}', name))
    if len(study.averaged) > 1:
        groups.append((f'average of {len(study.averaged)}', AVERAGE))
    styles = choose_styles(study.methods)
    figure, axes = make_panels(len(study.conditions), 2 + 1.2 * len(styles), 3)
    for axis, backbone in zip(axes, study.conditions):
        plot_bars(axis, study, [(*group, backbone) for group in groups],
                  styles)
        format_axis(axis, ', '.join(filter(None, (
            backbone_title(backbone), study.condition))))
    add_legend(figure, axes)
    figure.supylabel(TOP1_AXIS, fontsize=10)
    return figure


def draw_base_to_new(study: Study) -> Figure:
    """A point for each data set and method: base classes left, new right."""
    datasets, styles = study.tabulated, choose_styles(study.methods)
    step = 0.6 / len(styles)
    figure = Figure(layout='constrained', figsize=(
        8, 1.5 + (0.2 + 0.1 * len(styles)) * len(datasets)))
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, subset in zip(axes, study.conditions):
        for i, method in enumerate(study.methods):
            points = [(score.mean, y + (i + 0.5) * step - 0.3)
                      for y, dataset in enumerate(datasets)
                      if (score := study.score(dataset, method, subset))]
            if points:
                axis.plot(*zip(*points), label=study.title(method),
                          **{**styles[method], 'linestyle': 'none'})
        format_axis(axis, f'{subset} classes', 'x')
        for y in range(1, len(datasets)):
            axis.axhline(y - 0.5, color='#dddddd', linewidth=0.6)
        axis.tick_params(axis='y', length=0)
    axes[0].set_yticks(range(len(datasets)), map(study.title_of, datasets))
    axes[0].set_ylim(len(datasets) - 0.5, -0.5)
    if AVERAGE in datasets:
        axes[0].get_yticklabels()[0].set_fontweight('bold')
    add_legend(figure, axes)
    figure.supxlabel(f'{TOP1_AXIS}, {study.condition}', fontsize=10)
    return figure


def draw_noise(study: Study) -> Figure:
    """Accuracy against label noise: the average, then each data set."""
    return _draw_curves(
        study, study.tabulated, 'training labels that are wrong '
        f'({study.noise_kind} noise, {shots_title(study.shots)})')


def draw_leaderboard(study: Study) -> Optional[Figure]:
    """Accuracy against seconds of training, a path over the shots.

    On the average or, where there is none, on each data set.
    """
    datasets = [AVERAGE] if AVERAGE in study.tabulated else study.datasets
    figure, axes = make_panels(len(datasets), 6.6, 4.6)
    drawn = [plot_costs(axis, study, dataset)
             for axis, dataset in zip(axes, datasets)]
    if not any(drawn):
        return None
    add_legend(figure, axes)
    figure.supxlabel('seconds of training, without encoding images '
                     '(at the points: shots)', fontsize=10)
    figure.supylabel(f'{TOP1_AXIS}, {backbone_title(study.backbone)}',
                     fontsize=10)
    return figure


_DRAW = {
    'few-shot': {'few-shot': draw_few_shot, 'gain': draw_gains},
    'context-length': {'context-length': draw_context_length},
    'backbones': {'backbones': draw_backbones},
    'domain': {'domain': draw_domain},
    'base-to-new': {'base-to-new': draw_base_to_new},
    'noise': {'noise': draw_noise},
    'leaderboard': {'leaderboard': draw_leaderboard},
}


def _draw_curves(study: Study, datasets: Sequence[str],
                 label: str = 'training images a class (shots)') -> Figure:
    figure, axes = make_panels(len(datasets))
    for axis, dataset in zip(axes, datasets):
        plot_curves(axis, study, dataset)
    add_legend(figure, axes)
    figure.supxlabel(label, fontsize=10)
    figure.supylabel(f'{TOP1_AXIS}, {backbone_title(study.backbone)}',
                     fontsize=10)
    return figure
