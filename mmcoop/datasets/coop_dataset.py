"""The published data sets, from a data root in the published layout."""
import importlib.util
import logging
import os
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Dict, List, Sequence, Tuple

from mmengine.logging import MMLogger, print_log
from mmpretrain.datasets.categories import IMAGENET_SIMPLE_CATEGORIES

from ..catalog import LAYOUT_URL, SPLITS, VARIANTS, PublishedSet, Source, find
from ..registry import DATASETS
from .raw_splits import rule_of, split_by_rule
from .split_file import (ListedDataset, Lists, image_names, make_lists,
                         read_lines, read_split_file)


@DATASETS.register_module()
class CoOpDataset(ListedDataset):
    """A data set of CoOp's experiments, with its class names and splits.

    ``data_root`` is a folder in the published layout (see the file DATASETS.md
    of https://github.com/KaiyangZhou/CoOp); nothing is written into it. If the
    numbers of classes or images are not the published ones, or if a split file
    is missing and the split is made by the published rules instead, a warning
    says so.

    ImageNet's published test split is its val folder, and nothing is published
    for validation: ``split='val'`` gives the training list once more, and
    :class:`FewShotDataset` holds images out of it. It has no split file, and
    the published draw depended on the order of a directory listing; here the
    images are sorted by class and file name.

    Args:
        name: A name in :data:`mmcoop.datasets.CATALOG`, such as ``eurosat``.
        split: ``train``, ``val`` or ``test``; the four variants of ImageNet
            have ``test`` only.
        data_root: The folder above the data sets' folders.
        unreadable: See :class:`ListedDataset`.
        **kwargs: ``pipeline`` and others of mmpretrain's ``BaseDataset``.

    Raises:
        FileNotFoundError: Something is missing; the message lists all of it,
            with where it is expected and where it comes from.
        ValueError: An unknown name or split, or a file that is not as it
            should be.
    """

    def __init__(self,
                 name: str,
                 split: str,
                 data_root: str = 'data',
                 unreadable: str = 'stop',
                 **kwargs) -> None:
        self.published = find(name)
        check_split(self.published, split)
        super().__init__(
            split=split,
            unreadable=unreadable,
            ann_file='',
            data_root=os.path.expanduser(data_root),
            data_prefix=os.path.join(self.published.folder,
                                     self.published.images),
            **kwargs)

    def read_lists(self) -> Lists:
        known = self.published
        lists = read_published(known, self.data_root, self.split)
        folder = os.path.abspath(os.path.join(self.data_root, known.folder))
        remarks, state = [], 'published'
        if lists.by_rule:
            state = 'made by rule'
            remarks.append(
                f'{known.split_file.path} is missing (it comes from '
                f'{known.split_file.origin}), so the split is made by the '
                f'published rule: {rule_of(known)}. It is not the published '
                'split, whose random draw depended on a directory listing.')
        differing = [
            f'{found} {what} (published: {expected})'
            for what, found, expected in counts(known, lists, self.split)
            if found != expected
        ]
        if differing:
            state = state if lists.by_rule else 'other sizes'
            remarks.append(f'There are {" and ".join(differing)}.')
        if remarks:
            _warn_once(
                MMLogger.get_current_instance().instance_name,
                f'{known.title} in {folder}: {" ".join(remarks)} Results are '
                'not comparable with published ones.')
        self._metainfo.update(dataset=known.name, lists=state)
        return lists

    def extra_repr(self) -> List[str]:
        return [f'Data set: \t{self.published.title}',
                f'Split: \t{self.split}']


def read_published(known: PublishedSet, data_root: str, split: str) -> Lists:
    """The lists of one split at least; of all where one file holds them.

    Args:
        known: The data set.
        data_root: The folder above its folder.
        split: One that it has; for ImageNet, ``val`` is ``train``.

    Raises:
        FileNotFoundError: Something is missing; the message lists it all.
        ValueError: A file is not as it should be.
    """
    check_published(known, data_root, split)
    folder = os.path.join(data_root, known.folder)
    if known.split_file is None:
        if known.by_class_folders:
            return _read_class_folders(known, data_root, split)
        return _read_aircraft(folder, split)
    path = os.path.join(folder, known.split_file.path)
    if os.path.isfile(path):
        return read_split_file(path)
    return split_by_rule(known, folder)


def check_split(known: PublishedSet, split: str) -> None:
    """Raises ValueError for a split that a variant of ImageNet has not."""
    if split in SPLITS and known.name in VARIANTS and split != 'test':
        raise ValueError(f'{known.title} has a test split only, and '
                         f'split={split!r} is asked for.')


def check_published(known: PublishedSet, data_root: str, split: str) -> None:
    """Look whether all is there, without listing images.

    Raises:
        FileNotFoundError: Something is missing; the message lists it all.
        ValueError: There is no such split.
    """
    check_split(known, split)
    gone = missing_sources(known, data_root, (split, ))
    if gone:
        raise FileNotFoundError(
            f'{known.title}: these are missing:\n'
            f'{describe(known, data_root, gone)}\n'
            f'Put them there ({LAYOUT_URL} shows the layout), or set '
            f'data_root, which is {data_root!r} now.')
    if known.by_class_folders:
        check_class_folders(known, data_root, split)


def counts(known: PublishedSet, lists: Lists,
           split: str) -> List[Tuple[str, int, int]]:
    """(what is counted, its number here, the published number) of a split."""
    published = known.sizes.get(split, known.sizes.get('train'))
    return [('classes', len(lists.classes), known.classes),
            (f'{split} images', len(lists.items[split]), published)]


def missing_sources(known: PublishedSet,
                    data_root: str,
                    splits: Sequence[str] = SPLITS) -> List[Source]:
    """What some splits need and is not there.

    A split file is only missing if a split by rule is not possible either.
    """
    folder = os.path.join(data_root, known.folder)
    gone = [source for source in known.needs
            if set(source.splits) & set(splits)
            and not _is_there(folder, source)]
    if known.split_file and not _is_there(folder, known.split_file):
        if gone or not all(_is_there(folder, source)
                           for source in known.rule_needs):
            gone.append(known.split_file)
    return gone


def describe(known: PublishedSet, data_root: str,
             sources: Sequence[Source]) -> str:
    """Indented lines: the place of each source, and where it comes from."""
    folder = os.path.abspath(os.path.join(data_root, known.folder))
    places: Dict[str, List[str]] = {}  # archives hold several files
    for source in sources:
        places.setdefault(source.origin, []).append(
            f'  {os.path.join(folder, source.path)}')
    lines = []
    for origin, paths in places.items():
        lines += [*paths, f'      from {origin}']
    if known.split_file in sources:
        others = ', '.join(source.path for source in known.rule_needs)
        lines.append('      (without it a split is made by rule'
                     + (f' if these are there: {others})' if others else ')'))
    return '\n'.join(lines)


def class_folders(known: PublishedSet, split: str) -> List[Tuple[str, str]]:
    """(folder below the image folder, class name) of every label.

    For ImageNet and its variants, whose folders are WordNet ids or, in V2,
    labels.
    """
    wnids = wordnet_ids('imagenet')
    names: Dict[str, str] = dict(zip(wnids, IMAGENET_SIMPLE_CATEGORIES))
    if known.name == 'imagenetv2':
        return [(str(label), names[wnid]) for label, wnid in enumerate(wnids)]
    if known.name in ('imagenet_a', 'imagenet_r'):
        wnids = wordnet_ids(known.name)
    above = ''
    if known.name == 'imagenet':
        above = 'val/' if split == 'test' else 'train/'
    return [(f'{above}{wnid}', names[wnid]) for wnid in wnids]


@lru_cache(maxsize=None)
def wordnet_ids(name: str) -> Tuple[str, ...]:
    """The classes of ``imagenet``, ``imagenet_a`` or ``imagenet_r``, sorted.

    The rank in this list is the label. The lists are those that timm carries,
    which open_clip requires.
    """
    timm = importlib.util.find_spec('timm')  # importing it takes seconds
    path = Path(timm.origin).with_name('data') / f'_info/{name}_synsets.txt'
    return tuple(sorted(path.read_text().split()))


def check_class_folders(known: PublishedSet, data_root: str,
                        split: str) -> None:
    """Look whether every class has its folder, without listing images.

    Raises:
        FileNotFoundError: Some have not.
    """
    images = os.path.join(data_root, known.folder, known.images)
    folders = [folder for folder, _ in class_folders(known, split)]
    gone = [folder for folder in folders
            if not os.path.isdir(os.path.join(images, folder))]
    if gone:
        raise _no_folders(known, images, split, gone, 'missing')


def _read_class_folders(known: PublishedSet, data_root: str,
                        split: str) -> Lists:
    images = os.path.join(data_root, known.folder, known.images)
    triples, empty = [], []
    for label, (folder, name) in enumerate(class_folders(known, split)):
        files = image_names(os.path.join(images, folder))
        empty += [] if files else [folder]
        triples += [(f'{folder}/{file}', label, name) for file in files]
    if empty:
        raise _no_folders(known, images, split, empty, 'without images')
    return make_lists({split: triples}, images)


def _no_folders(known: PublishedSet, images: str, split: str,
                folders: List[str], what: str) -> FileNotFoundError:
    source, = (s for s in known.needs if split in s.splits)
    place = os.path.abspath(os.path.join(images, os.path.dirname(folders[0])))
    first = ', '.join(PurePath(folder).name for folder in folders[:5])
    hint = ' There are images in no class folder: move each into the ' \
        'folder of its class.' if image_names(place) else ''
    return FileNotFoundError(
        f'{known.title}: {len(folders)} of {known.classes} class folders are '
        f'{what} in {place}: {first}' + (', ...' if len(folders) > 5 else '')
        + f'.{hint} They come from {source.origin}.')


def _read_aircraft(folder: str, split: str) -> Lists:
    names = read_lines(os.path.join(folder, 'variants.txt'), str)
    labels = {name: label for label, name in enumerate(names)}

    def parse(line: str) -> Tuple[str, int]:
        stem, name = line.split(' ', maxsplit=1)  # "0034309 Boeing 707-320"
        return f'{stem}.jpg', labels[name]

    path = os.path.join(folder, f'images_variant_{split}.txt')
    return Lists(tuple(names), {split: read_lines(path, parse)})


def _is_there(folder: str, source: Source) -> bool:
    is_kind = os.path.isfile if PurePath(source.path).suffix else os.path.isdir
    return is_kind(os.path.join(folder, source.path))


@lru_cache(maxsize=None)
def _warn_once(logger: str, message: str) -> None:
    """Once for each log: a run builds the same data set several times."""
    print_log(message, 'current', logging.WARNING)
