"""Features on disk, shared by any number of processes.

``<cache>/features/<key>/`` holds the features of one tower and pipeline:
``meta.json`` (for people; its date is that of the last use) and parts, each
``keys`` (n, 32) uint8 and ``features`` (n, E) fp32. A part appears whole, by
renaming, and never changes. Two processes may write the same features: both
parts are right.
"""
import json
import logging
import os
import re
import time
import uuid
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

META = 'meta.json'
OWN_FILES = re.compile(r'part-[0-9a-f]{32}\.safetensors'
                       r'|\.[0-9a-f]{32}\.tmp|meta\.json')
OWN_FOLDERS = re.compile(r'[0-9a-f]{20}')


def cache_folder() -> Path:
    """``$MMCOOP_CACHE`` or ``~/.cache/mmcoop``."""
    folder = os.environ.get('MMCOOP_CACHE') or '~/.cache/mmcoop'
    return Path(folder).expanduser()


class FeatureStore:
    """The features of one tower and pipeline.

    Args:
        folder: Its folder; made if need be. One that cannot be written to is
            said once, and only read.
        meta: What to write into ``meta.json``.
    """

    def __init__(self, folder: Path, meta: dict) -> None:
        self.folder = folder
        self.writable = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / META).exists():
                text = json.dumps(
                    dict(meta, made=time.strftime('%Y-%m-%d')), indent=1)
                self._put(META, text.encode())
            os.utime(folder / META)
        except OSError as error:
            self._stop_writing(error)

    def read(self, keys: Sequence[bytes]
             ) -> Iterator[Tuple[List[int], torch.Tensor]]:
        """What is there of ``keys``.

        Yields:
            Positions in ``keys`` and their features, (n, E).
        """
        wanted = {}  # equal images have equal keys
        for i, key in enumerate(keys):
            wanted.setdefault(key, []).append(i)
        for path in sorted(self.folder.glob('part-*.safetensors')):
            if not wanted:
                return
            try:
                positions, features = _read_part(path, wanted)
            except FileNotFoundError:  # cleared meanwhile
                continue
            except (OSError, SafetensorError, ValueError) as error:
                print_log(
                    f'{path} cannot be read and is left out; remove it. '
                    f'[{error}]', 'current', logging.WARNING)
                continue
            if positions:
                yield positions, features

    def write(self, keys: Sequence[bytes], features: torch.Tensor) -> None:
        """Add a part: ``keys`` of 32 bytes, ``features`` (n, E)."""
        if not self.writable or not keys:
            return
        raw = torch.frombuffer(bytearray(b''.join(keys)), dtype=torch.uint8)
        part = save(dict(keys=raw.view(len(keys), 32), features=features))
        try:
            self._put(f'part-{uuid.uuid4().hex}.safetensors', part)
        except OSError as error:
            self._stop_writing(error)

    def _put(self, name: str, content: bytes) -> None:
        """A file that is there whole or not at all, whenever power fails."""
        temporary = self.folder / f'.{uuid.uuid4().hex}.tmp'
        try:
            with open(temporary, 'wb') as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)

    def _stop_writing(self, error: OSError) -> None:
        self.writable = False
        print_log(
            f'the feature cache {self.folder} cannot be written to [{error}]: '
            'new features are kept for this run only. Set MMCOOP_CACHE to '
            'another folder to keep them.', 'current', logging.WARNING)


def _read_part(path: Path, wanted: Dict[bytes, List[int]]
               ) -> Tuple[List[int], torch.Tensor]:
    """Take out of ``wanted`` what a part has: its positions and features.

    Features are mapped from the file: only the rows asked for are read.
    """
    with safe_open(path, 'pt') as part:
        keys, features = part.get_tensor('keys'), part.get_tensor('features')
        if keys.dtype != torch.uint8 or keys.shape[1:] != (32, ) or \
                features.ndim != 2 or len(keys) != len(features) or \
                features.dtype != torch.float32:
            raise ValueError('it does not hold keys and features')
        raw = keys.numpy().tobytes()
        positions, rows = [], []
        for row in range(len(keys)):
            found = wanted.pop(raw[32 * row:32 * row + 32], [])
            positions += found
            rows += [row] * len(found)
        return positions, features[rows]


class Entry(NamedTuple):
    """One store as :mod:`tools/feature_cache.py` shows it."""
    folder: Path
    tower: str
    pipeline: str
    features: int
    size: int  # bytes
    used: float  # seconds since 1970


def list_stores(root: Path) -> List[Entry]:
    """All stores below a cache folder, the last used first."""
    folders = [path for path in (root / 'features').glob('*')
               if OWN_FOLDERS.fullmatch(path.name) and path.is_dir()]
    return sorted(map(_entry, folders), key=lambda entry: -entry.used)


def _entry(folder: Path) -> Entry:
    try:
        meta = json.loads((folder / META).read_text())
        tower, pipeline = str(meta['tower_name']), str(meta['pipeline_short'])
    except (OSError, ValueError, KeyError, TypeError):
        tower = pipeline = '?'
    count = 0
    own = [path for path in folder.iterdir()
           if OWN_FILES.fullmatch(path.name)]
    for path in own:
        if path.suffix == '.safetensors':
            try:
                with safe_open(path, 'pt') as part:
                    count += part.get_slice('keys').get_shape()[0]
            except (OSError, SafetensorError):
                pass  # a run names it
    stats = [path.stat() for path in own]
    return Entry(folder, tower, pipeline, count,
                 sum(stat.st_size for stat in stats),
                 max((stat.st_mtime for stat in stats), default=0))


def clear_store(folder: Path) -> List[Path]:
    """Remove a store's own files, and its folder if nothing else is in it.

    Returns:
        What was left because it is not the store's.
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
