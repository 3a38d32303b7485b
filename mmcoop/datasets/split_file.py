"""Image lists, the base class of data sets with lists, and split files."""
import json
import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Tuple

from mmpretrain.datasets import BaseDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..catalog import LAYOUT_URL, SPLITS
from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .images import check_images, check_unreadable
from .photo_lists import read_text


@dataclass(frozen=True)
class ImageLists:
    """The images of some splits.

    Args:
        classes: The class name of each label.
        items: For each split, (path relative to the image folder, label) of
            every image.
        by_rule: Whether the split was made here by the published rule, not
            read from a file.
    """
    classes: Tuple[str, ...]
    items: Dict[str, List[Tuple[str, int]]]
    by_rule: bool = False


def build_image_lists(splits: Dict[str, Iterable[tuple]],
                      origin: str,
                      by_rule: bool = False) -> ImageLists:
    """Build lists from (path, label, class name) of every image.

    Args:
        splits: The triples of each split. All splits together must have the
            labels 0 to K - 1.
        origin: The file or folder the triples come from, for error messages.
        by_rule: See :class:`ImageLists`.

    Raises:
        ValueError: If a label has no images or several names.
    """
    names, items = {}, {}
    for split, triples in splits.items():
        items[split] = []
        for path, label, name in triples:
            if names.setdefault(label, name) != name:
                raise ValueError(f'{origin}: label {label} is both '
                                 f'{names[label]!r} and {name!r}.')
            items[split].append((path, label))
    odd = sorted(set(names) ^ set(range(len(names))))
    if odd:
        raise ValueError(
            f'{origin}: labels are not 0 to {len(names) - 1}, a label for '
            f'each of {len(names)} classes: see {odd[0]} and {odd[-1]}.')
    classes = tuple(names[label] for label in range(len(names)))
    return ImageLists(classes, items, by_rule)


def read_split_file(path: str) -> ImageLists:
    """Read a ``split_zhou_*.json`` or another file of this format.

    Raises:
        ValueError: If the file has another format.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        splits = {split: [_check_triple(item) for item in content[split]]
                  for split in SPLITS}
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        reason = 'it is no text in UTF-8' if isinstance(
            error, UnicodeDecodeError) else repr(error)
        raise ValueError(
            f'{path} is no split file ({reason}): it should hold {{"train": '
            '[[path, label, class name], ...], "val": ..., "test": ...}.'
        ) from error
    return build_image_lists(splits, path)


def _check_triple(item: Any) -> Tuple[str, int, str]:
    """Check what a file says of an image; it may come from anywhere."""
    path, label, name = item
    number = str(label).removesuffix('.0')  # also 3.0 and "3"
    if not isinstance(item, list) or not isinstance(path, str) or \
            not isinstance(name, str) or \
            not number.removeprefix('-').isdecimal():  # told later if below 0
        raise TypeError(f'not [path, label, class name]: {item!r:.100}')
    if not name.replace('_', ' ').strip():
        raise ValueError(f'{path}: the class {label} has an empty name')
    if os.path.isabs(path) or '..' in path.replace('\\', '/').split('/'):
        raise ValueError(f'{path}: a path inside the folder of images is '
                         'needed')
    return path, int(number), name


def parse_lines(path: str, parse: Callable[[str], object]) -> list:
    """Apply ``parse`` to each line of a file that is not empty.

    Raises:
        ValueError: If ``parse`` raises one or a LookupError. The message
            names the line.
    """
    parsed = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        line = line.strip()
        try:
            parsed += [parse(line)] if line else []
        except (LookupError, ValueError) as error:
            raise ValueError(f'{path}, line {number}: {line!r} is not as '
                             f'expected ({error!r}).') from error
    return parsed


def list_images(folder: str) -> List[str]:
    """Return the sorted names of a folder's images, without hidden files."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries
                      if entry.name.lower().endswith(IMG_EXTENSIONS)
                      and not entry.name.startswith('.'))


class ListedDataset(BaseDataset):
    """The base class of data sets that read image lists.

    Args:
        split: ``train``, ``val`` or ``test``.
        unreadable: What to do if images of the test split cannot be read:
            ``stop`` raises an error, ``skip`` leaves them out. (Training
            images are checked by :class:`FewShotDataset` after the draw.)
        class_subset: ``base`` or ``new`` classes, or their names; None keeps
            all. See :func:`keep_classes`.
        **kwargs: Arguments of mmpretrain's ``BaseDataset``.

    Raises:
        ValueError: If ``split`` or ``unreadable`` is unknown, or if the split
            has no images.
    """

    def __init__(self, split: str, unreadable: str = 'stop',
                 class_subset: ClassSubset = None, **kwargs) -> None:
        if split not in SPLITS:
            raise ValueError(
                f'split={split!r}: choose from {", ".join(SPLITS)}.')
        check_unreadable(unreadable)
        check_class_subset(class_subset)
        self.split = split
        self.class_subset = class_subset
        self.unreadable = unreadable
        super().__init__(test_mode=split == 'test', **kwargs)

    def read_lists(self) -> ImageLists:
        """Return lists that include this split; subclasses implement it.

        Raises:
            FileNotFoundError: If files or folders are missing.
            ValueError: If a file has another content than expected.
        """
        raise NotImplementedError

    def load_data_list(self) -> List[dict]:
        lists = self.read_lists()
        if not lists.items[self.split]:
            raise ValueError(f'{type(self).__name__}: the {self.split} list '
                             f'of {self.ann_file or self.img_prefix} is '
                             'empty.')
        self._metainfo.setdefault('classes', lists.classes)
        self._metainfo['split'] = self.split  # recorded in result.json
        data_list, self._metainfo = keep_classes([
            dict(img_path=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in lists.items[self.split]
        ], self._metainfo, self.class_subset)
        return data_list

    def filter_data(self) -> List[dict]:
        data_list = super().filter_data()
        if self.split != 'test':  # a few-shot draw needs few of them
            return data_list
        return check_images(data_list, self.unreadable)


@DATASETS.register_module()
class SplitFileDataset(ListedDataset):
    """Images listed in a split file, for a data set of your own.

    The file holds ``{"train": [[path, label, class name], ...], "val": ...,
    "test": ...}``. For the published data sets use :class:`CoOpDataset`.

    Args:
        ann_file: The split file, relative to ``data_root``.
        split: ``train``, ``val`` or ``test``.
        **kwargs: ``unreadable`` of :class:`ListedDataset`, and arguments of
            mmpretrain's ``BaseDataset`` such as ``data_root`` and
            ``data_prefix`` (the image folder, relative to ``data_root``).

    Raises:
        FileNotFoundError: If the split file or the image folder is missing.
        ValueError: If the split is unknown or the file is no split file.
    """

    def __init__(self, ann_file: str, split: str, **kwargs) -> None:
        super().__init__(ann_file=ann_file, split=split, **kwargs)

    def read_lists(self) -> ImageLists:
        missing = []
        if not os.path.isfile(self.ann_file):
            missing.append(f'the split file {self.ann_file}')
        if not os.path.isdir(self.img_prefix):
            missing.append(f'the image folder {self.img_prefix}')
        if missing:
            raise FileNotFoundError(
                f'missing: {" and ".join(missing)}. Put the data set there, '
                f'as in the published layout ({LAYOUT_URL}), or set '
                'data_root.')
        return read_split_file(self.ann_file)
