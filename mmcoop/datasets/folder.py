"""A plain folder of photos with one sub-folder per class."""
import logging
import os
import random
from typing import List, Optional, Tuple

from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .images import check_images, check_unreadable


@DATASETS.register_module()
class FolderDataset(CustomDataset):
    """Photos in sub-folders whose names are the class names.

    The layout is either ``data_root/train/<class>/`` and
    ``data_root/test/<class>/`` (or ``val``), or just ``data_root/<class>/``.
    In the latter case a fixed part of every class is held out for testing;
    it does not depend on the seed of a run.

    Args:
        data_root: The folder.
        split: ``train`` or ``test``.
        holdout: The fraction of each class that is held out for testing if
            the folder has no ``test`` or ``val``; at least one image.
        exif_rotation: Whether to rotate photos by their EXIF orientation, as
            those of a mobile phone need.
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
            class, or if ``test`` and ``train`` have different classes.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 holdout: float = 0.3,
                 exif_rotation: bool = True,
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
        self.exif_rotation = exif_rotation
        self.unreadable = unreadable
        root = os.path.expanduser(data_root)
        self.train_root = os.path.join(root, 'train')
        self.holdout = holdout
        if _list_sub_folders(self.train_root):  # else "train" is a class
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
            root = os.path.join(root, tests[0]) \
                if tests and split == 'test' else self.train_root
        kwargs.setdefault('extensions', IMG_EXTENSIONS)
        super().__init__(
            data_root=root, test_mode=split == 'test', **kwargs)

    def _find_samples(self) -> List[Tuple[str, int]]:
        root = self.img_prefix
        classes = _list_sub_folders(root)
        if not classes:
            raise FileNotFoundError(
                f'{os.path.abspath(root)} '
                + ('has no class sub-folders'
                   if os.path.isdir(root) else 'does not exist')
                + '. Make one sub-folder for each class with its photos in '
                'it, and set data_root to the folder above them.')
        if self.split == 'test' and self.holdout is None:
            train_classes = _list_sub_folders(self.train_root)
            odd = sorted(set(classes) ^ set(train_classes))
            if odd:
                raise ValueError(
                    f'the class folders {", ".join(odd)} stand in only one '
                    f'of {self.train_root} and {root}: the classes must be '
                    'the same.')
        samples, empty, others = [], [], []
        for label, name in enumerate(classes):
            found = _list_files(root, name)
            files = [file for file in found if self.is_valid_file(file)]
            others += [file for file in found if file not in set(files)]
            empty += [] if files else [name]
            samples += [(file, label) for file in self._select_split(files)]
        if empty:
            raise ValueError(
                f'no images in the class folders {", ".join(empty)} of '
                f'{root}: add some (extensions: '
                f'{" ".join(sorted(self.extensions))}) or remove the folder.')
        if len(classes) < 2:
            raise ValueError(
                f'{root} has one class only ({classes[0]}): at least two '
                'class sub-folders are needed to tell apart.')
        if others:
            print_log(
                f'{len(others)} files in {root} are no images that can be '
                f'read here and are left out: {", ".join(others[:3])}, ...',
                'current', logging.WARNING)
        self._metainfo.setdefault('classes', tuple(classes))
        self._metainfo['split'] = self.split
        return samples

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
            [dict(info, exif_rotation=self.exif_rotation)
             for info in super().load_data_list()],
            self._metainfo, self.class_subset)
        return data_list

    def filter_data(self) -> List[dict]:
        data_list = super().filter_data()
        if self.split != 'test':  # a few-shot draw checks its own images
            return data_list
        return check_images(data_list, self.unreadable)


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
