"""A plain folder of photos: one sub-folder a class, nothing to write."""
import logging
import os
import random
from typing import List, Tuple

from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset

from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .images import check_images


@DATASETS.register_module()
class FolderDataset(CustomDataset):
    """Photos in class sub-folders; the sub-folders' names are the classes.

    Either ``data_root/train/<class>/`` and ``data_root/test/<class>/`` (or
    ``val``), or just ``data_root/<class>/``: then a part of every class is
    held out for testing, always the same one, whatever the seed of a run.

    Args:
        data_root: The folder.
        split: ``train`` or ``test``.
        holdout: Part of each class held out for testing where the folder has
            no ``test`` of its own; at least one image of each class.
        exif_rotation: Turn photos as their EXIF tag says, as those from a
            telephone need.
        unreadable: For testing: ``stop`` at an image that cannot be read, or
            ``skip`` it. (Training images are looked at when
            :class:`FewShotDataset` has drawn them.)
        class_subset: ``base`` or ``new`` classes, or their names; None keeps
            all. See :func:`keep_classes`.
        **kwargs: Of mmpretrain's ``CustomDataset``.

    Raises:
        FileNotFoundError: No such folder, or no class sub-folders in it.
        ValueError: A class sub-folder without images or with too few, one
            class only, or other classes in ``test`` than in ``train``.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 holdout: float = 0.3,
                 exif_rotation: bool = True,
                 unreadable: str = 'stop',
                 class_subset: ClassSubset = None,
                 **kwargs) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split={split!r}: choose 'train' or 'test'.")
        if not 0 < holdout < 1:
            raise ValueError(f'holdout={holdout}: a part between 0 and 1.')
        check_class_subset(class_subset)
        self.class_subset = class_subset
        self.split = split
        self.exif_rotation = exif_rotation
        self.unreadable = unreadable
        root = os.path.expanduser(data_root)
        self.train_root = os.path.join(root, 'train')
        self.holdout = holdout
        if _sub_folders(self.train_root):  # else "train" is a class
            beside = set(_sub_folders(root)) - {'train', 'test', 'val'}
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
        kwargs.setdefault('extensions', ('.jpg', '.jpeg', '.png', '.webp',
                                         '.bmp', '.ppm', '.pgm', '.tif',
                                         '.tiff'))
        super().__init__(
            data_root=root, test_mode=split == 'test', **kwargs)

    def _find_samples(self) -> List[Tuple[str, int]]:
        root = self.img_prefix
        classes = _sub_folders(root)
        if not classes:
            raise FileNotFoundError(
                f'{os.path.abspath(root)} '
                + ('has no class sub-folders'
                   if os.path.isdir(root) else 'does not exist')
                + '. Make one sub-folder for each class with its photos in '
                'it, and set data_root to the folder above them.')
        if self.split == 'test' and self.holdout is None:
            odd = sorted(set(classes) ^ set(_sub_folders(self.train_root)))
            if odd:
                raise ValueError(
                    f'the class folders {", ".join(odd)} stand in only one '
                    f'of {self.train_root} and {root}: the classes must be '
                    'the same.')
        samples, empty, others = [], [], []
        for label, name in enumerate(classes):
            found = _files(root, name)
            files = [file for file in found if self.is_valid_file(file)]
            others += [file for file in found if file not in set(files)]
            empty += [] if files else [name]
            samples += [(file, label) for file in self._part(sorted(files))]
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

    def _part(self, files: List[str]) -> List[str]:
        """This split's part of one class."""
        if self.holdout is None or not files:
            return files
        if len(files) < 2:
            raise ValueError(
                f'{files[0]} is the only image of its class: one is needed '
                'for training and one for testing.')
        order = files[:]
        random.Random(0).shuffle(order)  # not the run's seed: one test set
        n_test = max(1, round(self.holdout * len(files)))
        n_test = min(n_test, len(files) - 1)
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
        if self.split != 'test':  # a few-shot draw looks at what it drew
            return data_list
        return check_images(data_list, self.unreadable)


def _sub_folders(root: str) -> List[str]:
    if not os.path.isdir(root):
        return []
    return sorted(entry.name for entry in os.scandir(root)
                  if entry.is_dir() and not entry.name.startswith('.'))


def _files(root: str, name: str) -> List[str]:
    """All files below a class folder; not hidden ones, nor in hidden ones."""
    files = []
    for folder, inner, found in os.walk(os.path.join(root, name)):
        inner[:] = [f for f in inner if not f.startswith('.')]
        files += [os.path.relpath(os.path.join(folder, file), root)
                  for file in found if not file.startswith('.')]
    return sorted(files)
