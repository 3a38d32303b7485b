"""CLIP's image tower as an mmpretrain backbone, frozen or fine-tuned."""
import copy
from typing import Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from .architecture import VIT, Architecture
from .frozen import FrozenModule, convolve_exactly

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
        if getattr(visual, 'output_tokens', False):  # CoCa
            visual.output_tokens = False
        size = visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            raise ValueError(f'this CLIP takes images of {height} x {width} '
                             'pixels; only square ones are supported.')
        self.image_size = height
        self.freeze()

    def forward(self, images: torch.Tensor,
                prompts: Optional[torch.Tensor] = None,
                patches: bool = False) -> Tuple[torch.Tensor]:
        """Encode normalised images.

        Args:
            images: (B, 3, H, W); H and W are ``image_size``.
            prompts: (L, V, W), visual prompts of a Vision Transformer
                (VPT-deep, Jia et al., ECCV 2022, arXiv 2203.12119): V tokens
                after the patches at the input of layers 0 to L - 1, where
                those of a layer replace those of the layer before.
            patches: Whether to return features of the patches too.

        Returns:
            ((B, E), ), features before L2 normalisation. With ``patches``
            ((B, 1 + M, E), ): after the pooled feature those of M patches,
            as the tower projects them.

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
            self.architecture.check_visual_prompts(len(prompts))
        if patches:
            self.architecture.check_patches()
        parts = [images]
        if images.device.type == 'cpu':
            parts = images.split(CPU_IMAGES * torch.get_num_threads())
        with self.autocast(images.device), convolve_exactly():
            features = torch.cat([
                encode_images(self.visual, part, prompts, patches)
                for part in parts])
        return (features if self.dtype is None else features.float(), )

    @property
    def architecture(self) -> Architecture:
        """Its part of the CLIP's architecture; no text layers."""
        kind, layers = type(self.visual).__name__, 0
        if kind == VIT:
            layers = len(self.visual.transformer.resblocks)
        return Architecture(self.image_size, kind, layers, 0)

    @property
    def width(self) -> int:
        """Width W of a Vision Transformer's tokens."""
        return self.visual.transformer.width

    @property
    def out_channels(self) -> int:
        """Width E of the features."""
        size = self.image_size
        with torch.no_grad():
            weight = next(self.parameters())
            return self(weight.new_zeros(1, 3, size, size))[0].shape[1]


def encode_images(visual: nn.Module, images: torch.Tensor,
                  prompts: Optional[torch.Tensor] = None,
                  patches: bool = False) -> torch.Tensor:
    """Encode a batch at once, as :meth:`ImageTower.forward`.

    It can be traced, with any number of images (:mod:`mmcoop.apis.graph`).

    Args:
        visual: The image tower of an open_clip model.
        images: (B, 3, H, W).
        prompts: (L, V, W) or None.
        patches: Whether to return features of the patches too.

    Returns:
        (B, E), or (B, 1 + M, E) with ``patches``.
    """
    if prompts is None and not patches:
        return visual(images)
    if type(visual).__name__ == VIT:
        return _encode_vit(visual, images, prompts, patches)
    return _encode_resnet(visual, images)


def _encode_vit(visual: nn.Module, images: torch.Tensor,
                prompts: Optional[torch.Tensor],
                patches: bool) -> torch.Tensor:
    """Encode (B, 3, H, W) with prompts (L, V, W) or None."""
    x = visual._embeds(images)  # (B, 1 + M, W), after ln_pre
    B, T = x.shape[:2]
    for layer, block in enumerate(visual.transformer.resblocks):
        if prompts is not None and layer < len(prompts):
            tokens = prompts[layer].to(x.dtype).expand(B, -1, -1)
            if layer == 0:  # the norm is token by token
                tokens = visual.ln_pre(tokens)
            x = torch.cat([x[:, :T], tokens], dim=1)
        x = block(x)
    pooled, tokens = visual._pool(x[:, :T])
    if patches:
        pooled = torch.cat([pooled[:, None], tokens], dim=1)
    return pooled if visual.proj is None else pooled @ visual.proj


def _encode_resnet(visual: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Encode (B, 3, H, W): the pooled feature, then all positions."""
    pool = visual.attnpool
    x = visual.stem(images)
    for layer in (visual.layer1, visual.layer2, visual.layer3,
                  visual.layer4):
        x = layer(x)
    x = x.flatten(2).transpose(1, 2)  # (B, M, C)
    x = torch.cat([x.mean(1, keepdim=True), x], dim=1)
    x = x + pool.positional_embedding.to(x.dtype)
    # the published pooling queries its mean alone; here all positions do
    q, k, v = (
        proj(x).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for proj in (pool.q_proj, pool.k_proj, pool.v_proj))
    mixed = F.scaled_dot_product_attention(q, k, v)
    return pool.c_proj(mixed.transpose(1, 2).flatten(2))


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
        with convolve_exactly():
            return (self.visual(images), )


class InPlaceQuickGELU(nn.Module):
    """QuickGELU, in half the memory passes where no gradient is needed.

    The results are those of ``open_clip``'s QuickGELU, bit by bit.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            return x * torch.sigmoid(1.702 * x)
        return torch.mul(x, 1.702).sigmoid_().mul_(x)
