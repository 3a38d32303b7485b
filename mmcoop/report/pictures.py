"""The pictures of the paper, from records."""
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from matplotlib.figure import Figure

from . import studies
from .names import (SOURCE, TARGETS, backbone_title, context_length,
                    dataset_title, method_title, sort_methods)
from .panels import (BLACK, GAIN, LOSS, TOP1, add_legend, bars, curves, panels,
                     styles, tidy)
from .published import AVERAGE
from .records import ZERO_SHOT, Record
from .scores import Score, average, most_shots, separate, shots_title
from .studies import Study
from .table import slug

DPI = 150
SHOTS_AXIS = 'training images a class (shots)'


def draw(kind: str, records: Sequence[Record],
         folder: Union[str, Path]) -> List[Path]:
    """Draw the pictures of a kind into a folder that is there.

    Args:
        kind: One of :data:`mmcoop.report.tables.KINDS`.
        records: Results of any kinds.
        folder: Where to.

    Returns:
        The PNGs; none for a kind without pictures, or without records.
    """
    paths = []
    for name, figure in figures(kind, records).items():
        paths.append(Path(folder) / f'{name}.png')
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def figures(kind: str, records: Sequence[Record]) -> Dict[str, Figure]:
    """The pictures of a kind, not yet written, by their names."""
    records, drawn = separate(records), {}
    if kind == 'few-shot':
        for study in studies.few_shot(records):
            if most_shots(study.records):
                drawn[slug(kind, study.backbone)] = few_shot_figure(study)
            if gains(study):
                drawn[slug('gain', study.backbone)] = gain_figure(study)
    elif kind == 'context-length':
        for study in studies.context_lengths(records):
            drawn[slug(kind, study.backbone)] = context_length_figure(study)
    elif kind == 'backbones':
        for study in studies.backbones(records):
            drawn[kind] = backbones_figure(study)
    elif kind == 'domain' and studies.domain(records):
        drawn[kind] = domain_figure(studies.domain(records))
    elif kind == 'base-to-new':
        for study in studies.base_to_new(records):
            drawn[slug(kind, study.backbone)] = base_to_new_figure(study)
    return drawn


def few_shot_figure(study: Study) -> Figure:
    """Accuracy against shots: the average, then each data set."""
    return _curves_figure(study, study.places)


def context_length_figure(study: Study) -> Figure:
    """Accuracy against shots for each length, on the average."""
    return _curves_figure(study, study.places[:1])


def _curves_figure(study: Study, places: Sequence[str]) -> Figure:
    figure, axes = panels(len(places))
    for axis, place in zip(axes, places):
        curves(axis, study, place)
    add_legend(figure, axes)
    figure.supxlabel(SHOTS_AXIS, fontsize=10)
    figure.supylabel(f'{TOP1}, {backbone_title(study.backbone)}', fontsize=10)
    return figure


def gains(study: Study) -> Dict[str, float]:
    """CoOp at most shots less zero-shot, a data set; the largest first."""
    coop, shots = _first_coop(study)
    zero_shot = next(iter(study.methods))
    if coop is None or not zero_shot.startswith(ZERO_SHOT):
        return {}
    found = {}
    for dataset in study.datasets:
        ours = study.at(dataset, coop, shots)
        theirs = study.at(dataset, zero_shot, 0)
        if ours and theirs:
            found[dataset] = ours.mean - theirs.mean
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def gain_figure(study: Study) -> Figure:
    """A bar a data set: what CoOp gains over zero-shot."""
    found = gains(study)
    coop, shots = _first_coop(study)
    figure = Figure(figsize=(6, 1.2 + 0.3 * len(found)), layout='constrained')
    axis = figure.subplots()
    bar = axis.barh(
        [dataset_title(name) for name in found], list(found.values()),
        color=[GAIN if gain >= 0 else LOSS for gain in found.values()],
        height=0.7)
    axis.bar_label(bar, fmt='%+.2f', fontsize=8.5, padding=3)
    axis.invert_yaxis()
    axis.axvline(0, color=BLACK, linewidth=0.8)
    axis.margins(x=0.14)
    tidy(axis, f'{method_title(coop)}, {backbone_title(study.backbone)}, '
         f'{shots_title(shots)}', 'x')
    axis.tick_params(axis='y', length=0)
    axis.set_xlabel('gain over zero-shot (percentage points)')
    return figure


def backbones_figure(study: Study) -> Figure:
    """Groups of bars: a group for each backbone."""
    place = study.places[0]
    heights = {method: [_mean(study.at(place, method, name))
                        for name in study.columns]
               for method in study.methods}
    count = len(study.columns) * len(heights)
    figure = Figure(figsize=(max(5.4, 1.5 + 0.3 * count), 4.2),
                    layout='constrained')
    axis = figure.subplots()
    bars(axis, [backbone_title(name) for name in study.columns], heights,
         styles(study.methods))
    tidy(axis, f'{study.place_title(place)}, {study.condition}')
    axis.set_ylabel(TOP1)
    add_legend(figure, [axis])
    return figure


def domain_figure(found: Sequence[Study]) -> Figure:
    """Groups of bars: a panel for each backbone, a group each data set."""
    lacking = studies.domain_lacking(found)
    targets = [name for name in TARGETS if not lacking[name]]
    names = [dataset_title(SOURCE)] + [
        '-' + dataset_title(name).removeprefix(dataset_title(SOURCE))
        .lstrip('-') for name in TARGETS]
    if len(targets) > 1:
        names.append(f'average of {len(targets)}')
    style = styles(sort_methods(m for study in found for m in study.methods))
    figure, axes = panels(len(found), 2 + 1.2 * len(style), 3)
    for axis, study in zip(axes, found):
        heights = {}
        for method in study.methods:
            scores = [study.at(name, method) for name in (SOURCE, *TARGETS)]
            if len(targets) > 1:
                scores.append(average(
                    [study.at(name, method) for name in targets]))
            heights[method] = list(map(_mean, scores))
        bars(axis, names, heights, style)
        tidy(axis, study.condition)
    add_legend(figure, axes)
    figure.supylabel(TOP1, fontsize=10)
    return figure


def base_to_new_figure(study: Study) -> Figure:
    """A point a data set and method: base classes left, new ones right."""
    places, style = study.places, styles(study.methods)
    step = 0.6 / len(style)
    figure = Figure(layout='constrained', figsize=(
        8, 1.5 + (0.2 + 0.1 * len(style)) * len(places)))
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, subset in zip(axes, study.columns):
        for i, method in enumerate(study.methods):
            points = [(_mean(study.at(place, method, subset)),
                       y + (i + 0.5) * step - 0.3)
                      for y, place in enumerate(places)]
            points = [point for point in points if point[0] is not None]
            if points:
                axis.plot(*zip(*points), label=method_title(method),
                          **{**style[method], 'linestyle': 'none'})
        tidy(axis, f'{subset} classes', 'x')
        for y in range(1, len(places)):
            axis.axhline(y - 0.5, color='#dddddd', linewidth=0.6)
        axis.tick_params(axis='y', length=0)
    axes[0].set_yticks(range(len(places)), map(study.place_title, places))
    axes[0].set_ylim(len(places) - 0.5, -0.5)
    if AVERAGE in places:
        axes[0].get_yticklabels()[0].set_fontweight('bold')
    add_legend(figure, axes)
    figure.supxlabel(f'{TOP1}, {study.condition}', fontsize=10)
    return figure


def _first_coop(study: Study) -> Tuple[Optional[str], Optional[float]]:
    """The first method of CoOp, and the most shots it has."""
    coop = next(filter(context_length, study.methods), None)
    return coop, most_shots([r for r in study.records if r.method == coop])


def _mean(score: Optional[Score]) -> Optional[float]:
    return score and score.mean
