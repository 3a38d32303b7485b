"""Exact keys of features: hashes of the tower, the preprocessing, the image.

Keys depend on contents, never on dates or file names. If something cannot be
identified exactly, :class:`NotCacheable` is raised.
"""
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn as nn
from mmcv.transforms import BaseTransform

from ..datasets.images import get_file_stamp

FORMAT = 1  # version of the keys and of the files in a store
# they decode, resize or compute: another version needs another store
LIBRARIES = ('PIL', 'cv2', 'mmcoop', 'mmcv', 'mmpretrain', 'open_clip',
             'timm', 'torch', 'torchvision')
PLAIN_TYPES = (int, float, str, bool, type(None))
# all other keys of a data info could change what a transform does
IGNORED_INFO_KEYS = ('img_path', 'gt_label', 'sample_idx')


class NotCacheable(ValueError):
    """Features cannot be cached; the message is the reason."""


def hash_parts(*parts: bytes) -> bytes:
    """Return a 32-byte hash of a sequence of byte strings."""
    total = hashlib.blake2b(digest_size=32)
    for part in parts:
        total.update(len(part).to_bytes(8, 'little'))
        total.update(part)
    return total.digest()


def to_json(value: Any) -> bytes:
    """Return the same JSON for equal values.

    Raises:
        TypeError: If the value is not made of JSON's types.
    """
    return json.dumps(value, sort_keys=True).encode()


def get_store_key(identity: dict) -> str:
    """Return the folder name of the features of a tower and pipeline."""
    return hash_parts(to_json(identity)).hex()[:20]


def hash_tower(tower: nn.Module) -> str:
    """Hash all weights and buffers bit by bit, and all modules' settings."""
    parts = []
    for name, module in tower.named_modules():
        settings = {key: repr(value) for key, value in vars(module).items()
                    if _is_setting(value)}
        parts.append(to_json([name, _get_type(module), module.extra_repr(),
                              settings]))
    for name, tensor in _named_tensors(tower):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        parts += [
            to_json([name, str(tensor.dtype), list(tensor.shape)]),
            flat.view(torch.uint8).numpy().data
        ]
    return hash_parts(*parts).hex()


def _is_setting(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_setting, value))
    return isinstance(value, (*PLAIN_TYPES, torch.dtype))


def _named_tensors(module: nn.Module) -> List[Tuple[str, torch.Tensor]]:
    """All parameters and buffers, persistent or not."""
    return [*module.named_parameters(), *module.named_buffers()]


def get_preprocessor_state(preprocessor: nn.Module) -> dict:
    """Return what determines a data preprocessor's effect on images."""
    return dict(
        to_rgb=preprocessor.to_rgb,
        pad=[preprocessor.pad_size_divisor, preprocessor.pad_value],
        **{name: buffer.flatten().tolist()
           for name, buffer in preprocessor.named_buffers()})


def get_transform_state(transform: BaseTransform) -> dict:
    """Return the type and all attributes of a transform.

    Raises:
        NotCacheable: If an attribute is not made of plain values.
    """
    return dict(type=_get_type(transform),
                **{key: _to_plain(value, transform)
                   for key, value in vars(transform).items()})


def _to_plain(value: Any, owner: Any) -> Any:
    if isinstance(value, PLAIN_TYPES):
        return value
    if isinstance(value, (list, tuple)):
        return [_to_plain(item, owner) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_plain(item, owner)
                for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    raise NotCacheable(f'{type(owner).__name__} holds a '
                       f'{type(value).__name__}')


def _get_type(thing: Any) -> str:
    return f'{type(thing).__module__}.{type(thing).__qualname__}'


def get_precision_state(device: torch.device) -> dict:
    """Return the numeric precision that is in force on a device."""
    kind = device.type
    return dict(
        device=kind,
        autocast=str(torch.get_autocast_dtype(kind))
        if torch.is_autocast_enabled(kind) else None,
        matmul=torch.get_float32_matmul_precision(),
        # convolve_exactly gives convolutions the setting of matrix products
        tf32=torch.backends.cuda.matmul.allow_tf32
        if kind == 'cuda' else None)


def get_versions() -> dict:
    """Return the versions of the imported :data:`LIBRARIES`."""
    return {name: getattr(sys.modules.get(name), '__version__', None)
            for name in LIBRARIES}


def make_image_keys(infos: Sequence[dict],
                    seeds: Optional[Sequence[Sequence[int]]],
                    hashes: 'HashCache',
                    progress: Callable = iter) -> List[bytes]:
    """Make a key for each image, or for each view of each image.

    A key is a 32-byte hash of the file's content, of the data info without
    :data:`IGNORED_INFO_KEYS`, and of the view's seed.

    Args:
        infos: Data infos, each with a local file as ``img_path``.
        seeds: For each view, the seed of each image; None if the pipeline is
            deterministic.
        hashes: Hashes of files that are already known.
        progress: Wraps the iteration over files, to log the progress.

    Returns:
        len(infos) keys for each view, view by view.

    Raises:
        NotCacheable: If a data info is not made of plain values.
        OSError: If a file cannot be read.
    """
    try:
        others = [
            to_json({key: value for key, value in info.items()
                     if key not in IGNORED_INFO_KEYS}) for info in infos
        ]
    except TypeError as error:
        raise NotCacheable(f'data infos are not plain: {error}') from error
    with ThreadPoolExecutor(8) as pool:
        contents = list(progress(pool.map(
            hashes.hash_file, [info['img_path'] for info in infos])))
    views = [[None] * len(infos)] if seeds is None else seeds
    return [
        hash_parts(content, other, to_json(seed)) for view in views
        for content, other, seed in zip(contents, others, view)
    ]


class HashCache:
    """Hashes of towers and files, computed again after a change.

    Hashes of files are shared by all instances of a process. A tower is
    recognised by the addresses and versions of its tensors, so an instance
    must not outlive it: use one per run.
    """
    _files = {}

    def __init__(self) -> None:
        self._towers = {}

    def hash_tower(self, tower: nn.Module) -> str:
        """Return :func:`hash_tower` of a tower."""
        stamp = tuple((tensor.data_ptr(), tensor._version)
                      for _, tensor in _named_tensors(tower))
        if stamp not in self._towers:
            self._towers[stamp] = hash_tower(tower)
        return self._towers[stamp]

    def hash_file(self, path: str) -> bytes:
        """Return a 64-byte hash of a file's content."""
        stamp = get_file_stamp(path)
        if stamp not in self._files:
            with open(path, 'rb') as file:
                self._files[stamp] = hashlib.file_digest(
                    file, hashlib.blake2b).digest()
        return self._files[stamp]
