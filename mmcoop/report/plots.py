"""Parts of figures: grids of panels, curves, bars and legends."""
import math
from typing import Dict, List, Sequence, Tuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure  # no global state, no display
from matplotlib.ticker import LogLocator, NullFormatter

from ..methods import AVERAGE, find_method
from .names import method_title, shots_label
from .studies import learns_prompts
from .study import MEASURED, Study
from .summary import mean_of
from .table import Score

# Okabe and Ito's colours, which the colour-blind can tell apart
BLACK, GREY, LIGHT_GREY = '#000000', '#666666', '#999999'
PALER = {BLACK: '#777777', GREY: '#bbbbbb'}  # less heavy as bars
PALETTE = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00',
           '#8C6D1F')
MARKERS = 'osD^vPX'
GAIN, LOSS = '#0072B2', '#D55E00'
TOP1_AXIS = 'top-1 accuracy (%)'


def make_panels(count: int, width: float = 3.1,
                height: float = 2.6) -> Tuple[Figure, List[Axes]]:
    """Make a figure with a nearly square grid of panels (sizes in inches)."""
    columns = count if count < 4 else math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (max(width * columns, 5.4), max(height * rows, 3.6) + 0.3)
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[count:]:
        axis.remove()
    return figure, list(axes[:count])


def format_axis(axis: Axes, title: str, grid: str = 'y') -> None:
    """Set the title, and the look that all panels share."""
    axis.set_title(title, fontsize=10)
    axis.spines[['top', 'right']].set_visible(False)
    axis.grid(axis=grid, color='#dddddd', linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8.5)


def add_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add one legend for all panels, above them."""
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


def choose_styles(methods: Sequence[str], grey: bool = True
                  ) -> Dict[str, dict]:
    """A colour, a marker and a line for each method.

    The zero-shot baseline is black. The palette begins with prompt learning.

    Args:
        methods: Names of methods, settings in brackets included.
        grey: Whether the other methods that prompt learning is compared with
            by default are grey.
    """
    # without settings in brackets: those are coloured
    known = [method for method in map(find_method, methods)
             if method and method.name in methods]
    styles = {method.name: dict(color=BLACK, marker='*', linestyle=':')
              for method in known if method.baseline}
    compared = dict.fromkeys(
        method.name for method in known if grey and method.comparison
        and method.learns and method.tables)
    for i, name in enumerate(compared):
        styles[name] = dict(color=LIGHT_GREY if i % 2 else GREY,
                            marker='x+1234'[i % 6], linestyle='--')
    others = [name for name in methods if name not in styles]
    others.sort(key=lambda name: not learns_prompts(find_method(name)))
    for i, name in enumerate(others):
        turn, i = divmod(i, len(PALETTE))
        styles[name] = dict(
            color=PALETTE[i], linestyle='-.' if turn else '-',
            marker=MARKERS[(i + 2 * turn) % len(MARKERS)])
    return styles


def plot_curves(axis: Axes, study: Study, dataset: str) -> None:
    """Plot accuracy by condition, with a band of one standard deviation.

    Zero-shot is a star at 0 with a dotted line. Published numbers of prompt
    learning are hollow markers.
    """
    styles = choose_styles(study.methods, study.kind not in MEASURED)
    for method in study.methods:
        points = {x: score for x, condition in enumerate(study.conditions)
                  if (score := study.score(dataset, method, condition))}
        if points:
            _plot_curve(axis, points, study.title(method), styles[method],
                        zero_shot=[*points] == [0])
    for method in study.methods:
        if not learns_prompts(find_method(method)):
            continue
        known = {x: top1 for x, shots in enumerate(study.conditions)
                 if (top1 := study.published_top1(dataset, method, shots))}
        if known:
            axis.plot(list(known), list(known.values()), linestyle='none',
                      label=f'{method_title(method)} (published)',
                      marker=styles[method]['marker'], markersize=8,
                      markerfacecolor='none',
                      markeredgecolor=styles[method]['color'])
    labels = list(map(study.label, study.conditions))
    axis.set_xlim(-0.4, len(labels) - 0.6)
    axis.set_xticks(range(len(labels)), labels)
    format_axis(axis, study.title_of(dataset))
    if dataset == AVERAGE:
        axis.title.set_fontweight('bold')


def _plot_curve(axis: Axes, points: Dict[int, Score], label: str, style: dict,
                zero_shot: bool) -> None:
    x, means = list(points), [score.mean for score in points.values()]
    if zero_shot:
        axis.axhline(means[0], color=style['color'], linestyle=':',
                     linewidth=1)
        axis.plot(x, means, label=label, markersize=10, clip_on=False,
                  **style)
        return
    spread = [score.std or 0 for score in points.values()]
    axis.plot(x, means, label=label, markersize=4.5, linewidth=1.4, **style)
    if len(x) == 1:  # a band would have no width
        axis.errorbar(x, means, spread, color=style['color'], capsize=2.5,
                      linewidth=1)
        return
    axis.fill_between(x, [m - s for m, s in zip(means, spread)],
                      [m + s for m, s in zip(means, spread)],
                      color=style['color'], alpha=0.18, linewidth=0)


def plot_costs(axis: Axes, study: Study, dataset: str) -> bool:
    """Plot accuracy against seconds, the shots of a method joined.

    Methods whose runs tell no seconds are left out; zero-shot is a line.

    Returns:
        Whether a method was plotted.
    """
    styles, drawn = choose_styles(study.methods, grey=False), False
    runs = study.runs_on(dataset)
    for method in study.methods:
        points = []
        for shots in study.conditions:
            score = study.score(dataset, method, shots)
            seconds = mean_of(runs[(runs.method == method) & runs.learns
                                   & (runs.shots == shots)], 'seconds')
            if score and seconds is not None:
                points.append((max(seconds, 1e-3), score.mean, shots))
        if not points:
            continue
        drawn, style = True, styles[method]
        axis.plot(*list(zip(*points))[:2], label=study.title(method),
                  markersize=5, linewidth=1.2, **style)
        for x, y, shots in points:
            axis.annotate(shots_label(shots), (x, y), (-3, 3), fontsize=7,
                          textcoords='offset points', ha='right',
                          color=style['color'])
    for method in filter(find_method, study.methods):
        score = study.score(dataset, method, 0)
        if score and find_method(method).baseline:
            axis.axhline(score.mean, color=BLACK, linestyle=':', linewidth=1,
                         label=study.title(method))
    axis.set_xscale('log')
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter('{x:g}')
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.margins(0.1)
    format_axis(axis, study.title_of(dataset), 'both')
    return drawn


def plot_bars(axis: Axes, study: Study, groups: Sequence[tuple],
              styles: Dict[str, dict]) -> None:
    """Plot groups of bars, one bar for each method, with their values.

    Args:
        axis: The axes to plot on.
        study: The scores.
        groups: The title, the data set and the condition of each group.
        styles: The style of each method.
    """
    scores = {method: [study.score(dataset, method, condition)
                       for _, dataset, condition in groups]
              for method in study.methods}
    scores = {method: row for method, row in scores.items() if any(row)}
    width = 0.84 / len(scores)
    for i, (method, row) in enumerate(scores.items()):
        heights = {group + (i + 0.5) * width - 0.42: score.mean
                   for group, score in enumerate(row) if score}
        color = styles[method]['color']
        bars = axis.bar(
            list(heights), list(heights.values()), width=width * 0.92,
            color=PALER.get(color, color), label=study.title(method))
        axis.bar_label(bars, fmt='%.1f', rotation=90, fontsize=7.5, padding=2)
    axis.set_xticks(range(len(groups)), [title for title, *_ in groups])
    axis.tick_params(axis='x', length=0)
    axis.margins(x=0.02, y=0.16)
