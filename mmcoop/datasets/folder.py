"""A plain folder of photos: one sub-folder a class, nothing to write."""
import os
import random
from typing import List, Tuple

from mmpretrain.datasets import CustomDataset

from ..registry import DATASETS
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
        unreadable: For testing: ``stop`` at an image that cannot be read, or
            ``skip`` it. (Training images are looked at when
            :class:`FewShotDataset` has drawn them.)
        **kwargs: Of mmpretrain's ``CustomDataset``.

    Raises:
        FileNotFoundError: No such folder, or no class sub-folders in it.
        ValueError: A class sub-folder without images or with too few, or
            other classes in ``test`` than in ``train``.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 holdout: float = 0.3,
                 unreadable: str = 'stop',
                 **kwargs) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split={split!r}: choose 'train' or 'test'.")
        if not 0 < holdout < 1:
            raise ValueError(f'holdout={holdout}: a part between 0 and 1.')
        self.split = split
        self.unreadable = unreadable
        root = os.path.expanduser(data_root)
        tests = [name for name in ('test', 'val')
                 if os.path.isdir(os.path.join(root, 'train'))
                 and os.path.isdir(os.path.join(root, name))]
        self.holdout = None if tests else holdout
        self.train_root = os.path.join(root, 'train')
        if tests and split == 'test':
            root = os.path.join(root, tests[0])
        elif os.path.isdir(self.train_root):
            root = self.train_root
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
        samples, empty = [], []
        for label, name in enumerate(classes):
            files = [
                os.path.relpath(os.path.join(folder, file), root)
                for folder, _, found in os.walk(os.path.join(root, name))
                for file in found if self.is_valid_file(file)
            ]
            empty += [] if files else [name]
            samples += [(file, label) for file in self._part(sorted(files))]
        if empty:
            raise ValueError(
                f'no images in the class folders {", ".join(empty)} of '
                f'{root}: add some (extensions: '
                f'{" ".join(sorted(self.extensions))}) or remove the folder.')
        self._metainfo.setdefault('classes', tuple(classes))
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
