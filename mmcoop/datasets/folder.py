"""One's own photos: a folder with a sub-folder per class, or a list."""
import logging
import os
import random
from typing import Dict, List, Optional, Tuple

from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .images import check_images, check_unreadable
from .photo_lists import (check_distinct, find_names_file, is_list, is_text,
                          read_list, read_names)

EXTENSIONS = (*IMG_EXTENSIONS, '.gif', '.jfif')


@DATASETS.register_module()
class FolderDataset(CustomDataset):
    """Photos in sub-folders whose names are the class names, or in a list.

    The layout is either ``data_root/train/<class>/`` and
    ``data_root/test/<class>/`` (or ``val``), or just ``data_root/<class>/``;
    photos may lie in further folders below. In the latter case a fixed part
    of every class is held out for testing; it does not depend on the seed of
    a run. The same holds for a list (CSV) of paths and labels, where a column
    ``split`` takes the place of the folders; see :func:`read_list`.

    Args:
        data_root: The folder, or the list.
        split: ``train`` or ``test``.
        holdout: The fraction of each class that is held out for testing if
            the folder has no ``test`` or ``val``; at least one image.
        ann_file: A list in or outside ``data_root``; paths in it are relative
            to its own folder.
        class_names: A file that says the classes' names, see
            :func:`read_names`; None takes ``names.txt`` or ``classes.txt``
            (or ``.json``) in ``data_root``, if there is one.
        unreadable: What to do if images of the test split cannot be read:
            ``stop`` raises an error, ``skip`` leaves them out. (Training
            images are checked by :class:`FewShotDataset` after the draw.)
        class_subset: ``base`` or ``new`` classes, or their names; None keeps
            all. See :func:`keep_classes`.
        name: Ignored: published data sets have one.
        **kwargs: Arguments of mmpretrain's ``CustomDataset``.

    Raises:
        FileNotFoundError: If the folder or its class sub-folders are missing.
        ValueError: If a class has no or too few images, if there is only one
            class, if ``test`` and ``train`` have different classes, or if the
            name of a file is no text.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 holdout: float = 0.3,
                 ann_file: str = '',
                 class_names: Optional[str] = None,
                 unreadable: str = 'stop',
                 class_subset: ClassSubset = None,
                 name: Optional[str] = None,
                 **kwargs) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split={split!r}: choose 'train' or 'test'.")
        if not 0 < holdout < 1:
            raise ValueError(f'holdout={holdout}: a part between 0 and 1.')
        check_unreadable(unreadable)
        check_class_subset(class_subset)
        self.class_subset = class_subset
        self.split = split
        self.unreadable = unreadable
        self.holdout = holdout
        if '://' in data_root:
            raise ValueError(f'data_root={data_root}: a folder or a list on '
                             'this machine is needed. Fetch the photos first.')
        root = os.path.expanduser(data_root)
        self.list_file: Optional[str] = None
        if ann_file:
            self.list_file = _locate('ann_file', ann_file, root)
        elif is_list(root):
            self.list_file = root
        if self.list_file:
            root = os.path.dirname(os.path.abspath(self.list_file))
        self.names_file = _locate('class_names', class_names, root) \
            if class_names else find_names_file(root)
        if self.list_file is None:
            root = self._choose_folder(root)
        kwargs.setdefault('extensions', EXTENSIONS)
        super().__init__(
            data_root=root, test_mode=split == 'test', **kwargs)

    def _choose_folder(self, root: str) -> str:
        """The folder above the classes of this split."""
        self.train_root = os.path.join(root, 'train')
        if not _list_sub_folders(self.train_root):  # "train" is a class
            return root
        beside = set(_list_sub_folders(root)) - {'train', 'test', 'val'}
        if beside:
            raise ValueError(
                f'{root} holds both train/ with class folders and '
                f'{", ".join(sorted(beside))} beside it: which of them '
                'are the classes? Move one of them away.')
        tests = [name for name in ('test', 'val')
                 if os.path.isdir(os.path.join(root, name))]
        if tests:
            self.holdout = None
        return os.path.join(root, tests[0]) \
            if tests and self.split == 'test' else self.train_root

    def _find_samples(self) -> List[Tuple[str, int]]:
        groups = self._read_list() if self.list_file \
            else self._search_folder()
        where = self.list_file or self.img_prefix
        if len(groups) < 2:
            raise ValueError(
                f'{where} has one class only ({", ".join(groups)}): at least '
                'two are needed to tell apart.')
        names = {name: name for name in groups}
        if self.names_file:
            names = read_names(self.names_file, list(groups))
        check_distinct(names, self.names_file or where)
        self._metainfo.setdefault('classes', tuple(names.values()))
        self._metainfo['split'] = self.split
        return [(file, label) for label, files in enumerate(groups.values())
                for file in files]

    def _read_list(self) -> Dict[str, List[str]]:
        """Photos of this split by class, from a list."""
        rows = read_list(self.list_file)
        groups: Dict[str, List[str]] = {
            label: [] for label in sorted({row.label for row in rows})}
        splits = {row.split for row in rows}
        if None not in splits:
            self.holdout = None
            test = 'test' if 'test' in splits else 'val'
            if not {'train', test} <= splits:
                raise ValueError(
                    f'{self.list_file}: the split {sorted(splits)} needs '
                    'photos of train and of test (or val).')
            rows = [row for row in rows if row.split == (
                'train' if self.split == 'train' else test)]
        for row in rows:
            groups[row.label].append(row.path)
        empty = [label for label, files in groups.items() if not files]
        if empty:
            raise ValueError(
                f'{self.list_file}: {", ".join(empty)} has no photos of the '
                f'split {self.split}.')
        return {label: self._select_split(sorted(files))
                for label, files in groups.items()}

    def _search_folder(self) -> Dict[str, List[str]]:
        """Photos of this split by class, from sub-folders."""
        root = os.path.abspath(self.img_prefix)  # a file has no "/" behind it
        classes = _list_sub_folders(root)
        if not classes:
            raise FileNotFoundError(
                f'{root} '
                + ('has no class sub-folders' if os.path.isdir(root) else
                   'is no folder' if os.path.exists(root) else
                   'does not exist')
                + '. Make one sub-folder for each class with its photos in '
                'it, and set data_root to the folder above them (of an '
                'archive, unpack it first); or give a list of paths and '
                'labels, ann_file=labels.csv.')
        if self.split == 'test' and self.holdout is None:
            train_classes = _list_sub_folders(self.train_root)
            odd = sorted(set(classes) ^ set(train_classes))
            if odd:
                raise ValueError(
                    f'the class folders {", ".join(odd)} stand in only one '
                    f'of {self.train_root} and {root}: the classes must be '
                    'the same.')
        groups: Dict[str, List[str]] = {}
        loose = [entry.name for entry in os.scandir(root) if entry.is_file()
                 and self.is_valid_file(entry.name)
                 and not entry.name.startswith('.')]
        others, empty = [], []
        above = os.path.join(os.path.realpath(root), '')
        for name in classes:
            place = os.path.join(root, name)
            if above.startswith(os.path.join(os.path.realpath(place), '')):
                raise ValueError(
                    f'{place} is a link to a folder that it lies in, so it '
                    'is no class: remove the link.')
            found = _list_files(root, name)
            odd = [file for file in found if not is_text(file)]
            if odd:
                raise ValueError(
                    f'{root}: the name of {odd[0]!r} is no text in UTF-8, '
                    'which a page and lists of images need: rename it (or '
                    'all of them: convmv -f latin1 -t utf8 -r --notest).')
            files = [file for file in found if self.is_valid_file(file)]
            others += [file for file in found if file not in set(files)]
            empty += [] if files else [name]
            groups[name] = self._select_split(files)
        if empty:
            raise ValueError(
                f'no images in the class folders {", ".join(empty)} of '
                f'{root}: add some (extensions: '
                f'{" ".join(sorted(self.extensions))}) or remove the folder.')
        if loose:
            print_log(
                f'{len(loose)} images lie in no class folder of {root} and '
                f'are left out: {", ".join(sorted(loose)[:3])}, ...',
                'current', logging.WARNING)
        if others:
            print_log(
                f'{len(others)} files in {root} are no images that can be '
                f'read here and are left out: {", ".join(others[:3])}, ...',
                'current', logging.WARNING)
        return groups

    def _select_split(self, files: List[str]) -> List[str]:
        """Return those of one class's images that belong to this split."""
        if self.holdout is None or not files:
            return files
        if len(files) < 2:
            raise ValueError(
                f'{files[0]} is the only image of its class: one is needed '
                'for training and one for testing.')
        order = files[:]
        random.Random(0).shuffle(order)  # one test set for all runs
        n_test = round(self.holdout * len(files))
        n_test = min(max(1, n_test), len(files) - 1)
        return sorted(order[:n_test] if self.split == 'test'
                      else order[n_test:])

    def load_data_list(self) -> List[dict]:
        data_list, self._metainfo = keep_classes(
            super().load_data_list(), self._metainfo, self.class_subset)
        return data_list

    def filter_data(self) -> List[dict]:
        data_list = super().filter_data()
        if self.split != 'test':  # a few-shot draw checks its own images
            return data_list
        return check_images(data_list, self.unreadable)


def _locate(what: str, path: str, root: str) -> str:
    """A file in the folder of photos, as in other data sets, or as it is."""
    path = os.path.expanduser(path)
    for place in (os.path.join(root, path), path):
        if os.path.isfile(place):
            return place
    raise FileNotFoundError(f'{what}: there is no file {path}, neither in '
                            f'{root} nor here.')


def _list_sub_folders(root: str) -> List[str]:
    if not os.path.isdir(root):
        return []
    return sorted(entry.name for entry in os.scandir(root)
                  if entry.is_dir() and not entry.name.startswith('.'))


def _list_files(root: str, name: str) -> List[str]:
    """Return all files below a class folder, without hidden ones."""
    files = []
    for folder, inner, found in os.walk(os.path.join(root, name)):
        inner[:] = [f for f in inner if not f.startswith('.')]
        files += [os.path.relpath(os.path.join(folder, file), root)
                  for file in found if not file.startswith('.')]
    return sorted(files)
