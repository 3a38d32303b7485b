"""Pieces that pictures are made of: panels, curves, bars, legends."""
import math
from typing import Dict, List, Optional, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # no global state, no display

from .names import OWN, PROBE, context_length, method_title, published_title
from .published import AVERAGE, few_shot
from .scores import Score, shots_label
from .studies import Study

# Okabe and Ito's colours, which the colour-blind can tell apart
BLACK, GREY = '#000000', '#666666'
PALER = {BLACK: '#777777', GREY: '#bbbbbb'}  # less heavy as bars
PALETTE = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00',
           '#8C6D1F')
MARKERS = 'osD^vPX'
GAIN, LOSS = '#0072B2', '#D55E00'
TOP1 = 'top-1 accuracy (%)'


def panels(count: int, width: float = 3.1,
           height: float = 2.6) -> Tuple[Figure, List[Axes]]:
    """A figure with a grid of as many panels, nearly square."""
    columns = count if count < 4 else math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (max(width * columns, 5.4), max(height * rows, 3.6) + 0.3)
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.remove()
    return figure, list(axes[:count])


def tidy(axis: Axes, title: str, grid: str = 'y') -> None:
    axis.set_title(title, fontsize=10)
    axis.spines[['top', 'right']].set_visible(False)
    axis.grid(axis=grid, color='#dddddd', linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8.5)


def add_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, above them."""
    entries = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    width = figure.get_figwidth()
    letters = max(map(len, entries))
    columns = max(1, min(len(entries), int(width / (0.07 * letters + 0.5))))
    rows = math.ceil(len(entries) / columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * rows)
    figure.legend(entries.values(), entries, loc='outside upper center',
                  ncols=columns, fontsize=9, frameon=False)


def styles(methods: Sequence[str]) -> Dict[str, dict]:
    """A colour, a marker and a line for each method; CoOp's come first."""
    chosen = {
        OWN: dict(color=BLACK, marker='*', linestyle=':'),
        PROBE: dict(color=GREY, marker='x', linestyle='--'),
    }
    others = [method for method in methods if method not in chosen]
    others.sort(key=lambda method: context_length(method) is None)
    for i, method in enumerate(others):
        turn, i = divmod(i, len(PALETTE))
        chosen[method] = dict(color=PALETTE[i], marker=MARKERS[i],
                              linestyle='-.' if turn else '-')
    return {method: chosen[method] for method in methods}


def curves(axis: Axes, study: Study, place: str) -> None:
    """Accuracy against shots, with a band of one deviation over seeds.

    Zero-shot is a star at 0 with a dotted line; published numbers of CoOp
    are hollow.
    """
    position = {shots: i for i, shots in enumerate(study.columns)}
    style = styles(study.methods)
    for method in study.methods:
        scores = {shots: study.at(place, method, shots)
                  for shots in study.columns}
        scores = {shots: score for shots, score in scores.items() if score}
        if scores:
            _curve(axis, position, scores, method_title(method),
                   style[method])
    for method in filter(context_length, study.methods):
        known = {shots: few_shot(place, method, study.backbone, shots)
                 for shots in study.columns}
        known = {shots: top1 for shots, top1 in known.items() if top1}
        if known:
            axis.plot([position[shots] for shots in known], known.values(),
                      label=published_title(method), linestyle='none',
                      marker=style[method]['marker'], markersize=8,
                      markerfacecolor='none',
                      markeredgecolor=style[method]['color'])
    axis.set_xlim(-0.4, len(position) - 0.6)
    axis.set_xticks(range(len(position)), map(shots_label, position))
    tidy(axis, study.place_title(place))
    if place == AVERAGE:
        axis.title.set_fontweight('bold')


def _curve(axis: Axes, position: Dict[float, int],
           scores: Dict[float, Score], label: str, style: dict) -> None:
    x = [position[shots] for shots in scores]
    means = [score.mean for score in scores.values()]
    if list(scores) == [0]:
        axis.axhline(means[0], color=style['color'], linestyle=':',
                     linewidth=1)
        axis.plot(x, means, label=label, markersize=10, clip_on=False,
                  **style)
        return
    spread = [score.deviation or 0 for score in scores.values()]
    axis.plot(x, means, label=label, markersize=4.5, linewidth=1.4, **style)
    if len(x) == 1:  # a band would have no width
        axis.errorbar(x, means, spread, color=style['color'], capsize=2.5,
                      linewidth=1)
        return
    axis.fill_between(x, [m - s for m, s in zip(means, spread)],
                      [m + s for m, s in zip(means, spread)],
                      color=style['color'], alpha=0.18, linewidth=0)


def bars(axis: Axes, groups: Sequence[str],
         heights: Dict[str, List[Optional[float]]],
         style: Dict[str, dict]) -> None:
    """Groups of bars, one for each method, with their values.

    Args:
        axis: Where to.
        groups: Names of the groups.
        heights: For each method its top-1 in each group, or None.
        style: Of each method.
    """
    width = 0.84 / len(heights)
    for i, (method, values) in enumerate(heights.items()):
        x = [group + (i + 0.5) * width - 0.42 for group in range(len(groups))]
        drawn = [(a, value) for a, value in zip(x, values)
                 if value is not None]
        color = style[method]['color']
        container = axis.bar(
            *zip(*drawn), width=width * 0.92, color=PALER.get(color, color),
            label=method_title(method))
        axis.bar_label(container, fmt='%.1f', rotation=90, fontsize=7.5,
                       padding=2)
    axis.set_xticks(range(len(groups)), groups)
    axis.tick_params(axis='x', length=0)
    axis.margins(x=0.02, y=0.16)
