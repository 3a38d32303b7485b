"""From images to features: what is missing is computed, the rest is read."""
import logging
import time
from contextlib import AbstractContextManager
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch.utils.data import DataLoader, Dataset

from .dataset import pack
from .exchange import exchange, share_of_missing
from .keys import NotCacheable
from .store import FeatureStore

SAVE_EVERY = 30  # seconds: a killed run loses no more
SAY_EVERY = 10  # seconds

Item = Tuple[int, Optional[int]]  # index of an image; epoch, or None


def gather_features(keys: List[bytes],
                    store: Optional[FeatureStore],
                    encode: Callable[[List[int]], Iterator[torch.Tensor]],
                    shared: bool = False) -> Tuple[torch.Tensor, int, int]:
    """Features for keys, from the store or computed (and stored).

    Args:
        keys: A key for each feature; equal keys mean equal features.
        store: Where features are kept; None: nowhere.
        encode: From positions in ``keys`` to their features, (b, E) at a
            time and in order.
        shared: All ranks ask for the same features: each computes a share.

    Returns:
        (len(keys), E), fp32; how many of them came from the store, and how
        many this rank computed.
    """
    have = torch.zeros(len(keys), dtype=torch.bool)
    features = None

    def fill(rows: List[int], part: torch.Tensor) -> None:
        nonlocal features
        if features is None:  # now the width is known
            features = torch.empty(len(keys), part.shape[1])
        features[rows] = part
        have[rows] = True

    if store is not None:
        for rows, part in store.read(keys):
            fill(rows, part)
    found = int(have.sum())
    todo = (share_of_missing(have) if shared else
            (~have).nonzero().flatten()).tolist()
    saver = _Saver(store)
    done = 0
    try:
        for part in encode(todo) if todo else ():
            rows = todo[done:done + len(part)]
            fill(rows, part)
            saver.add([keys[row] for row in rows], part)
            done += len(part)
    finally:  # also what an interrupted run has computed
        saver.save()
    if shared:
        features = exchange(features, have)
    return features, found, done


class _Saver:
    """Writes new features into a store, twice a minute."""

    def __init__(self, store: Optional[FeatureStore]) -> None:
        self.store = store
        self._start()

    def _start(self) -> None:
        self.keys, self.parts, self.since = [], [], time.perf_counter()

    def add(self, keys: List[bytes], features: torch.Tensor) -> None:
        if self.store is not None:
            self.keys += keys
            self.parts.append(features)
            if time.perf_counter() - self.since > SAVE_EVERY:
                self.save()

    def save(self) -> None:
        if self.keys:
            self.store.write(self.keys, torch.cat(self.parts))
        self._start()


class _Items(Dataset):
    """Some images of a data set, some of them in the views of some epochs."""

    def __init__(self, images: Any, items: List[Item]) -> None:
        self.images = images
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> dict:
        idx, epoch = self.items[i]
        item = self.images[idx] if epoch is None \
            else self.images.view(idx, epoch)
        if not _same_labels(item['data_samples'],
                            pack(self.images, idx)['data_samples']):
            raise NotCacheable(
                'the pipeline changes labels, or took another image for '
                f'{self.images.get_data_info(idx).get("img_path")}: its '
                'features cannot be cached. Train without cached_views, and '
                "test without dict(type='mmcoop.FeatureCacheHook').")
        return item


def _same_labels(seen: Any, expected: Any) -> bool:
    """Whether two data samples say the same of one image."""
    return seen.keys() == expected.keys() and all(
        torch.equal(seen.get(key), value) if isinstance(value, torch.Tensor)
        else seen.get(key) == value for key, value in expected.items()
    ) and seen.get('sample_idx') == expected.get('sample_idx')


@torch.no_grad()
def encode(model: nn.Module, items: List[Item], loader: DataLoader,
           precision: Callable[[], AbstractContextManager]
           ) -> Iterator[torch.Tensor]:
    """Encode images as a loop over ``loader`` would.

    Args:
        model: The classifier: its data preprocessor and its backbone.
        items: Which images of the loader's data set, and which views.
        loader: Its batch size (on a CPU: no more than 16), collation and
            workers are taken.
        precision: Makes the context of the loop's autocast.

    Yields:
        (b, E), fp32, on the CPU.
    """
    size = loader.batch_size
    batches = DataLoader(
        _Items(loader.dataset, items),
        batch_size=size,
        num_workers=min(loader.num_workers, len(items) // size),
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        generator=torch.Generator())  # leaves the global one alone
    for batch in with_progress(batches, len(items), size):
        images = model.data_preprocessor(batch, False)['inputs']
        with precision():
            features = model.backbone(images)[-1]
        yield features.float().cpu()


def with_progress(steps: Iterable, total: int, step: int = 1,
                  what: str = 'images encoded') -> Iterator:
    """Say every ten seconds how far a walk has come."""
    start = said = time.perf_counter()
    for i, value in enumerate(steps):
        yield value
        now = time.perf_counter()
        if now - said > SAY_EVERY:
            said = now
            done = min((i + 1) * step, total)
            rate = done / (now - start)
            print_log(
                f'{done} of {total} {what}, {rate:.3g} a second, '
                f'{(total - done) / rate:.0f} s left', 'current',
                logging.INFO)
