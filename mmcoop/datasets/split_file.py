"""Image lists, and data sets that are made of them; own split files."""
import json
import os
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Tuple

from mmpretrain.datasets import BaseDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..catalog import LAYOUT_URL, SPLITS
from ..registry import DATASETS
from .images import check_images


@dataclass(frozen=True)
class Lists:
    """The images of some splits.

    Args:
        classes: Class names, by label.
        items: For each split (path relative to the image folder, label) of
            every image.
        by_rule: The split was made here, not read.
    """
    classes: Tuple[str, ...]
    items: Dict[str, List[Tuple[str, int]]]
    by_rule: bool = False


def make_lists(splits: Dict[str, Iterable[tuple]],
               place: str,
               by_rule: bool = False) -> Lists:
    """Lists from (path, label, class name) of every image.

    Labels are those of all splits together, 0 to K - 1.

    Args:
        splits: The triples of each split.
        place: Where they come from, for errors.
        by_rule: See :class:`Lists`.

    Raises:
        ValueError: A label without images, or one with two names.
    """
    names, items = {}, {}
    for split, triples in splits.items():
        items[split] = []
        for path, label, name in triples:
            if names.setdefault(label, name) != name:
                raise ValueError(f'{place}: label {label} is both '
                                 f'{names[label]!r} and {name!r}.')
            items[split].append((path, label))
    if sorted(names) != list(range(len(names))):
        raise ValueError(f'{place}: labels are not 0 to {len(names) - 1}.')
    classes = tuple(names[label] for label in range(len(names)))
    return Lists(classes, items, by_rule)


def read_split_file(path: str) -> Lists:
    """Read a ``split_zhou_*.json`` or one's own of that form.

    Raises:
        ValueError: It is no split file.
    """
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        splits = {split: [_triple(*item) for item in content[split]]
                  for split in SPLITS}
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path} is no split file ({error!r}): it should hold {{"train": '
            '[[path, label, class name], ...], "val": ..., "test": ...}.'
        ) from error
    return make_lists(splits, path)


def _triple(path: str, label: int, name: str) -> Tuple[str, int, str]:
    if not isinstance(path, str) or not isinstance(name, str):
        raise TypeError(f'no names: {path!r}, {name!r}')
    return path, int(label), name


def read_lines(path: str, parse: Callable[[str], object]) -> list:
    """What ``parse`` makes of each line that is not empty.

    Raises:
        ValueError: It makes nothing of a line; the message names it.
    """
    parsed = []
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            try:
                parsed += [parse(line)] if line else []
            except (LookupError, ValueError) as error:
                raise ValueError(f'{path}, line {number}: {line!r} is not as '
                                 f'expected ({error!r}).') from error
    return parsed


def image_names(folder: str) -> List[str]:
    """The image files of a folder, sorted by name; hidden ones are not."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries
                      if entry.name.lower().endswith(IMG_EXTENSIONS)
                      and not entry.name.startswith('.'))


class ListedDataset(BaseDataset):
    """One split of image lists; a subclass says how to read the lists.

    Args:
        split: ``train``, ``val`` or ``test``.
        unreadable: For a test split: ``stop`` at an image that cannot be
            read, or ``skip`` it. (Training images are looked at when
            :class:`FewShotDataset` has drawn them.)
        **kwargs: Of mmpretrain's ``BaseDataset``.

    Raises:
        ValueError: An unknown split or ``unreadable``, or an empty list.
    """

    def __init__(self, split: str, unreadable: str = 'stop', **kwargs) -> None:
        if split not in SPLITS:
            raise ValueError(
                f'split={split!r}: choose from {", ".join(SPLITS)}.')
        if unreadable not in ('stop', 'skip'):
            raise ValueError(
                f"unreadable={unreadable!r}: choose 'stop' or 'skip'.")
        self.split = split
        self.unreadable = unreadable
        super().__init__(test_mode=split == 'test', **kwargs)

    def read_lists(self) -> Lists:
        """Lists that hold at least this split.

        Raises:
            FileNotFoundError: Something is missing.
            ValueError: Something is not what it should be.
        """
        raise NotImplementedError

    def load_data_list(self) -> List[dict]:
        lists = self.read_lists()
        if not lists.items[self.split]:
            raise ValueError(f'{type(self).__name__}: the {self.split} list '
                             f'of {self.ann_file or self.img_prefix} is '
                             'empty.')
        self._metainfo.setdefault('classes', lists.classes)
        self._metainfo['split'] = self.split  # results tell it
        return [
            dict(img_path=os.path.join(self.img_prefix, path), gt_label=label)
            for path, label in lists.items[self.split]
        ]

    def filter_data(self) -> List[dict]:
        data_list = super().filter_data()
        if self.split != 'test':  # a few-shot draw needs few of them
            return data_list
        return check_images(data_list, self.unreadable)


@DATASETS.register_module()
class SplitFileDataset(ListedDataset):
    """Images listed in a split file: one's own data set in CoOp's form.

    The file holds ``{"train": [[path, label, class name], ...], "val": ...,
    "test": ...}``. (For the published data sets :class:`CoOpDataset` knows
    the places.)

    Args:
        ann_file: The split file, relative to ``data_root``.
        split: ``train``, ``val`` or ``test``.
        **kwargs: ``unreadable`` of :class:`ListedDataset`; ``data_root``,
            ``data_prefix`` (the image folder, relative to ``data_root``) and
            others of mmpretrain's ``BaseDataset``.

    Raises:
        FileNotFoundError: The split file or the image folder is missing.
        ValueError: An unknown split, or a file that is no split file.
    """

    def __init__(self, ann_file: str, split: str, **kwargs) -> None:
        super().__init__(ann_file=ann_file, split=split, **kwargs)

    def read_lists(self) -> Lists:
        missing = [
            f'the {what} {path}' for what, path, is_there in (
                ('split file', self.ann_file, os.path.isfile),
                ('image folder', self.img_prefix, os.path.isdir))
            if not is_there(path)
        ]
        if missing:
            raise FileNotFoundError(
                f'missing: {" and ".join(missing)}. Put the data set there, '
                f'as in the published layout ({LAYOUT_URL}), or set '
                'data_root.')
        return read_split_file(self.ann_file)
