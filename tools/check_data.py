"""Show which data sets a data root has: python tools/check_data.py DATA_ROOT.

A row for each published data set: ready or not, its classes K, its images
(where they are not as many as published, "N of PUBLISHED"), and its split:

    published   as many classes and images as published
    by rule     made from the raw archive, for want of the split file
    cut         other numbers of classes or images than published

Of ImageNet's training images, the class folders are counted only.

Exit status: 0 if all the data sets asked for are ready, else 1. Without
--datasets, those are asked for whose folder is there; it is an error if there
is none.
"""
import argparse
import logging
import os
import sys
from dataclasses import dataclass, field
from typing import Dict, List

from mmengine.utils import ProgressBar

from mmcoop.catalog import CATALOG, SPLITS, PublishedSet
from mmcoop.datasets.coop_dataset import (check_class_folders, counts,
                                          describe, missing_sources,
                                          read_published)
from mmcoop.datasets.images import check_images
from mmcoop.datasets.split_file import Lists

CHUNK = 1000  # images between two steps of the progress bar


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data_root', help='folder in the published layout')
    parser.add_argument(
        '--datasets',
        nargs='+',
        choices=list(CATALOG),
        metavar='NAME',
        help=f'look at these alone: {", ".join(CATALOG)}')
    parser.add_argument(
        '--images',
        action='store_true',
        help='look at every image file as well; that takes its time')
    args = parser.parse_args()
    args.data_root = os.path.expanduser(args.data_root)
    if not os.path.isdir(args.data_root):
        parser.error(f'there is no folder {args.data_root}')
    return args


@dataclass
class Report:
    """What was found of one data set; without problems it is ready."""
    known: PublishedSet
    is_there: bool
    cells: Dict[str, str] = field(default_factory=dict)
    split: str = ''
    missing: str = ''
    problems: List[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        if not self.is_there:
            return 'no folder'
        if self.missing:
            return 'incomplete'
        return 'not ready' if self.problems else 'ready'

    def row(self) -> List[str]:
        return [self.known.name, self.state,
                *(self.cells.get(key, '-') for key in ('classes', *SPLITS)),
                self.split or '-']


def look(known: PublishedSet, data_root: str, with_images: bool) -> Report:
    """Read the lists of a data set, and look at its images if asked to."""
    folder = os.path.join(data_root, known.folder)
    report = Report(known, os.path.isdir(folder))
    gone = missing_sources(known, data_root)
    if gone:
        report.missing = describe(known, data_root, gone)
    if not report.is_there:
        return report
    lists = None
    for split in known.sizes:
        if missing_sources(known, data_root, (split, )):
            continue
        try:
            if known.name == 'imagenet' and split == 'train' \
                    and not with_images:
                check_class_folders(known, data_root, split)
                report.cells['classes'] = str(known.classes)
                report.cells[split] = f'{known.classes} folders'
                continue
            if lists is None or split not in lists.items:
                lists = read_published(known, data_root, split)
            count(report, lists, split)
            if with_images:
                look_at_images(report, folder, lists, split)
        except (OSError, ValueError) as error:
            report.problems.append(f'{split}: {error}')
    return report


def count(report: Report, lists: Lists, split: str) -> None:
    """Put a split's numbers beside the published ones."""
    kinds = {'by rule'} if lists.by_rule else set()
    kinds |= {'cut'} & set(report.split.split(', '))
    for what, found, published in counts(report.known, lists, split):
        key = split if split in what else what
        report.cells[key] = str(found)
        if found != published:
            report.cells[key] += f' of {published}'
            kinds.add('cut')
    report.split = ', '.join(sorted(kinds)) or 'published'


def look_at_images(report: Report, folder: str, lists: Lists,
                   split: str) -> None:
    """Decode every image of a split, and say which ones are no good."""
    images = os.path.join(folder, report.known.images)
    paths = [os.path.join(images, path) for path, _ in lists.items[split]]
    print(f'{report.known.title}, {split}:', file=sys.stderr)
    bar = ProgressBar(len(paths), file=sys.stderr)
    good = set()
    logging.disable(logging.WARNING)  # it is said below, for all of them
    for start in range(0, len(paths), CHUNK):
        chunk = [dict(img_path=path) for path in paths[start:start + CHUNK]]
        good.update(info['img_path'] for info in check_images(chunk, 'skip'))
        bar.update(len(chunk))
    logging.disable(logging.NOTSET)
    print(file=sys.stderr)
    bad = [path for path in paths if path not in good]
    if bad:
        n_gone = sum(not os.path.exists(path) for path in bad)
        report.problems.append(
            f'{split}: {n_gone} of {len(paths)} images are missing and '
            f'{len(bad) - n_gone} cannot be read: {", ".join(bad[:3])}'
            + (', ...' if len(bad) > 3 else ''))


def show(reports: List[Report]) -> None:
    """Print the table, then what is wrong, then what is missing."""
    rows = [['data set', 'state', 'K', *SPLITS, 'split']]
    rows += [report.row() for report in reports]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(
            cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    if any(report.split not in ('', 'published') for report in reports):
        print('\nResults on a split that is cut or made by rule are not '
              'comparable with published ones.')
    for report in reports:
        if 'by rule' in report.split:
            split_file = report.known.split_file
            print(f'{report.known.title}: the published split is '
                  f'{split_file.path}\n      from {split_file.origin}')
    for report in reports:
        if report.problems:
            print(f'\n{report.known.title} is not ready:')
            print('\n'.join(f'  {problem}' for problem in report.problems))
    missing = [report for report in reports if report.missing]
    if missing:
        print('\nMissing, and where it comes from:')
    for report in missing:
        print(f'{report.known.title} ({report.known.name})\n{report.missing}')


def main() -> int:
    args = parse_args()
    names = args.datasets or list(CATALOG)
    reports = [look(CATALOG[name], args.data_root, args.images)
               for name in names]
    show(reports)
    asked = [report for report in reports
             if args.datasets or report.is_there]
    if not asked:
        print(f'\n{os.path.abspath(args.data_root)} has none of these '
              'folders: is it the data root?', file=sys.stderr)
        return 1
    n_ready = sum(report.state == 'ready' for report in asked)
    print(f'\n{n_ready} of {len(asked)} data sets '
          + ('asked for' if args.datasets else 'that have a folder')
          + ' are ready.')
    return 0 if n_ready == len(asked) else 1


if __name__ == '__main__':
    sys.exit(main())
