"""How large the feature cache may grow."""
import logging
import os
import time
from pathlib import Path
from typing import Iterable, Optional

from .store import PART, warn

VARIABLE = 'MMCOOP_CACHE_LIMIT'
DEFAULT = 20.  # GiB
IN_USE = 3600.  # seconds since a run read or wrote a part


def get_cache_limit() -> Optional[float]:
    """Bytes that ``$MMCOOP_CACHE_LIMIT`` allows, in GiB; 20 by default.

    Returns:
        None if it is 0: no limit.

    Raises:
        ValueError: It is no number of at least 0.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.
    if not 0 <= limit < float('inf'):
        raise ValueError(f'{VARIABLE}={text}: give the GiB that the feature '
                         'cache may take, or 0 for any size.')
    return limit * 2**30 or None


def limit_cache(root: Path, keep: Iterable[Path] = ()) -> int:
    """Remove the parts that were used least recently, down to the limit.

    Parts that this run uses, and those that any run has used within the last
    hour, are kept, with a warning if they alone are above the limit.

    Args:
        root: The cache folder.
        keep: Parts that this run uses.

    Returns:
        Bytes that were removed.
    """
    limit = get_cache_limit()
    if limit is None:
        return 0
    parts = []
    for path in (root / 'features').glob(f'*/{PART}'):
        try:
            stat = path.stat()
        except OSError:  # another process removed it
            continue
        parts.append((stat.st_mtime, stat.st_size, path))
    size, removed = sum(part[1] for part in parts), 0
    kept, now = set(keep), time.time()
    for used, bytes_, path in sorted(parts):
        if size - removed <= limit:
            break
        if path in kept or now - used < IN_USE:
            continue
        try:
            path.unlink()
        except OSError:
            continue
        removed += bytes_
    if size - removed > limit:
        warn(f'the feature cache {root} takes {(size - removed) / 2**30:.1f} '
             f'GiB, above the limit of {limit / 2**30:g} GiB, and runs use '
             f'all of it: raise {VARIABLE}.')
    if removed:
        from mmengine.logging import print_log
        print_log(f'Feature cache: {removed / 2**30:.2f} GiB that were used '
                  f'least recently were removed ({VARIABLE}='
                  f'{limit / 2**30:g} GiB).', 'current', logging.INFO)
    return removed
