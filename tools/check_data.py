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
from typing import Dict, List, Tuple

from mmcoop.catalog import CATALOG, SPLITS, PublishedSet
from mmcoop.errors import add_debug, run_tool

# what imports torch is imported in functions: --help answers at once
CHUNK_SIZE = 1000  # images per step of the progress bar


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
    add_debug(parser)
    args = parser.parse_args()
    args.data_root = os.path.expanduser(args.data_root)
    if not os.path.isdir(args.data_root):
        parser.error(f'there is no folder {args.data_root}')
    return args


@dataclass
class Report:
    """The result of checking one data set; it is ready without problems.

    Args:
        published: The data set.
        has_folder: Whether its folder exists.
        cells: Table cells, by ``classes`` or split.
        split: The kind of split: ``published``, or ``by rule`` and ``cut``.
        missing: Missing files and folders, with their downloads.
        problems: Error messages.
    """
    published: PublishedSet
    has_folder: bool
    cells: Dict[str, str] = field(default_factory=dict)
    split: str = ''
    missing: str = ''
    problems: List[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The state as the table shows it."""
        if not self.has_folder:
            return 'no folder'
        if self.missing:
            return 'incomplete'
        return 'not ready' if self.problems else 'ready'

    def add_split(self, split: str, sizes: List[Tuple[str, int, int]],
                  by_rule: bool) -> None:
        """Add a split's numbers of classes and images.

        Args:
            split: The split.
            sizes: The return value of ``compare_sizes``.
            by_rule: Whether the split was made by rule.
        """
        kinds = {'by rule'} if by_rule else set()
        kinds |= {'cut'} & set(self.split.split(', '))
        for what, count, expected in sizes:
            key = split if split in what else what
            self.cells[key] = str(count)
            if count != expected:
                self.cells[key] += f' of {expected}'
                kinds.add('cut')
        self.split = ', '.join(sorted(kinds)) or 'published'

    def row(self) -> List[str]:
        """Return the data set's row of the table."""
        return [self.published.name, self.state,
                *(self.cells.get(key, '-') for key in ('classes', *SPLITS)),
                self.split or '-']


def check_dataset(published: PublishedSet, data_root: str,
                  with_images: bool) -> Report:
    """Read the lists of a data set, and its images if ``with_images``."""
    from mmcoop.datasets import coop_dataset as checks
    report = Report(published, os.path.isdir(
        os.path.join(data_root, published.folder)))
    missing = checks.find_missing_sources(published, data_root)
    if missing:
        report.missing = checks.describe_sources(published, data_root, missing)
    if not report.has_folder:
        return report
    lists = None
    for split in published.sizes:
        if checks.find_missing_sources(published, data_root, (split, )):
            continue
        try:
            if published.name == 'imagenet' and split == 'train' \
                    and not with_images:
                checks.check_class_folders(published, data_root, split)
                report.cells['classes'] = str(published.classes)
                report.cells[split] = f'{published.classes} folders'
                continue
            if lists is None or split not in lists.items:
                lists = checks.read_published(published, data_root, split)
            report.add_split(
                split, checks.compare_sizes(published, lists, split),
                lists.by_rule)
            if with_images:
                images = os.path.join(data_root, published.folder,
                                      published.images)
                decode_images(report, split, [
                    os.path.join(images, path)
                    for path, _ in lists.items[split]])
        except (OSError, ValueError) as error:
            report.problems.append(f'{split}: {error}')
    return report


def decode_images(report: Report, split: str, paths: List[str]) -> None:
    """Decode all images of a split, and report those that cannot be read."""
    from mmengine.utils import ProgressBar

    from mmcoop.datasets.images import check_images
    print(f'{report.published.title}, {split}:', file=sys.stderr)
    bar = ProgressBar(len(paths), file=sys.stderr)
    good = set()
    logging.disable(logging.WARNING)  # the report summarises them
    for start in range(0, len(paths), CHUNK_SIZE):
        chunk = [dict(img_path=path)
                 for path in paths[start:start + CHUNK_SIZE]]
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


def print_reports(reports: List[Report]) -> None:
    """Print the table, the problems, and what is missing."""
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
            split_file = report.published.split_file
            print(f'{report.published.title}: the published split is '
                  f'{split_file.path}\n      from {split_file.origin}')
    for report in reports:
        if report.problems:
            print(f'\n{report.published.title} is not ready:')
            print('\n'.join(f'  {problem}' for problem in report.problems))
    missing = [report for report in reports if report.missing]
    if missing:
        print('\nMissing, and where it comes from:')
    for report in missing:
        print(f'{report.published.title} ({report.published.name})\n'
              f'{report.missing}')


def main() -> int:
    args = parse_args()
    names = args.datasets or list(CATALOG)
    reports = [check_dataset(CATALOG[name], args.data_root, args.images)
               for name in names]
    print_reports(reports)
    asked = [report for report in reports
             if args.datasets or report.has_folder]
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
    run_tool(main)
