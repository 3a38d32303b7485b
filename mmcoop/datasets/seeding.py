"""Random views as a function of (seed, epoch, image)."""
import contextlib
import random
import zlib
from pathlib import PurePath
from typing import Iterator

import numpy as np
import torch


class SharedInt:
    """An integer in shared memory, which persistent workers see change."""

    def __init__(self, value: int) -> None:
        self._value = torch.tensor(value).share_memory_()

    def get(self) -> int:
        return int(self._value)

    def set(self, value: int) -> None:
        self._value.fill_(value)

    def __deepcopy__(self, memo: dict) -> 'SharedInt':
        return SharedInt(self.get())  # a plain copy would not be shared


def get_image_seed(seed: int, epoch: int, info: dict) -> int:
    """Return a 32-bit seed for one image in one epoch.

    An image is identified by its file name and the name of its folder, so
    that neither the data root nor other images matter. An image without a
    file is identified by its index.
    """
    path = info.get('img_path')
    name = '/'.join(PurePath(path).parts[-2:]) if path \
        else str(info.get('sample_idx'))
    return zlib.crc32(f'{seed} {epoch} {name}'.encode())


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of Python, NumPy and PyTorch, then restore them."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
