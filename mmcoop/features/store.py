"""Features on disk, which any number of processes can share.

``<cache>/features/<key>/`` holds the features of one tower and pipeline:
``meta.json`` (a description, whose date is that of the last use) and parts,
each with ``keys`` (n, 32) uint8 and ``features`` (n, E) fp32. A part is
written under another name and renamed, then never changed. Two processes may
write the same features; both parts are correct.
"""
from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
import uuid
from pathlib import Path
from typing import (TYPE_CHECKING, Dict, Iterator, List, NamedTuple, Sequence,
                    Tuple)

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..files import remove_leftovers, replacing

if TYPE_CHECKING:  # importing it takes a second: tools/feature_cache.py
    import torch

META = 'meta.json'
PART = 'part-*.safetensors'
OWN_FILES = re.compile(r'part-[0-9a-f]{32}\.safetensors'
                       r'|\.[\w.-]*[0-9a-f]{32}\.tmp|meta\.json')
OWN_FOLDERS = re.compile(r'[0-9a-f]{20}')


def get_cache_folder() -> Path:
    """Return ``$MMCOOP_CACHE`` or ``~/.cache/mmcoop``."""
    folder = os.environ.get('MMCOOP_CACHE') or '~/.cache/mmcoop'
    return Path(folder).expanduser()


class FeatureStore:
    """The features of one tower and pipeline.

    Args:
        folder: The store's folder, which is created. If it cannot be written
            to, a warning is logged once and the store is only read.
        meta: The content of ``meta.json``.
    """

    def __init__(self, folder: Path, meta: dict) -> None:
        self.folder = folder
        self.writable = True
        self.used = []  # parts that were read or written
        try:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            if not (folder / META).exists():
                text = json.dumps(
                    dict(meta, made=time.strftime('%Y-%m-%d')), indent=1)
                self._write_file(META, text.encode())
            os.utime(folder / META)
        except OSError as error:
            self._stop_writing(error)

    def read(self, keys: Sequence[bytes]
             ) -> Iterator[Tuple[List[int], torch.Tensor]]:
        """Read the features of those ``keys`` that the store has.

        A part that cannot be read is left out with a warning.

        Yields:
            Positions in ``keys`` and their features (n, E).
        """
        wanted = {}  # equal images have equal keys
        for i, key in enumerate(keys):
            wanted.setdefault(key, []).append(i)
        for path in sorted(self.folder.glob(PART)):
            if not wanted:
                return
            try:
                positions, features = _read_part(path, wanted)
            except FileNotFoundError:  # cleared by another process
                continue
            except (OSError, SafetensorError, ValueError) as error:
                warn(f'{path} cannot be read and is left out; remove it. '
                     f'[{error}]')
                continue
            if positions:
                self.used.append(path)
                with contextlib.suppress(OSError):
                    os.utime(path)  # see limit_cache
                yield positions, features

    def write(self, keys: Sequence[bytes], features: torch.Tensor) -> None:
        """Add a part.

        Args:
            keys: n keys of 32 bytes.
            features: (n, E), fp32, on the CPU.
        """
        if not self.writable or not keys:
            return
        raw = np.frombuffer(b''.join(keys), np.uint8).reshape(len(keys), 32)
        part = save(dict(keys=raw, features=features.numpy()))
        name = f'part-{uuid.uuid4().hex}.safetensors'
        try:
            self._write_file(name, part)
            self.used.append(self.folder / name)
        except OSError as error:
            self._stop_writing(error)

    def _write_file(self, name: str, content: bytes) -> None:
        with replacing(self.folder / name) as temporary:
            temporary.write_bytes(content)

    def _stop_writing(self, error: OSError) -> None:
        self.writable = False
        warn(f'the feature cache {self.folder} cannot be written to '
             f'[{error}]: new features are kept for this run only. Set '
             'MMCOOP_CACHE to another folder to keep them.')


def _read_part(path: Path, wanted: Dict[bytes, List[int]]
               ) -> Tuple[List[int], torch.Tensor]:
    """Return positions and features of a part, and remove them from wanted.

    The file is memory-mapped: only the rows of wanted features are read.
    """
    with safe_open(path, 'pt') as part:
        keys, features = part.get_slice('keys'), part.get_slice('features')
        shape = features.get_shape()
        if keys.get_dtype() != 'U8' or features.get_dtype() != 'F32' or \
                len(shape) != 2 or keys.get_shape() != [shape[0], 32]:
            raise ValueError('it does not hold keys and features')
        raw = part.get_tensor('keys').numpy().tobytes()
        positions, rows = [], []
        for row in range(shape[0]):
            found = wanted.pop(raw[32 * row:32 * row + 32], [])
            positions += found
            rows += [row] * len(found)
        return positions, part.get_tensor('features')[rows]


def warn(message: str) -> None:
    """Log a warning."""
    from mmengine.logging import print_log  # imports torch
    print_log(message, 'current', logging.WARNING)


class StoreInfo(NamedTuple):
    """One store as :mod:`tools/feature_cache.py` shows it."""
    folder: Path
    tower: str
    pipeline: str
    num_features: int
    size: int  # bytes
    last_used: float  # seconds since 1970


def list_stores(root: Path) -> List[StoreInfo]:
    """Return all stores of a cache folder, the most recently used first."""
    folders = [path for path in (root / 'features').glob('*')
               if OWN_FOLDERS.fullmatch(path.name) and path.is_dir()]
    return sorted(map(_get_info, folders), key=lambda info: -info.last_used)


def _get_info(folder: Path) -> StoreInfo:
    try:
        meta = json.loads((folder / META).read_text())
        tower, pipeline = str(meta['tower_name']), str(meta['pipeline_short'])
    except (OSError, ValueError, KeyError, TypeError):
        tower = pipeline = '?'
    count = 0
    own = [path for path in folder.iterdir() if OWN_FILES.fullmatch(path.name)]
    for path in own:
        if path.suffix == '.safetensors':
            try:
                with safe_open(path, 'np') as part:
                    count += part.get_slice('keys').get_shape()[0]
            except (OSError, SafetensorError):
                pass  # a run that reads it warns
    stats = [path.stat() for path in own]
    return StoreInfo(folder, tower, pipeline, count,
                     sum(stat.st_size for stat in stats),
                     max((stat.st_mtime for stat in stats), default=0))


def clear_store(folder: Path) -> List[Path]:
    """Remove a store's own files, and its folder if it is empty then.

    Returns:
        Other files, which are left.
    """
    others = []
    for path in sorted(folder.iterdir()):
        if OWN_FILES.fullmatch(path.name) and not path.is_dir():
            path.unlink(missing_ok=True)
        else:
            others.append(path)
    if not others:
        folder.rmdir()
    return others
