"""The frozen image tower as an mmpretrain backbone."""
from typing import Tuple

import torch
import torch.nn as nn

from .frozen import FrozenModule


class ImageTower(FrozenModule):
    """Images to features, frozen.

    Args:
        visual: The image tower of an open_clip model.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual
        size = visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            raise ValueError(f'this CLIP takes images of {height} x {width} '
                             'pixels; only square ones are supported.')
        self.image_size = height
        self.freeze()

    def forward(self, images: torch.Tensor) -> Tuple[torch.Tensor]:
        """Encode normalised images.

        Args:
            images: (B, 3, H, W); H and W are the tower's ``image_size``.

        Returns:
            One feature map as mm backbones give it: ((B, E), ), before L2
            normalisation.

        Raises:
            ValueError: The images have another size.
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f'images of {images.shape[-2]} x {images.shape[-1]} pixels, '
                f'but this CLIP takes {self.image_size} x {self.image_size}: '
                'set the sizes (scale, crop_size) in the data pipeline.')
        return (self.visual(images), )
