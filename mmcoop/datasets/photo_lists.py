"""Files beside one's own photos: a list of labels, and the classes' names."""
import csv
import io
import json
import os
import unicodedata
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

# of a header, in lower case
PATH_COLUMNS = ('path', 'img_path', 'image_path', 'filepath', 'file_path',
                'filename', 'file_name', 'file', 'image', 'img')
LABEL_COLUMNS = ('label', 'labels', 'class', 'class_name', 'category',
                 'target', 'gt_label')
SPLIT_COLUMNS = ('split', 'set', 'subset', 'fold', 'data set', 'partition')
SPLITS = dict(train='train', training='train', test='test', testing='test',
              val='val', valid='val', validation='val')
LIST_ENDINGS = ('.csv', '.tsv')
NAMES_FILES = ('names.txt', 'classes.txt', 'names.json', 'classes.json')


class Row(NamedTuple):
    """A line of a list of photos.

    Attributes:
        path: Relative to the list's folder, or absolute.
        label: The class.
        split: ``train``, ``val`` or ``test``; None without such a column.
    """
    path: str
    label: str
    split: Optional[str]


def is_list(path: str) -> bool:
    """Whether ``data_root`` is a list of photos, not their folder."""
    return path.lower().endswith(LIST_ENDINGS) and os.path.isfile(path)


def read_list(path: str) -> List[Row]:
    """Read a CSV file of paths, labels and, if it has them, splits.

    The columns are found by the names in the first line; without names they
    are path, label and, if there is a third, split. They are separated by
    commas, semicolons or tabs. The encoding is UTF-8.

    Raises:
        ValueError: A line has no path or label or an unknown split, or a
            photo is listed twice.
        FileNotFoundError: None of the photos exists.
    """
    text = read_text(path)
    separator = max('\t;,', key=text.partition('\n')[0].count)
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=separator)
    try:
        lines = [(number, [cell.strip() for cell in cells])
                 for number, cells in enumerate(reader, 1) if any(cells)]
    except csv.Error as error:
        raise ValueError(f'{path}, line {reader.line_num}: {error}. Is a '
                         'quotation mark missing?') from None
    if not lines:
        raise ValueError(f'{path} is empty: it needs a line "path,label" for '
                         'each photo.')
    folder = os.path.dirname(os.path.abspath(path))
    header = lines[0][1]
    columns = _find_columns([cell.lower() for cell in header])
    if None not in columns[:2]:
        lines = lines[1:]
    elif columns == [None] * 3 or any(
            os.path.isfile(os.path.join(folder, cell)) for cell in header):
        # no header
        columns = [0, 1, 2 if len(header) > 2 else None]
    else:
        what, known = ('paths', PATH_COLUMNS) if columns[0] is None \
            else ('labels', LABEL_COLUMNS)
        raise ValueError(
            f'{path}: its first line names no column of {what} '
            f'({", ".join(known)}); it is {separator.join(header)!r}.')
    if not lines:
        raise ValueError(f'{path} is empty but for its header: it needs a '
                         'line "path,label" for each photo.')
    rows, seen = [], {}
    for number, cells in lines:
        where = f'{path}, line {number}'
        name, label, split = (cells[column] if column is not None
                              and column < len(cells) else ''
                              for column in columns)
        if not name or not label:
            raise ValueError(f'{where}: "path,label" is needed, and it is '
                             f'{separator.join(cells)!r}.')
        if columns[2] is not None:
            if split.lower() not in SPLITS:
                raise ValueError(f'{where}: the split is {split!r}; it must '
                                 'be train, val or test.')
            split = SPLITS[split.lower()]
        first = seen.setdefault(os.path.normpath(name), number)
        if first != number:
            raise ValueError(f'{where}: {name} is listed already in line '
                             f'{first}: remove one of the two.')
        rows.append(Row(name, label, split or None))
    if not any(os.path.isfile(os.path.join(folder, row.path))
               for row in rows):
        raise FileNotFoundError(
            f'{path}: none of its {len(rows)} photos exists; the first is '
            f'{os.path.join(folder, rows[0].path)}. '
            'Paths are relative to the folder of the list.')
    return rows


def _find_columns(header: Sequence[str]) -> list:
    """Indices of path, label and split; None of those that it lacks."""
    return [next((i for i, cell in enumerate(header) if cell in names), None)
            for names in (PATH_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)]


def find_names_file(folder: str) -> Optional[str]:
    """The names file that lies in a folder of photos, if there is one."""
    return next((path for name in NAMES_FILES if os.path.isfile(
        path := os.path.join(folder, name))), None)


def read_names(path: str, classes: Sequence[str]) -> Dict[str, str]:
    """Read how to say the classes: ``n02119789: kit fox``, a line for each.

    A JSON file holds an object, ``{"n02119789": "kit fox"}``. Classes that are
    not in it keep the names of their folders. A line without a colon must be
    the name of a folder and changes nothing.

    Args:
        path: The file, in UTF-8.
        classes: The classes: folder names, or labels of a list.

    Returns:
        The name of every class.

    Raises:
        ValueError: It names a folder that does not exist.
    """
    text = read_text(path)
    if path.lower().endswith('.json') or text.lstrip().startswith('{'):
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'{path} is no JSON ({error}).') from None
        if not isinstance(entries, dict) or not all(
                isinstance(name, str) for name in entries.values()):
            raise ValueError(f'{path}: an object {{"folder": "name"}} is '
                             'needed.')
    else:
        entries = {}
        for line in filter(None, map(str.strip, text.splitlines())):
            folder, _, name = (line, '', line) if line in classes \
                else line.partition(':')
            entries[folder.strip()] = name.strip()
    odd = [folder for folder, name in entries.items()
           if folder not in classes or not name.strip()]
    if odd:
        raise ValueError(
            f'{path}: {odd[0]!r} is no class with a name. The classes are '
            f'{", ".join(classes[:5])}{", ..." if len(classes) > 5 else ""}; '
            'a line is "folder: name". If the file is something else, rename '
            'it, or give class_names=FILE.')
    return {key: entries.get(key, key).strip() for key in classes}


def read_text(path: str) -> str:
    """The text of a file in UTF-8.

    Raises:
        ValueError: It is in another encoding, or no text.
    """
    try:
        return Path(path).read_bytes().decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is no text in UTF-8 (byte {error.start + 1}): save it '
            'as "UTF-8" or "CSV UTF-8".') from None


def is_text(name: str) -> bool:
    """Whether the name of a file has no bytes that are no UTF-8."""
    return not any('\ud800' <= sign <= '\udfff' for sign in name)


def check_distinct(names: Mapping[object, str], where: str) -> None:
    """Check that a text tower can tell class names apart.

    To it ``_`` is a space, and capitals are small.

    Args:
        names: The name of every class, by its folder, label or number.
        where: Where they come from, for messages.

    Raises:
        ValueError: Two names are the same, one is empty, or one has control
            characters or bytes that are no text.
    """
    owner: Dict[str, object] = {}
    for key, name in names.items():
        said = ' '.join(name.replace('_', ' ').split()).lower()
        if not said:
            raise ValueError(f'{where}: class {key!r} has an empty name; '
                             'name it.')
        if any(unicodedata.category(sign) in ('Cc', 'Cs') for sign in name):
            raise ValueError(
                f'{where}: the name {name!r} has control characters or bytes '
                'that are no text; rename it.')
        other = owner.setdefault(said, key)
        if other != key:
            first, second = (
                names[one] if one == names[one] or isinstance(one, int)
                else f'{one} ({names[one]})' for one in (other, key))
            raise ValueError(
                f'{where}: {first} and {second} have the same name, and '
                'nothing could tell them apart: names must differ in more '
                'than capitals and "_"; rename one.')
