"""Context conditioned on the image: CoCoOp (Zhou et al., CVPR 2022)."""
from dataclasses import replace
from typing import List, Optional

import torch
import torch.nn as nn

from ..clip import PromptSet, TextTower
from ..registry import MODELS
from .context import ContextPrompt

REDUCTION = 16  # the hidden layer has E / 16 units


@MODELS.register_module()
class ConditionalContextPrompt(ContextPrompt):
    """``[SOS] V1+s ... VM+s NAME . [EOT]`` with a shift s of each image.

    CoCoOp, arXiv 2203.05557: a small network, the meta-net, makes the shift
    from the L2-normalised image feature, ``s = linear2(relu(linear1(f)))``
    with E/16 hidden units, and adds it to each context vector. Every image
    has class features of its own, so a batch of B images takes the text tower
    B times K prompts; ``head.text_memory`` bounds the memory of training.

    Args:
        n_ctx: Number of context vectors M. ``ctx_init`` overrides it.
        ctx_init: Words whose token embeddings initialise the context.
        **kwargs: Other arguments of :class:`ContextPrompt`, which must have
            their defaults.

    Attributes:
        ctx: Parameter (M, D).
        linear1: E to E/16.
        linear2: E/16 to D.

    Raises:
        ValueError: As in :class:`ContextPrompt`; or the context is
            class-specific, not before the class name, or there are several.
    """
    sees_images = True

    def __init__(self, n_ctx: int = 4,
                 ctx_init: Optional[str] = 'a photo of a',
                 **kwargs) -> None:
        super().__init__(n_ctx=n_ctx, ctx_init=ctx_init, **kwargs)
        for name, only in (('class_specific', False), ('n_prompts', 1),
                           ('class_token_position', 'end')):
            if getattr(self, name) != only:
                raise ValueError(
                    f'a context conditioned on the image (CoCoOp) has {name}='
                    f'{only!r}, not {getattr(self, name)!r}: all classes of '
                    'an image share its context, before the class name.')

    def setup(self, tower: TextTower) -> None:
        super().setup(tower)
        channels = tower.out_channels
        self.linear1 = nn.Linear(channels, max(1, channels // REDUCTION))
        self.linear2 = nn.Linear(self.linear1.out_features, tower.width)

    def forward(self, tower: TextTower,
                image_features: Optional[torch.Tensor] = None
                ) -> List[PromptSet]:
        """Return one set with a prefix for each of the B images."""
        one, = super().forward(tower)
        image = image_features.to(self.linear1.weight.dtype)
        shift = self.linear2(self.linear1(image).relu())  # (B, D)
        sos, ctx = one.prefix.tensor_split([-self.n_ctx], dim=1)
        prefix = torch.cat([
            sos.expand(len(shift), -1, -1), ctx + shift[:, None].to(ctx.dtype)
        ], dim=1)  # (B, 1 + M, D)
        return [replace(one, prefix=prefix)]
