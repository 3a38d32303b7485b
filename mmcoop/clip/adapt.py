"""Parameters that are learned inside a frozen tower, and kept outside of it.

A tower is shared by all models of a process and never saved. What is learned
in it is therefore a module of its own, a :class:`TowerAdapter`: the tower is
called with the adapter's weights in the places of its own, which it has back
afterwards.
"""
from contextlib import contextmanager
from functools import partial
from typing import Callable, Dict, Iterator, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call

from .architecture import VIT, Architecture
from .frozen import FrozenModule

# tokens (..., W) -> what is added to their queries, keys and values (..., 3W)
Addition = Callable[[torch.Tensor], torch.Tensor]


class TowerAdapter(nn.Module):
    """Base class of what is learned inside a tower.

    Subclasses implement :meth:`create` and :meth:`weights`, and
    :meth:`additions` if training is not the same as with merged weights.

    Attributes:
        learning: False: the adapted tower is frozen. It computes as in
            evaluation, and no gradient reaches the parameters.
    """
    WHY_NOT_CACHED = 'tower_adapter changes what the image tower gives as ' \
        'it is learned'
    learning = True

    def check_architecture(self, clip: Architecture) -> None:
        """Check that the image tower can be adapted, before it is loaded.

        Raises:
            ValueError: It is not a Vision Transformer.
        """
        if clip.image_tower != VIT:
            name = type(self).__name__
            raise ValueError(
                f'{name} adapts the layers of a Vision Transformer, and the '
                f'image tower of this CLIP is a {clip.image_tower}: take a '
                'ViT (model.clip.model_name=ViT-B-16), or adapt the text '
                'tower alone (model.head.tower_adapter instead of '
                'model.tower_adapter).')

    def setup(self, tower: FrozenModule) -> None:
        """Create the parameters; the classifier or the head calls it once.

        Raises:
            ValueError: The tower computes in half precision.
        """
        if tower.dtype is not None:
            raise ValueError('a tower that learns needs fp32 weights: set '
                             "model.clip.precision='fp32' (--amp makes its "
                             'products faster).')
        self.create(tower)

    def create(self, tower: FrozenModule) -> None:
        """Create the parameters for a tower.

        Raises:
            ValueError: The tower has no layers of the kind that is adapted.
        """
        raise NotImplementedError

    def weights(self, tower: FrozenModule) -> Dict[str, torch.Tensor]:
        """Weights in the places of the tower's own, by their names there."""
        raise NotImplementedError

    def additions(self) -> Dict[str, Addition]:
        """What training adds to attention layers, by their names.

        Where there are any, they replace :meth:`weights`: dropout on the
        input of a low-rank branch cannot be merged into weights.
        """
        return {}

    def settings(self) -> dict:
        """Settings that a checkpoint must match, as JSON-able values."""
        return dict(type=type(self).__name__)

    def run(self, tower: FrozenModule, *args) -> object:
        """Call the tower as adapted; its own weights stay as they are."""
        learns = self.training and self.learning
        added = self.additions() if learns else {}
        weights = {} if added else self.weights(tower)
        if not self.learning:
            weights = {name: w.detach() for name, w in weights.items()}
        with _add_to_attention(tower, added):
            return functional_call(tower, weights, args, tie_weights=False)


@contextmanager
def _add_to_attention(tower: nn.Module,
                      additions: Dict[str, Addition]) -> Iterator[None]:
    """Add to queries, keys and values within a context.

    :func:`attend` replaces the forward method of these attention layers; the
    text engine, which has an attention of its own, reads ``added``.
    """
    layers = {name: tower.get_submodule(name) for name in additions}
    try:
        for name, attn in layers.items():
            attn.added = additions[name]
            attn.forward = partial(attend, attn)
        yield
    finally:
        for attn in layers.values():
            del attn.added, attn.forward


def attend(attn: nn.MultiheadAttention, query: torch.Tensor,
           key: torch.Tensor, value: torch.Tensor, need_weights: bool = False,
           attn_mask: Optional[torch.Tensor] = None
           ) -> Tuple[torch.Tensor, None]:
    """Self-attention of (N, T, W) with ``attn.added``."""
    assert query is key is value and not need_weights
    qkv = F.linear(query, attn.in_proj_weight, attn.in_proj_bias) \
        + attn.added(query)
    q, k, v = qkv.unflatten(-1, (3, attn.num_heads, -1)).transpose(
        1, 3).unbind(2)  # (N, H, T, W / H) each
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    return attn.out_proj(mixed.transpose(1, 2).flatten(2)), None
