"""Data sets whose splits come from the published ``split_zhou_*.json``."""
import json
import os
from typing import List

from mmpretrain.datasets import BaseDataset

from ..registry import DATASETS
from .images import check_images

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class SplitFileDataset(BaseDataset):
    """Images listed in a split file of the published layout.

    The file holds ``{"train": [[path, label, class name], ...], "val": ...,
    "test": ...}``.

    Args:
        ann_file: The split file, relative to ``data_root``.
        data_prefix: The image folder, relative to ``data_root``.
        split: ``train``, ``val`` or ``test``.
        unreadable: For a test split: ``stop`` at an image that cannot be
            read, or ``skip`` it. (Training images are looked at when
            :class:`FewShotDataset` has drawn them.)
        **kwargs: Of mmpretrain's ``BaseDataset``.

    Raises:
        FileNotFoundError: The split file or the image folder is missing.
        ValueError: An unknown split, or a file that is no split file.
    """

    def __init__(self,
                 ann_file: str,
                 split: str,
                 unreadable: str = 'stop',
                 **kwargs) -> None:
        if split not in SPLITS:
            raise ValueError(
                f'split={split!r}: choose from {", ".join(SPLITS)}.')
        self.split = split
        self.unreadable = unreadable
        super().__init__(
            ann_file=ann_file, test_mode=split == 'test', **kwargs)

    def load_data_list(self) -> List[dict]:
        needed = [('split file', self.ann_file, os.path.isfile),
                  ('image folder', self.img_prefix, os.path.isdir)]
        for what, path, exists in needed:
            if not exists(path):
                raise FileNotFoundError(
                    f'the {what} {path} is missing. Put the data set there '
                    'in the published layout (https://github.com/Kaiyang'
                    'Zhou/CoOp/blob/main/DATASETS.md), or set data_root.')
        try:
            with open(self.ann_file, encoding='utf-8') as file:
                splits = json.load(file)
            # every class has an image in some split; labels are global
            names = {
                int(label): name
                for split in SPLITS for _, label, name in splits[split]
            }
            items = splits[self.split]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{self.ann_file} is no split file ({error!r}): it should '
                'hold {"train": [[path, label, class name], ...], "val": '
                '..., "test": ...}.') from error
        if sorted(names) != list(range(len(names))):
            raise ValueError(
                f'{self.ann_file}: labels are not 0 to {len(names) - 1}.')
        self._metainfo.setdefault(
            'classes', tuple(names[i] for i in range(len(names))))
        return [
            dict(
                img_path=os.path.join(self.img_prefix, path),
                gt_label=int(label)) for path, label, _ in items
        ]

    def filter_data(self) -> List[dict]:
        data_list = super().filter_data()
        if self.split != 'test':  # a few-shot draw needs few of them
            return data_list
        return check_images(data_list, self.unreadable)
