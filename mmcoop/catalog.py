"""The published data sets: names, sizes, templates, folders and downloads.

They stand in catalog.yml. This module imports nothing heavy.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

import yaml

LAYOUT_URL = 'https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md'
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Source:
    """A file or folder of a data set, and where to download it.

    Args:
        path: The path relative to the data set's folder. A file has a suffix,
            a folder has none.
        origin: The URL, followed by how to unpack it where that is needed.
        splits: The splits that need it.
    """
    path: str
    origin: str
    splits: Tuple[str, ...] = SPLITS


@dataclass(frozen=True)
class PublishedSet:
    """A data set as CoOp's experiments used it.

    Args:
        name: The key in :data:`CATALOG`.
        title: The name in the paper.
        classes: The number of classes, K.
        sizes: The number of images of each split that was published.
        template: The hand-crafted prompt.
        folder: The data set's folder, relative to the data root.
        images: The image folder, relative to ``folder``.
        sources: Required files and folders, without the split file.
        split_file: The published split file, which nine data sets have.
        rule_sources: What is required in addition to ``sources`` to make a
            split by the published rule if the split file is missing.
    """
    name: str
    title: str
    classes: int
    sizes: Dict[str, int]
    template: str
    folder: str
    images: str
    sources: Tuple[Source, ...]
    split_file: Optional[Source] = None
    rule_sources: Tuple[Source, ...] = ()

    @property
    def by_class_folders(self) -> bool:
        """Whether images are listed from one folder per class.

        True for ImageNet and its variants, which have no image lists.
        """
        return self.split_file is None and self.name != 'fgvc_aircraft'


def _read_source(entry: dict) -> Source:
    return Source(entry['path'], entry['origin'],
                  tuple(entry.get('splits', SPLITS)))


def _read_set(name: str, entry: dict) -> PublishedSet:
    files = {key: tuple(map(_read_source, entry.pop(key, ())))
             for key in ('sources', 'rule_sources')}
    split_file = entry.pop('split_file', None)
    return PublishedSet(name, split_file=split_file
                        and _read_source(split_file), **files, **entry)


CATALOG: Dict[str, PublishedSet] = {
    name: _read_set(name, entry) for name, entry in yaml.safe_load(
        Path(__file__).with_name('catalog.yml').read_text()).items()
}
# the variants of ImageNet, which have a test split only
VARIANTS = tuple(name for name, published in CATALOG.items()
                 if set(published.sizes) == {'test'})


def find(name: str) -> PublishedSet:
    """Return the published data set of a name.

    Raises:
        ValueError: If there is none. The message lists the names.
    """
    if name not in CATALOG:
        raise ValueError(f'there is no published data set {name!r}: choose '
                         f'from {", ".join(CATALOG)}.')
    return CATALOG[name]
