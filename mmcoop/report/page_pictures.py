"""Pictures of the report of one run."""
import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import FrozenSet, Optional, Sequence

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # no global state, no display

from ..datasets.loading import LoadImage
from ..files import replacing
from .predictions import Predicted

DPI = 130
MATRIX = 100  # classes of a confusion matrix, at most
NUMBERED = 20  # classes, if its cells show numbers
LETTERS = 24  # of a name
THUMBNAIL = 200  # pixels
BLUE, GREY, RED = '#1f6feb', '#8c959f', '#c0392b'


def draw_confusion(rows: Sequence[Predicted],
                   names: Sequence[str]) -> Optional[Figure]:
    """True classes against predicted ones; None of more than 100 classes."""
    count = len(names)
    if count > MATRIX:
        return None
    matrix = np.zeros((count, count), int)
    for row in rows:
        matrix[row.label, row.predicted] += 1
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    labels = [_label(name, number) for number, name in enumerate(names, 1)]
    margin = 0.075 * max(map(len, labels)) + 0.6
    side = max(2.6, min(0.42 * count, 3 + 0.14 * count))
    figure = Figure(figsize=(side + margin + 0.9, side + margin),
                    layout='constrained')
    axis = figure.subplots()
    image = axis.imshow(share, cmap='Blues', vmin=0, vmax=100)
    size = 9 if count <= 30 else max(4.5, 9 - 0.06 * (count - 30))
    for ticks, names_of in ((axis.set_xticks, axis.set_xticklabels),
                            (axis.set_yticks, axis.set_yticklabels)):
        ticks(range(count))
        names_of(labels, fontsize=size, parse_math=False)
    axis.tick_params(axis='x', rotation=90, length=2)
    axis.tick_params(axis='y', length=2)
    if count <= NUMBERED:
        for (y, x), number in np.ndenumerate(matrix):
            if number:
                axis.text(x, y, number, ha='center', va='center', fontsize=8,
                          color='white' if share[y, x] > 55 else '#24292f')
    axis.set(xlabel='predicted', ylabel='true')
    bar = figure.colorbar(image, ax=axis, fraction=0.035, pad=0.02)
    bar.set_label('% of the true class', fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    return figure


def draw_calibration(bins: dict, fitted: bool) -> Figure:
    """Accuracy against confidence, and how many images have it.

    Args:
        bins: Of :func:`summarize`.
        fitted: Whether a temperature was fitted.
    """
    figure = Figure(figsize=(5.2, 5), layout='constrained')
    axis, below = figure.subplots(2, 1, sharex=True,
                                  gridspec_kw=dict(height_ratios=(3, 1)))
    axis.plot([0, 100], [0, 100], color='#24292f', linewidth=1,
              linestyle=':', label='as sure as right')
    styles = [('before', GREY, 'o', 'as the model says')]
    if fitted:
        styles.append(('after', BLUE, 's', 'with the temperature'))
    for i, (which, color, marker, label) in enumerate(styles):
        found = bins[which]
        axis.plot([part['confidence'] for part in found],
                  [part['accuracy'] for part in found], color=color,
                  marker=marker, markersize=5, label=label,
                  clip_on=False)  # most lie at an edge, 100 %
        width = 9 / len(styles)
        below.bar([part['low'] + 0.5 + (i + 0.5) * width for part in found],
                  [part['images'] for part in found], width=width,
                  color=color)
    axis.set(xlim=(0, 100), ylim=(0, 102), ylabel='accuracy (%)')
    axis.legend(frameon=False, fontsize=9, loc='upper left')
    below.set(xlabel='confidence (%)', ylabel='images')
    for part in (axis, below):
        _format(part)
    return figure


def draw_mistakes(mistakes: Sequence[dict]) -> Optional[Figure]:
    """A contact sheet of :func:`summarize`'s mistakes; None: there is none."""
    if not mistakes:
        return None
    columns = min(6, len(mistakes))
    lines = -(-len(mistakes) // columns)
    figure = Figure(figsize=(1.75 * columns, 2.25 * lines),
                    layout='constrained')
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in grid:
        axis.axis('off')
    for axis, mistake in zip(grid, mistakes):
        image = load_thumbnail(mistake['path'])
        if image is not None:
            axis.imshow(image)
        axis.set_title(
            f'{_label(mistake["predicted"], None)} '
            f'{mistake["confidence"]:.0f} %\n'
            f'is {_label(mistake["label"], None)}', fontsize=7.5, color=RED,
            parse_math=False)
    return figure


def load_thumbnail(path: str, side: int = THUMBNAIL) -> Optional[np.ndarray]:
    """A small RGB image (h, w, 3), uint8; None: it cannot be read."""
    from PIL import Image
    try:
        pixels = LoadImage(as_shown=True).transform(dict(img_path=path))['img']
    except OSError:
        return None
    image = Image.fromarray(pixels[..., ::-1])
    image.thumbnail((side, side))
    return np.asarray(image)


def image_uri(image: np.ndarray) -> str:
    """An RGB image as a ``data:`` address, JPEG."""
    from PIL import Image
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', quality=82)
    return 'data:image/jpeg;base64,' + base64.b64encode(
        file.getvalue()).decode()


def file_uri(path: Path) -> str:
    """A PNG file as a ``data:`` address."""
    return 'data:image/png;base64,' + base64.b64encode(
        path.read_bytes()).decode()


def save(figure: Figure, path: Path) -> Path:
    """Save a figure as PNG."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor='white', format='png')
    return path


def _format(axis: Axes) -> None:
    axis.spines[['top', 'right']].set_visible(False)
    axis.grid(color='#dddddd', linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8.5)


def is_drawable(name: str) -> bool:
    """Whether the font of pictures has all letters of a name."""
    return all(ord(letter) in _letters() for letter in name)


@lru_cache(maxsize=None)
def _letters() -> FrozenSet[int]:
    font = font_manager.get_font(font_manager.findfont('DejaVu Sans'))
    return frozenset(font.get_charmap())


def _label(name: str, number: Optional[int]) -> str:
    """A name that the font can draw, cut; else its number in the table."""
    if number is not None and not is_drawable(name):
        return f'#{number}'
    text = ''.join(filter(is_drawable, name)) or '?'
    return text if len(text) <= LETTERS else text[:LETTERS - 1] + '…'
