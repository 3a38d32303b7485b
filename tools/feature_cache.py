"""Show or clear the cache of image features: python tools/feature_cache.py.

The cache is the folder $MMCOOP_CACHE or ~/.cache/mmcoop. It only saves time:
features that were cleared are computed again when they are needed. Above
$MMCOOP_CACHE_LIMIT GiB (20; 0: any size) those that were used least recently
are removed by the next run that adds some.
"""
import argparse
import time
from pathlib import Path
from typing import List

from mmcoop.errors import run_tool
from mmcoop.features.store import (StoreInfo, clear_store, get_cache_folder,
                                   list_stores)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--clear',
        nargs='?',
        const='all',
        metavar='KEY',
        help='remove all features, or those of one key as it is shown')
    parser.add_argument(
        '--folder', type=Path, help='another cache folder than the default')
    return parser.parse_args()


def print_stores(root: Path, stores: List[StoreInfo]) -> None:
    """Print a table with a row for each tower and pipeline."""
    rows = [('key', 'tower', 'pipeline', 'features', 'MB', 'last used')] + [
        (store.folder.name, store.tower, store.pipeline,
         str(store.num_features), f'{store.size / 1e6:.1f}',
         time.strftime('%Y-%m-%d %H:%M', time.localtime(store.last_used)))
        for store in stores
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(
            cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(f'{sum(store.size for store in stores) / 1e6:.1f} MB in '
          f'{root / "features"}')


def clear_stores(stores: List[StoreInfo]) -> None:
    """Remove stores, and print which files were left."""
    for store in stores:
        others = clear_store(store.folder)
        print(f'cleared {store.folder.name}: {store.num_features} features of '
              f'{store.tower}, {store.size / 1e6:.1f} MB')
        for path in others:
            print(f'left, for it is not the cache\'s: {path}')


def main() -> None:
    args = parse_args()
    root = (args.folder or get_cache_folder()).expanduser()
    stores = list_stores(root)
    if args.clear not in (None, 'all'):
        known = ', '.join(store.folder.name for store in stores)
        stores = [s for s in stores if s.folder.name == args.clear]
        if not stores:
            raise SystemExit(f'there is no {args.clear} in '
                             f'{root / "features"} (there is: '
                             f'{known or "nothing"})')
    if not stores:
        print(f'no features in {root / "features"}')
    elif args.clear:
        clear_stores(stores)
    else:
        print_stores(root, stores)


if __name__ == '__main__':
    run_tool(main)
