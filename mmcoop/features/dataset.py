"""A data set of features in the place of a data set of images."""
from typing import Any, Optional, Sequence

import torch
from torch.utils.data import DataLoader, Dataset


class FeatureDataset(Dataset):
    """Another data set, with features where its images would be.

    An item is what the pipeline's last transform packs (labels, path, index)
    with ``inputs`` (E, ). Everything else is asked of the data set of images.

    Args:
        images: The data set of images.
        features: (V, n, E): V views of n images.
        indices: Which images they are; None: all, in order.
    """

    def __init__(self, images: Any, features: torch.Tensor,
                 indices: Optional[Sequence[int]] = None) -> None:
        self.images = images
        self.features = features
        self.epoch = 0
        self.rows = range(len(images)) if indices is None else {
            index: row for row, index in enumerate(indices)
        }

    def set_epoch(self, epoch: int) -> None:
        """Epoch e shows view e modulo V; see :class:`mmcoop.EpochHook`."""
        self.epoch = epoch

    def __getitem__(self, idx: int) -> dict:
        item = pack(self.images, idx)
        view = self.epoch % len(self.features)
        item['inputs'] = self.features[view, self.rows[idx]]
        return item

    def __len__(self) -> int:
        return len(self.images)

    def __getattr__(self, name: str) -> Any:
        # not for what copy and pickle look for in an object not yet filled
        if name == 'images' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.images, name)


class FeatureLoader(DataLoader):
    """A loader of features: batches, order and collation as the original's.

    Args:
        original: The loader of images, kept as ``original``.
        dataset: The features.
    """

    def __init__(self, original: DataLoader, dataset: FeatureDataset) -> None:
        self.original = original
        super().__init__(
            dataset,
            batch_size=original.batch_size,
            sampler=original.sampler,
            drop_last=original.drop_last,
            collate_fn=original.collate_fn,
            pin_memory=original.pin_memory,
            generator=original.generator)


def pack(images: Any, idx: int) -> dict:
    """What the pipeline packs beside an image, from its data info alone."""
    return images.pipeline.transforms[-1].transform(images.get_data_info(idx))
