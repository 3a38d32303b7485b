"""A data set and a data loader of features instead of images."""
from typing import Any, Optional, Sequence

import torch
from torch.utils.data import DataLoader, Dataset


class FeatureDataset(Dataset):
    """Features in place of the images of another data set.

    An item is what the pipeline's last transform packs (labels, path, index),
    with ``inputs`` of shape (E, ). All other attributes are those of the data
    set of images.

    Args:
        images: The data set of images.
        features: (V, n, E), V views of n images.
        indices: The indices of these n images; None if they are all images.
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
        """Show view ``epoch`` modulo V; :class:`mmcoop.EpochHook` calls it."""
        self.epoch = epoch

    def __getitem__(self, idx: int) -> dict:
        item = pack_data_sample(self.images, idx)
        view = self.epoch % len(self.features)
        item['inputs'] = self.features[view, self.rows[idx]]
        return item

    def __len__(self) -> int:
        return len(self.images)

    def __getattr__(self, name: str) -> Any:
        # copy and pickle ask an object that has no attributes yet
        if name == 'images' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.images, name)


class FeatureLoader(DataLoader):
    """A loader of features with batches, order and collation of another.

    Args:
        original: The loader of images, kept as ``original``.
        dataset: The features of its images.
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


def pack_data_sample(images: Any, idx: int) -> dict:
    """Pack the labels and other data of an item without loading its image."""
    return images.pipeline.transforms[-1].transform(images.get_data_info(idx))
