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
        features: (n, E), fp32.
        labels: (n, ), int64.
    """
    features: torch.Tensor
    labels: torch.Tensor

    def to_numpy(self) -> Tuple[np.ndarray, np.ndarray]:
        """Features in double precision, and labels."""
        return self.features.double().numpy(), self.labels.numpy()


def gather_labelled(model: torch.nn.Module, loader: DataLoader,
                    folder: Optional[str] = None) -> LabelledFeatures:
    """The features of all images of a loader, from the cache or computed.

    Several ranks share the computing, and all get all features.

    Args:
        model: The classifier.
        loader: A loader whose pipeline leaves nothing to chance.
        folder: The cache folder; None for the user's.

    Raises:
        ValueError: The images cannot be encoded once and for all.
    """
    try:
        source = FeatureSource(model, loader, nullcontext, HashCache(),
                               folder=folder, all_images=True)
    except NotCacheable as error:
        raise ValueError(
            'a head is fitted on images that are encoded once, which is not '
            f'possible here: {error}.') from error
    data = source.load().dataset
    labels = [data.get_data_info(i)['gt_label'] for i in range(len(data))]
    return LabelledFeatures(data.features[0], torch.tensor(labels))
