"""What identifies a feature: the tower, the way to it, the image.

Everything here is exact: content is hashed, never dates or file names. What
cannot be named for certain raises :class:`NotCacheable`.
"""
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
import torch
import torch.nn as nn
from mmcv.transforms import BaseTransform

from ..datasets.images import file_stamp

FORMAT = 1  # of the keys and of the files in a store
# whatever decodes, resizes or computes: another version, another store
LIBRARIES = ('PIL', 'cv2', 'mmcoop', 'mmcv', 'mmpretrain', 'open_clip',
             'timm', 'torch', 'torchvision')
PLAIN = (int, float, str, bool, type(None))
# the rest of a data info could change what a transform does
NOT_READ = ('img_path', 'gt_label', 'sample_idx')


class NotCacheable(ValueError):
    """Features cannot be kept here; the message says why."""


def digest(*parts: bytes) -> bytes:
    """32 bytes that stand for a sequence of byte strings."""
    total = hashlib.blake2b(digest_size=32)
    for part in parts:
        total.update(len(part).to_bytes(8, 'little'))
        total.update(part)
    return total.digest()


def as_json(value: Any) -> bytes:
    """One spelling for equal values; TypeError for what is not plain."""
    return json.dumps(value, sort_keys=True).encode()


def store_key(identity: dict) -> str:
    """The name of the folder for features of one tower and pipeline."""
    return digest(as_json(identity)).hex()[:20]


def tower_digest(tower: nn.Module) -> str:
    """Every weight and buffer, bit by bit, and how the tower is built."""
    parts = []
    for name, module in tower.named_modules():
        settings = {key: repr(value) for key, value in vars(module).items()
                    if _is_setting(value)}
        parts.append(as_json([name, _kind(module), module.extra_repr(),
                              settings]))
    for name, tensor in tensors_of(tower):
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        parts += [
            as_json([name, str(tensor.dtype), list(tensor.shape)]),
            flat.view(torch.uint8).numpy().data
        ]
    return digest(*parts).hex()


def _is_setting(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_setting(item) for item in value)
    return isinstance(value, (*PLAIN, torch.dtype))


def tensors_of(module: nn.Module) -> list:
    """(name, tensor) of all parameters and buffers, saved ones or not."""
    return [*module.named_parameters(), *module.named_buffers()]


def preprocessor_state(preprocessor: nn.Module) -> dict:
    """What the data preprocessor does to images (not to labels)."""
    return dict(
        to_rgb=preprocessor.to_rgb,
        pad=[preprocessor.pad_size_divisor, preprocessor.pad_value],
        **{name: buffer.flatten().tolist()
           for name, buffer in preprocessor.named_buffers()})


def transform_state(transform: BaseTransform) -> dict:
    """All that a built transform holds, its defaults included.

    Raises:
        NotCacheable: It holds something that has no certain name.
    """
    return dict(type=_kind(transform),
                **{key: _state(value, transform)
                   for key, value in vars(transform).items()})


def _state(value: Any, owner: Any) -> Any:
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [_state(item, owner) for item in value]
    if isinstance(value, dict):
        return {str(key): _state(item, owner) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    raise NotCacheable(f'{type(owner).__name__} holds a '
                       f'{type(value).__name__}')


def _kind(thing: Any) -> str:
    return f'{type(thing).__module__}.{type(thing).__qualname__}'


def precision_state(device: torch.device) -> dict:
    """In which numbers the tower computes, at the place of the call."""
    kind = device.type
    return dict(
        device=kind,
        autocast=str(torch.get_autocast_dtype(kind))
        if torch.is_autocast_enabled(kind) else None,
        matmul=torch.get_float32_matmul_precision(),
        tf32=torch.backends.cudnn.allow_tf32 if kind == 'cuda' else None)


def versions() -> dict:
    return {name: getattr(sys.modules.get(name), '__version__', None)
            for name in LIBRARIES}


def image_keys(infos: Sequence[dict],
               seeds: Optional[Sequence[Sequence[int]]],
               digests: 'Digests',
               progress: Callable = iter) -> List[bytes]:
    """A key for each image, or for each of its views.

    Args:
        infos: Data infos, each with a local file ``img_path``.
        seeds: For random views: for each view, a seed for each image.
        digests: Remembers what was hashed.
        progress: Wrapper of the walk through the files, for log lines.

    Returns:
        len(infos) keys, or view by view len(seeds) times as many; 32 bytes
        each, of the file's content, what else the data info says, the seed.

    Raises:
        NotCacheable: A data info holds something else than plain values.
        OSError: A file cannot be read.
    """
    try:
        others = [
            as_json({k: v for k, v in info.items() if k not in NOT_READ})
            for info in infos
        ]
    except TypeError as error:
        raise NotCacheable(f'data infos are not plain: {error}') from error
    with ThreadPoolExecutor(8) as pool:
        contents = list(progress(pool.map(
            digests.file, [info['img_path'] for info in infos])))
    views = [[None] * len(infos)] if seeds is None else seeds
    return [
        digest(content, other, as_json(seed)) for view in views
        for content, other, seed in zip(contents, others, view)
    ]


class Digests:
    """Digests of towers and files: taken anew after a change.

    Those of files are kept for all runs of a process; a tower is known by
    where its tensors are, which means something as long as it lives: one run.
    """
    _files = {}

    def __init__(self) -> None:
        self._known = {}

    def tower(self, tower: nn.Module) -> str:
        stamp = tuple((tensor.data_ptr(), tensor._version)
                      for _, tensor in tensors_of(tower))
        if stamp not in self._known:
            self._known[stamp] = tower_digest(tower)
        return self._known[stamp]

    def file(self, path: str) -> bytes:
        stamp = file_stamp(path)
        if stamp not in self._files:
            with open(path, 'rb') as file:
                self._files[stamp] = hashlib.file_digest(
                    file, hashlib.blake2b).digest()
        return self._files[stamp]
