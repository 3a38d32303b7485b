"""Predictions of many files, and how they are written."""
import csv
import glob
import io
import json
import os
from itertools import takewhile
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Optional, Sequence

from ..datasets.folder import EXTENSIONS
from ..datasets.images import explain
from ..datasets.photo_lists import check_distinct, read_text
from ..files import replacing

NONE = '(none of these)'


class Predictions(NamedTuple):
    """What :func:`predict_files` finds.

    Attributes:
        found: For each image ``path``, ``label`` (None: none of these),
            ``score`` and ``top``, a list of ``label`` and ``score``.
        unreadable: For each other file ``path`` and ``reason``.
    """
    found: List[dict]
    unreadable: List[dict]


def find_images(paths: Iterable[str]) -> List[str]:
    """Files of paths, folders (with sub-folders) and glob patterns.

    Args:
        paths: A file is taken whatever its name is; of folders and patterns
            those with the extension of an image.

    Returns:
        Each file once, in order.

    Raises:
        FileNotFoundError: One of them is no file, or has no image in it.
    """
    files: List[str] = []
    for path in paths:
        if os.path.isdir(path):
            found = _images_below(path)
            what = f'there is no image in {path} '
        elif os.path.exists(path):
            found, what = [path], ''
        else:
            found = [file for match in sorted(_matches(path))
                     for file in (_images_below(match) if os.path.isdir(match)
                                  else [match]) if is_image(file)]
            what = f'there is no {path} ' if not glob.has_magic(path) \
                else f'no image matches {path} '
        if not found:
            raise FileNotFoundError(f'{what}({", ".join(EXTENSIONS)})'
                                    if 'image' in what else what.strip())
        files += found
    return list(dict.fromkeys(files))


def is_image(path: str) -> bool:
    """Whether a file has the extension of an image."""
    return path.lower().endswith(EXTENSIONS)


def _matches(pattern: str) -> Iterable[str]:
    """Paths that match a pattern; ``**`` enters no links."""
    if '**' not in pattern:
        return glob.glob(pattern)
    parts = Path(pattern).parts
    above = list(takewhile(lambda part: not glob.has_magic(part), parts))
    root = Path(*above)
    return [str(path) for path in root.glob(os.path.join(*parts[len(above):]))
            if not any(part.startswith('.')
                       for part in path.relative_to(root).parts)]


def _images_below(folder: str) -> List[str]:
    """Images of a folder and its sub-folders, each of which is seen once."""
    files, seen = [], set()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # links may go round in circles
            inner.clear()
            continue
        seen.add(real)
        # macOS leaves ._photo.jpg, which are no images
        inner[:] = [name for name in inner if not name.startswith('.')]
        files += [os.path.join(place, name) for name in names
                  if is_image(name) and not name.startswith('.')]
    return sorted(files)


def read_names(words: Sequence[str]) -> List[str]:
    """Class names: the words themselves, or the lines of a file.

    Args:
        words: Names, or one path of a text file with a name in each line.

    Raises:
        ValueError: There are fewer than two, or two are equal or cannot be
            said.
    """
    names, where = list(words), 'class names'
    if len(names) == 1 and os.path.isfile(names[0]):
        where = names[0]
        names = [line.strip() for line in read_text(where).splitlines()
                 if line.strip()]
    if len(names) < 2:
        raise ValueError(
            f'{len(names)} class name ({", ".join(names)}): give at least '
            'two, or a text file with one in each line.')
    check_distinct(dict(enumerate(names)), where)
    return names


def predict_files(classifier, files: Sequence[str], top_k: int = 1,
                  threshold: Optional[float] = None, batch_size: int = 32,
                  progress=iter) -> Predictions:
    """Predict files, and go on where one cannot be read.

    Args:
        classifier: A :class:`mmcoop.apis.Classifier`.
        files: Paths of images.
        top_k: Classes that are named for each image.
        threshold: See :meth:`Classifier.predict`.
        batch_size: Images that are computed at once.
        progress: Wraps the iteration over the images.
    """
    found, unreadable = [], []
    for path, (row, error) in zip(files, progress(
            classifier.stream(files, batch_size))):
        if error is not None:
            unreadable.append(dict(path=path, reason=_reason(error)))
            continue
        result = classifier.describe(path, row, threshold)
        ranked = sorted(zip(result.pop('probabilities'), classifier.classes),
                        key=lambda pair: -pair[0])
        found.append(dict(result, top=[
            dict(label=label, score=score) for score, label in ranked[:top_k]
        ]))
    return Predictions(found, unreadable)


def _reason(error: OSError) -> str:
    """Why :class:`mmcoop.LoadImage` could not read a file."""
    return explain(error.__cause__ or error)


def format_table(predictions: Predictions) -> str:
    """A line for each image: path, label, probability, the next ones."""
    rows = [[one['path'], one['label'] or NONE, f'{one["score"]:.1%}',
             *(f'{other["label"]} {other["score"]:.1%}'
               for other in one['top'][bool(one['label']):])]
            for one in predictions.found]
    widths = [max(map(len, column)) for column in zip(
        *([*row, *[''] * 9][:3] for row in rows))]
    return ''.join(
        '  '.join(cell.ljust(widths[i]) if i < 3 else cell
                  for i, cell in enumerate(row)).rstrip() + '\n'
        for row in rows)


def format_csv(predictions: Predictions) -> str:
    """Columns path, label, score, label_2, score_2, ..."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    more = max((len(one['top']) for one in predictions.found), default=1)
    writer.writerow(['path', 'label', 'score', *(
        f'{name}_{i}' for i in range(2, more + 1)
        for name in ('label', 'score'))])
    for one in predictions.found:
        writer.writerow([
            one['path'], one['label'] or '', f'{one["score"]:.6f}',
            *(cell for other in one['top'][1:]
              for cell in (other['label'], f'{other["score"]:.6f}'))])
    return out.getvalue()


def format_json(predictions: Predictions) -> str:
    """``predictions`` and ``unreadable`` as JSON."""
    return json.dumps(dict(predictions=predictions.found,
                           unreadable=predictions.unreadable),
                      indent=1, ensure_ascii=False) + '\n'


FORMATS = dict(table=format_table, csv=format_csv, json=format_json)


def write_text(text: str, path: str) -> None:
    """Write a file at once, or not at all."""
    # a file's name may hold bytes that are no text
    with replacing(path) as temporary, open(
            temporary, 'w', encoding='utf-8', newline='',
            errors='backslashreplace') as file:
        file.write(text)


def read_list(lines: Iterable[str]) -> Iterator[str]:
    """Paths of a list, one in each line."""
    for line in lines:
        if line.strip():
            yield line.rstrip('\r\n')
