"""CLIP's image tower as an mmpretrain backbone, frozen or fine-tuned."""
import copy
from typing import Optional, Tuple

import torch
import torch.nn as nn

from .frozen import FrozenModule

# per thread; a MobileNet on whole batches was 1.3 (of 32) to 2 times (of 100)
# slower, because the allocator maps memory of larger tensors anew each time
CPU_IMAGES = 8


class ImageTower(FrozenModule):
    """Frozen image encoder.

    Args:
        visual: The image tower of an open_clip model.

    Attributes:
        image_size: Height and width of the images in pixels.

    Raises:
        ValueError: The tower takes images that are not square.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        # makes convolutions 1.2 to 1.6 times faster (CPU; RN50, MobileNet)
        self.visual = visual.to(memory_format=torch.channels_last)
        for module in list(visual.modules()):
            for name, child in module.named_children():
                if type(child).__name__ == 'QuickGELU':
                    setattr(module, name, InPlaceQuickGELU())
        size = visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            raise ValueError(f'this CLIP takes images of {height} x {width} '
                             'pixels; only square ones are supported.')
        self.image_size = height
        self.freeze()

    def forward(self, images: torch.Tensor,
                prompts: Optional[torch.Tensor] = None
                ) -> Tuple[torch.Tensor]:
        """Encode normalised images.

        Args:
            images: (B, 3, H, W); H and W are ``image_size``.
            prompts: (L, V, W), visual prompts of a Vision Transformer
                (VPT-deep, Jia et al., ECCV 2022, arXiv 2203.12119): V tokens
                after the patches at the input of layers 0 to L - 1, where
                those of a layer replace those of the layer before.

        Returns:
            ((B, E), ), features before L2 normalisation.

        Raises:
            ValueError: The images have another size, or the tower does not
                support these prompts.
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f'images of {images.shape[-2]} x {images.shape[-1]} pixels, '
                f'but this CLIP takes {self.image_size} x {self.image_size}: '
                'set the sizes (scale, crop_size) in the data pipeline.')
        if prompts is not None:
            self.check_prompts(len(prompts))
        parts = [images]
        if images.device.type == 'cpu':
            parts = images.split(CPU_IMAGES * torch.get_num_threads())
        with self.autocast(images.device):
            features = torch.cat([
                self.visual(part) if prompts is None
                else self._encode_prompted(part, prompts) for part in parts])
        return (features if self.dtype is None else features.float(), )

    def check_prompts(self, depth: int) -> None:
        """Check that the tower supports visual prompts in ``depth`` layers.

        Raises:
            ValueError: The tower is not a Vision Transformer of open_clip, or
                has fewer layers.
        """
        from open_clip.transformer import VisionTransformer
        if not isinstance(self.visual, VisionTransformer):
            raise ValueError(
                'visual prompts are tokens of a Vision Transformer, and the '
                f'image tower of this CLIP is a {type(self.visual).__name__}: '
                'take a ViT (model.clip.model_name=ViT-B-16).')
        layers = len(self.visual.transformer.resblocks)
        if depth > layers:
            raise ValueError(f'visual prompts in {depth} layers, but the '
                             f'image tower has {layers}.')

    @property
    def width(self) -> int:
        """Width W of a Vision Transformer's tokens."""
        return self.visual.transformer.width

    def _encode_prompted(self, images: torch.Tensor,
                         prompts: torch.Tensor) -> torch.Tensor:
        """Encode (B, 3, H, W) with prompts (L, V, W) into (B, E)."""
        visual, V = self.visual, prompts.shape[1]
        x = visual._embeds(images)  # (B, 1 + patches, W), after ln_pre
        T = x.shape[1]
        for layer, block in enumerate(visual.transformer.resblocks):
            if layer < len(prompts):
                tokens = prompts[layer].to(x.dtype).expand(len(x), V, -1)
                if layer == 0:  # the norm is token by token
                    tokens = visual.ln_pre(tokens)
                x = torch.cat([x[:, :T], tokens], dim=1)
            x = block(x)
        pooled, _ = visual._pool(x[:, :T])
        return pooled if visual.proj is None else pooled @ visual.proj

    @property
    def out_channels(self) -> int:
        """Width E of the features."""
        size = self.image_size
        with torch.no_grad():
            weight = next(self.parameters())
            return self(weight.new_zeros(1, 3, size, size))[0].shape[1]


class LearnedImageTower(nn.Module):
    """Trainable copy of an image tower, for fine-tuning.

    Args:
        tower: The frozen tower; it is not changed.

    Raises:
        ValueError: The tower computes in half precision.
    """

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        if tower.dtype is not None:
            raise ValueError('an image tower that learns needs fp32 weights: '
                             "set model.clip.precision='fp32' (--amp makes "
                             'its products faster).')
        self.visual = copy.deepcopy(tower.visual).requires_grad_(True)
        self.image_size = tower.image_size

    def forward(self, images: torch.Tensor) -> Tuple[torch.Tensor]:
        """Encode (B, 3, H, W) into ((B, E), ), before L2 normalisation."""
        return (self.visual(images), )


class InPlaceQuickGELU(nn.Module):
    """QuickGELU, in half the memory passes where no gradient is needed.

    The results are those of ``open_clip``'s QuickGELU, bit by bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            return x * torch.sigmoid(1.702 * x)
        return torch.mul(x, 1.702).sigmoid_().mul_(x)
