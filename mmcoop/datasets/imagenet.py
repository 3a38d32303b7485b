"""ImageNet and its variants: no lists, a folder for each class."""
import importlib.util
import os
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Dict, List, Tuple

from mmpretrain.datasets.categories import IMAGENET_SIMPLE_CATEGORIES

from ..catalog import PublishedSet
from .split_file import ImageLists, build_image_lists, list_images


def list_class_folders(published: PublishedSet,
                       split: str) -> List[Tuple[str, str]]:
    """Return the class folders of ImageNet or one of its variants.

    The folders are named by WordNet ids, in ImageNetV2 by labels.

    Returns:
        (folder relative to the image folder, class name) of every label.
    """
    wnids = load_wordnet_ids('imagenet')
    names: Dict[str, str] = dict(zip(wnids, IMAGENET_SIMPLE_CATEGORIES))
    if published.name == 'imagenetv2':
        return [(str(label), names[wnid]) for label, wnid in enumerate(wnids)]
    if published.name in ('imagenet_a', 'imagenet_r'):
        wnids = load_wordnet_ids(published.name)
    parent = ''
    if published.name == 'imagenet':
        parent = 'val/' if split == 'test' else 'train/'
    return [(f'{parent}{wnid}', names[wnid]) for wnid in wnids]


@lru_cache(maxsize=None)
def load_wordnet_ids(name: str) -> Tuple[str, ...]:
    """Return the sorted WordNet ids of a data set's classes, by label.

    They are read from files of timm, which open_clip requires.

    Args:
        name: ``imagenet``, ``imagenet_a`` or ``imagenet_r``.
    """
    timm = importlib.util.find_spec('timm')  # importing it takes seconds
    path = Path(timm.origin).with_name('data') / f'_info/{name}_synsets.txt'
    return tuple(sorted(path.read_text().split()))


def check_class_folders(published: PublishedSet, data_root: str,
                        split: str) -> None:
    """Check that every class has its folder, without listing images.

    Raises:
        FileNotFoundError: If class folders are missing.
    """
    images = os.path.join(data_root, published.folder, published.images)
    missing = [folder for folder, _ in list_class_folders(published, split)
               if not os.path.isdir(os.path.join(images, folder))]
    if missing:
        raise _class_folder_error(published, images, split, missing, 'missing')


def read_class_folders(published: PublishedSet, data_root: str,
                       split: str) -> ImageLists:
    """List the images of all class folders, sorted by class and name.

    Raises:
        FileNotFoundError: If class folders have no images.
    """
    images = os.path.join(data_root, published.folder, published.images)
    triples, empty = [], []
    for label, (folder, name) in enumerate(
            list_class_folders(published, split)):
        files = list_images(os.path.join(images, folder))
        empty += [] if files else [folder]
        triples += [(f'{folder}/{file}', label, name) for file in files]
    if empty:
        raise _class_folder_error(published, images, split, empty,
                                  'without images')
    return build_image_lists({split: triples}, images)


def _class_folder_error(published: PublishedSet, images: str, split: str,
                        folders: List[str], problem: str) -> FileNotFoundError:
    source, = (s for s in published.sources if split in s.splits)
    parent = os.path.abspath(os.path.join(images, os.path.dirname(folders[0])))
    first = ', '.join(PurePath(folder).name for folder in folders[:5])
    hint = ' There are images in no class folder: move each into the ' \
        'folder of its class.' if list_images(parent) else ''
    return FileNotFoundError(
        f'{published.title}: {len(folders)} of {published.classes} class '
        f'folders are {problem} in {parent}: {first}'
        + (', ...' if len(folders) > 5 else '')
        + f'.{hint} They come from {source.origin}.')
