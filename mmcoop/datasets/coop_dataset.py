"""The published data sets, from a data root in the published layout."""
import logging
import os
from functools import lru_cache
from pathlib import PurePath
from typing import Dict, List, Optional, Sequence, Tuple

from mmengine.logging import MMLogger, print_log

from ..catalog import LAYOUT_URL, SPLITS, VARIANTS, PublishedSet, Source, find
from ..registry import DATASETS
from .imagenet import check_class_folders, load_wordnet_ids, read_class_folders
from .raw_splits import describe_rule, split_by_rule
from .split_file import ImageLists, ListedDataset, parse_lines, read_split_file


@DATASETS.register_module()
class CoOpDataset(ListedDataset):
    """A data set of CoOp's experiments, with its class names and splits.

    ``data_root`` is a folder in the published layout (see the file DATASETS.md
    of https://github.com/KaiyangZhou/CoOp); nothing is written into it. A
    warning is logged if the numbers of classes or images are not the published
    ones, or if a split file is missing and the split is made by the published
    rule instead.

    ImageNet's published test split is its val folder. No validation split is
    published: ``split='val'`` gives the training list, from which
    :class:`FewShotDataset` draws images that training does not use. ImageNet
    has no split file, and the published draw depended on the order of a
    directory listing; here images are sorted by class and file name.

    Args:
        name: A name in :data:`mmcoop.datasets.CATALOG`, such as ``eurosat``.
        split: ``train``, ``val`` or ``test``. The four variants of ImageNet
            have ``test`` only.
        data_root: The folder that contains the data sets' folders.
        ann_file: Refused, as is ``class_names``: :class:`FolderDataset` has
            them.
        **kwargs: ``unreadable`` and ``class_subset`` of
            :class:`ListedDataset`, and arguments of mmpretrain's
            ``BaseDataset`` such as ``pipeline``.

    Raises:
        FileNotFoundError: If files or folders are missing. The message lists
            all of them with their expected paths and their download pages.
        ValueError: If the name or split is unknown, or if a file has another
            content than expected.
    """

    def __init__(self,
                 name: str,
                 split: str,
                 data_root: str = 'data',
                 ann_file: str = '',
                 class_names: Optional[str] = None,
                 **kwargs) -> None:
        if ann_file or class_names:
            raise ValueError(
                'ann_file and class_names belong to your own photos '
                f'(dataset=folder); the lists and names of {name} are '
                'published.')
        self.published = find(name)
        check_split(self.published, split)
        super().__init__(
            split=split,
            ann_file='',
            data_root=os.path.expanduser(data_root),
            data_prefix=os.path.join(self.published.folder,
                                     self.published.images),
            **kwargs)

    def read_lists(self) -> ImageLists:
        published = self.published
        lists = read_published(published, self.data_root, self.split)
        folder = os.path.abspath(
            os.path.join(self.data_root, published.folder))
        remarks, state = [], 'published'
        if lists.by_rule:
            state = 'made by rule'
            remarks.append(
                f'{published.split_file.path} is missing (it comes from '
                f'{published.split_file.origin}), so the split is made by the '
                f'published rule: {describe_rule(published)}. It is not the '
                'published split, whose random draw depended on a directory '
                'listing.')
        differing = [
            f'{count} {what} (published: {expected})' for what, count, expected
            in compare_sizes(published, lists, self.split) if count != expected
        ]
        if differing:
            state = state if lists.by_rule else 'other sizes'
            remarks.append(f'There are {" and ".join(differing)}.')
        if remarks:
            _warn_once(
                MMLogger.get_current_instance().instance_name,
                f'{published.title} in {folder}: {" ".join(remarks)} Results '
                'are not comparable with published ones.')
        self._metainfo.update(dataset=published.name, lists=state)
        if published.by_class_folders:  # two pairs of classes have one name
            variant = published.name in ('imagenet_a', 'imagenet_r')
            self._metainfo['class_ids'] = load_wordnet_ids(
                published.name if variant else 'imagenet')
        return lists

    def extra_repr(self) -> List[str]:
        return [f'Data set: \t{self.published.title}',
                f'Split: \t{self.split}']


def read_published(published: PublishedSet, data_root: str,
                   split: str) -> ImageLists:
    """Read the image lists of a published data set.

    Args:
        published: The data set.
        data_root: The folder that contains the data set's folder.
        split: A split of the data set; ``val`` of ImageNet is ``train``.

    Returns:
        The list of ``split``, and other splits if the same file holds them.

    Raises:
        FileNotFoundError: If files or folders are missing. The message lists
            all of them.
        ValueError: If a file has another content than expected.
    """
    check_published(published, data_root, split)
    folder = os.path.join(data_root, published.folder)
    if published.by_class_folders:
        return read_class_folders(published, data_root, split)
    if published.split_file is None:
        return _read_aircraft(folder, split)
    path = os.path.join(folder, published.split_file.path)
    if os.path.isfile(path):
        return read_split_file(path)
    return split_by_rule(published, folder)


def check_split(published: PublishedSet, split: str) -> None:
    """Raise ValueError for ``train`` or ``val`` of a variant of ImageNet."""
    if split in SPLITS and published.name in VARIANTS and split != 'test':
        raise ValueError(f'{published.title} has a test split only, and '
                         f'split={split!r} is asked for.')


def check_published(published: PublishedSet, data_root: str,
                    split: str) -> None:
    """Check that a split's files and folders exist, without listing images.

    Raises:
        FileNotFoundError: If some are missing. The message lists all of them.
        ValueError: If the data set has no such split.
    """
    check_split(published, split)
    missing = find_missing_sources(published, data_root, (split, ))
    if missing:
        raise FileNotFoundError(
            f'{published.title}: these are missing:\n'
            f'{describe_sources(published, data_root, missing)}\n'
            f'Put them there ({LAYOUT_URL} shows the layout), or set '
            f'data_root, which is {data_root!r} now.')
    if published.by_class_folders:
        check_class_folders(published, data_root, split)


def compare_sizes(published: PublishedSet, lists: ImageLists,
                  split: str) -> List[Tuple[str, int, int]]:
    """Compare the numbers of classes and images with the published ones.

    Returns:
        (``classes`` or ``<split> images``, number in the lists, published
        number) for both.
    """
    expected = published.sizes.get(split, published.sizes.get('train'))
    return [('classes', len(lists.classes), published.classes),
            (f'{split} images', len(lists.items[split]), expected)]


def find_missing_sources(published: PublishedSet,
                         data_root: str,
                         splits: Sequence[str] = SPLITS) -> List[Source]:
    """Return the files and folders that some splits need and that are missing.

    The split file is not among them if a split by rule is possible.
    """
    folder = os.path.join(data_root, published.folder)
    missing = [source for source in published.sources
               if set(source.splits) & set(splits)
               and not _exists(folder, source)]
    split_file = published.split_file
    if split_file and not _exists(folder, split_file) and (missing or not all(
            _exists(folder, source) for source in published.rule_sources)):
        missing.append(split_file)
    return missing


def describe_sources(published: PublishedSet, data_root: str,
                     sources: Sequence[Source]) -> str:
    """Return indented lines with the path and the download of each source."""
    folder = os.path.abspath(os.path.join(data_root, published.folder))
    paths: Dict[str, List[str]] = {}  # an archive may hold several files
    for source in sources:
        paths.setdefault(source.origin, []).append(
            f'  {os.path.join(folder, source.path)}')
    lines = []
    for origin in paths:
        lines += [*paths[origin], f'      from {origin}']
    if published.split_file in sources:
        others = ', '.join(source.path for source in published.rule_sources)
        lines.append('      (without it a split is made by rule'
                     + (f' if these are there: {others})' if others else ')'))
    return '\n'.join(lines)


def _read_aircraft(folder: str, split: str) -> ImageLists:
    names = parse_lines(os.path.join(folder, 'variants.txt'), str)
    labels = {name: label for label, name in enumerate(names)}

    def parse(line: str) -> Tuple[str, int]:
        stem, name = line.split(' ', maxsplit=1)  # "0034309 Boeing 707-320"
        return f'{stem}.jpg', labels[name]

    path = os.path.join(folder, f'images_variant_{split}.txt')
    return ImageLists(tuple(names), {split: parse_lines(path, parse)})


def _exists(folder: str, source: Source) -> bool:
    exists = os.path.isfile if PurePath(source.path).suffix else os.path.isdir
    return exists(os.path.join(folder, source.path))


@lru_cache(maxsize=None)
def _warn_once(logger: str, message: str) -> None:
    """Warn once per log: a run builds the same data set several times."""
    print_log(message, 'current', logging.WARNING)
