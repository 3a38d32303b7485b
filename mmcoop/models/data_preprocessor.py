"""Data preprocessor for images and cached image features."""
from typing import Any

import torch
from mmpretrain.models.utils import ClsDataPreprocessor

from ..registry import MODELS


@MODELS.register_module()
class DataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessor, which also accepts image features (E, ).

    Features of :class:`mmcoop.FeatureCacheHook` are stacked to (B, E) and
    moved to the device; they are not normalised. Labels are handled as usual.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        inputs = data['inputs']
        if not is_features(inputs):
            return super().forward(data, training)
        if not isinstance(inputs, torch.Tensor):
            inputs = torch.stack(list(inputs))
        # the parent does the labels; a pixel stands in for each image
        pixels = inputs.new_zeros(len(inputs), 3, 1, 1)
        data = super().forward({**data, 'inputs': pixels}, training)
        data['inputs'] = self.cast_data(inputs)  # (B, E)
        return data


def is_features(inputs: Any) -> bool:
    """Tell whether a batch (tensor or list) holds features, not images."""
    return len(inputs) > 0 and inputs[0].ndim == 1
