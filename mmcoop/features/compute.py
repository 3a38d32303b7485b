"""Read features from the store, and compute those that are missing."""
import logging
import time
from contextlib import AbstractContextManager
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch.utils.data import DataLoader, Dataset

from ..progress import begin
from .dataset import pack_data_sample
from .exchange import assign_missing_rows, exchange_rows
from .keys import NotCacheable
from .store import FeatureStore

SAVE_INTERVAL = 30  # seconds: an interrupted run loses no more
LOG_INTERVAL = 10  # seconds

Item = Tuple[int, Optional[int]]  # index of an image; epoch of a view or None


def gather_features(keys: List[bytes],
                    store: Optional[FeatureStore],
                    encode: Callable[[List[int]], Iterator[torch.Tensor]],
                    shared: bool = False) -> Tuple[torch.Tensor, int, int]:
    """Read features from a store, compute the missing ones and store them.

    Args:
        keys: One key per feature; equal keys mean equal features.
        store: The store; None computes all features and keeps none.
        encode: Yields the features of given positions in ``keys``, in order
            and as batches (b, E).
        shared: Whether all ranks pass the same keys. Then each computes a
            share, and they exchange the results.

    Returns:
        The features (len(keys), E) in fp32, the number of those read from the
        store, and the number of those computed by this rank.
    """
    have = torch.zeros(len(keys), dtype=torch.bool)
    features = None

    def fill(rows: List[int], part: torch.Tensor) -> None:
        nonlocal features
        if features is None:  # the first part tells the width
            features = torch.empty(len(keys), part.shape[1])
        features[rows] = part
        have[rows] = True

    if store is not None:
        for rows, part in store.read(keys):
            fill(rows, part)
    found = int(have.sum())
    missing = (assign_missing_rows(have) if shared else
               (~have).nonzero().flatten()).tolist()
    writer = _BufferedWriter(store)
    done = 0
    try:
        for part in encode(missing) if missing else ():
            rows = missing[done:done + len(part)]
            fill(rows, part)
            writer.add([keys[row] for row in rows], part)
            done += len(part)
    finally:  # an interrupted run keeps what it has computed
        writer.flush()
    if shared:
        features = exchange_rows(features, have)
    return features, found, done


class _BufferedWriter:
    """Collects features and writes them to a store twice a minute."""

    def __init__(self, store: Optional[FeatureStore]) -> None:
        self.store = store
        self._reset()

    def _reset(self) -> None:
        self.keys, self.parts, self.start = [], [], time.perf_counter()

    def add(self, keys: List[bytes], features: torch.Tensor) -> None:
        if self.store is not None:
            self.keys += keys
            self.parts.append(features)
            if time.perf_counter() - self.start > SAVE_INTERVAL:
                self.flush()

    def flush(self) -> None:
        if self.keys:
            self.store.write(self.keys, torch.cat(self.parts))
        self._reset()


class _ImageViews(Dataset):
    """Some images of a data set, as they are or in the view of an epoch."""

    def __init__(self, images: Any, items: List[Item]) -> None:
        self.images = images
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> dict:
        idx, epoch = self.items[i]
        item = self.images[idx] if epoch is None \
            else self.images.get_view(idx, epoch)
        expected = pack_data_sample(self.images, idx)
        if not _are_equal(item['data_samples'], expected['data_samples']):
            raise NotCacheable(
                'the pipeline changes labels, or took another image for '
                f'{self.images.get_data_info(idx).get("img_path")}: its '
                'features cannot be cached. Train without cached_views, and '
                "test without dict(type='mmcoop.FeatureCacheHook').")
        return item


def _are_equal(sample: Any, expected: Any) -> bool:
    """Compare the labels and the index of two data samples."""
    return sample.keys() == expected.keys() and all(
        torch.equal(sample.get(key), value) if isinstance(value, torch.Tensor)
        else sample.get(key) == value for key, value in expected.items()
    ) and sample.get('sample_idx') == expected.get('sample_idx')


@torch.no_grad()
def encode_images(model: nn.Module, items: List[Item], loader: DataLoader,
                  autocast: Callable[[], AbstractContextManager]
                  ) -> Iterator[torch.Tensor]:
    """Encode images as a loop over ``loader`` would.

    Args:
        model: The classifier, whose data preprocessor and backbone are used.
        items: The images of the loader's data set and their views.
        loader: The loader that gives the batch size, the collation and the
            number of workers.
        autocast: Returns the context manager of the loop's precision.

    Yields:
        Features (b, E) in fp32 on the CPU.
    """
    size = loader.batch_size
    batches = DataLoader(
        _ImageViews(loader.dataset, items),
        batch_size=size,
        num_workers=min(loader.num_workers, len(items) // size),
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        worker_init_fn=loader.worker_init_fn,
        generator=torch.Generator())  # leaves the global one alone
    for batch in log_progress(batches, len(items), size):
        images = model.data_preprocessor(batch, False)['inputs']
        with autocast():
            features = model.backbone(images)[-1]
        yield features.float().cpu()


def log_progress(steps: Iterable, total: int, step: int = 1,
                 what: str = 'images encoded') -> Iterator:
    """Iterate over ``steps``; show the progress, log it every ten seconds.

    Args:
        steps: What to iterate over.
        total: The number of images.
        step: The number of images of each step.
        what: What happens to the images, for the log.
    """
    start = last = time.perf_counter()
    bar = begin(what, total)
    try:
        for i, value in enumerate(steps):
            yield value
            now = time.perf_counter()
            done = min((i + 1) * step, total)
            if bar.due():
                bar.update(done, f'{done} of {total}')
            if now - last > LOG_INTERVAL:
                last = now
                rate = done / (now - start)
                print_log(
                    f'{done} of {total} {what}, {rate:.3g} a second, '
                    f'{(total - done) / rate:.0f} s left', 'current',
                    logging.INFO)
    finally:
        bar.end()
