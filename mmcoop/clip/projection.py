"""The last projection of an image tower, apart from the rest."""
import copy
from typing import NamedTuple, Optional, Tuple

import torch
import torch.nn as nn

from .architecture import VIT
from .image_tower import ImageTower


class Projection(NamedTuple):
    """``features = x @ weight.T + bias``.

    Attributes:
        weight: (E, W).
        bias: (E, ), or None.
    """
    weight: torch.Tensor
    bias: Optional[torch.Tensor]


def split_projection(tower: ImageTower) -> Tuple[ImageTower, Projection]:
    """The tower without its last projection, and the projection.

    The weights of the tower are shared, and it is not changed.

    Returns:
        A frozen tower, (B, 3, H, W) -> ((B, W), ), and the projection.

    Raises:
        ValueError: The tower does not end with a linear projection.
    """
    visual = _copy(tower.visual)
    kind = type(visual).__name__
    if kind == VIT and visual.proj is not None:
        projection = Projection(visual.proj.mT, None)
        visual.proj = None
    elif hasattr(visual, 'attnpool'):  # OpenAI's ResNets
        visual.attnpool = _copy(visual.attnpool)
        last = visual.attnpool.c_proj
        projection = Projection(last.weight, last.bias)
        # the pooling multiplies by this weight whatever it is
        same = nn.Linear(last.in_features, last.in_features)
        same.weight.data = torch.eye(last.in_features).to(last.weight)
        same.bias.data = torch.zeros(last.in_features).to(last.weight)
        visual.attnpool.c_proj = same
    elif isinstance(getattr(getattr(visual, 'head', None), 'proj', None),
                    nn.Linear):  # timm's
        visual.head = _copy(visual.head)
        last = visual.head.proj
        projection = Projection(last.weight, last.bias)
        visual.head.proj = nn.Identity()
    else:
        raise ValueError(
            f'the image tower of this CLIP ({kind}) does not end with a '
            'linear projection: this method needs one.')
    rest = ImageTower(visual)
    rest.dtype = tower.dtype
    weight, bias = projection
    return rest, Projection(weight.detach().float(),
                            None if bias is None else bias.detach().float())


def _copy(module: nn.Module) -> nn.Module:
    """A copy whose members can be replaced, with the same tensors."""
    other = copy.copy(module)
    for name in ('_parameters', '_buffers', '_modules'):
        other.__dict__[name] = dict(module.__dict__[name])
    return other
