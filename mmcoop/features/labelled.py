"""Image features with their labels, as heads are fitted on them."""
from contextlib import nullcontext
from typing import NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch.utils.data import DataLoader

from .keys import HashCache, NotCacheable
from .source import FeatureSource


class LabelledFeatures(NamedTuple):
    """Image features before L2 normalisation, and their labels.

    Attributes:
        views: (V, n, E), fp32, features of V views of each image.
        labels: (n, ), int64.
    """
    views: torch.Tensor
    labels: torch.Tensor

    @property
    def features(self) -> torch.Tensor:
        """(n, E), those of the first view."""
        return self.views[0]

    def take(self, rows: torch.Tensor) -> 'LabelledFeatures':
        """Some of the images, by their indices or a mask (n, )."""
        return LabelledFeatures(self.views[:, rows], self.labels[rows])

    def to(self, device: torch.device) -> 'LabelledFeatures':
        """The same on another device."""
        return LabelledFeatures(self.views.to(device), self.labels.to(device))

    def to_numpy(self) -> Tuple[np.ndarray, np.ndarray]:
        """Features of the first view in double precision, and labels."""
        return self.features.double().cpu().numpy(), self.labels.cpu().numpy()


def gather_labelled(model: torch.nn.Module, loader: DataLoader,
                    folder: Optional[str] = None,
                    views: Optional[int] = None) -> LabelledFeatures:
    """The features of all images of a loader, from the cache or computed.

    Several ranks share the computing, and all get all features.

    Args:
        model: The classifier.
        loader: A loader, whose pipeline must leave nothing to chance if
            ``views`` is None.
        folder: The cache folder; None for the user's.
        views: Number of random views of each image; None: as they are.

    Raises:
        ValueError: The images cannot be encoded once and for all.
    """
    try:
        return label_features(model, loader, folder, views)
    except NotCacheable as error:
        raise ValueError(
            'a head is fitted on images that are encoded once, which is not '
            f'possible here: {error}.') from error


def label_features(model: torch.nn.Module, loader: DataLoader,
                   folder: Optional[str] = None,
                   views: Optional[int] = None) -> LabelledFeatures:
    """As :func:`gather_labelled`.

    Raises:
        NotCacheable: The images cannot be encoded once and for all.
    """
    source = FeatureSource(model, loader, nullcontext, HashCache(),
                           views=views, folder=folder, all_images=True)
    data = source.load().dataset
    labels = [data.get_data_info(i)['gt_label'] for i in range(len(data))]
    return LabelledFeatures(data.features, torch.tensor(labels))
