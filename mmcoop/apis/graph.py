"""A trained classifier as one graph of an image tower and constants.

The text tower is gone: class features are constant once a head is trained.
Shapes: B images, K classes, E features.
"""
import copy
from typing import Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F

from ..clip import ImageTower, LearnedImageTower, encode_images
from ..heads import CLIPAdapterHead, ProLIPHead, TipAdapterHead
from ..prompts.transport import sinkhorn

LINEAR = 1e-5  # of the largest logit: what rounding makes of a linear head


class ExportError(ValueError):
    """A classifier, or a part of it, cannot be exported."""


class ClassifierGraph(nn.Module):
    """A trained classifier, in fp32 and without its text tower.

    Args:
        model: An :class:`mmcoop.CoOp`, or another classifier that
            :func:`mmcoop.load` builds; it is not changed.
        size: Height and width S of the images.
        temperature: The logits are divided by it, where it is not None.
        normalize: Whether images come in as uint8 RGB (B, S, S, 3) and are
            normalised here; else as normalised fp32 (B, 3, S, S).

    Raises:
        ExportError: The head needs the text tower for each image, or is of an
            unknown kind.
    """

    def __init__(self, model: nn.Module, size: int,
                 temperature: Optional[float] = None,
                 normalize: bool = False) -> None:
        super().__init__()
        self.tower = TowerGraph(model)
        pixel = next(self.tower.parameters()).new_zeros(1, 3, size, size)
        with torch.no_grad():
            width = self.tower(pixel).shape[-1]
            self.head = fold_head(model.head, width)
        self.temperature = temperature
        self.normalize = normalize
        for name in ('mean', 'std'):  # (3, 1, 1), RGB of 0 to 255
            value = getattr(model.data_preprocessor, name, None)
            if normalize and value is None:
                raise ExportError('the data preprocessor of this model does '
                                  'not normalise images: leave out '
                                  '--with-preprocessing.')
            self.register_buffer(name, value.clone() if normalize else None)
        self.float().eval().requires_grad_(False)

    def forward(self, images: torch.Tensor
                ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Logits and probabilities, (B, K) each."""
        if self.normalize:
            images = images.permute(0, 3, 1, 2).float()
            images = (images - self.mean) / self.std
        logits = self.head(self.tower(images))
        if self.temperature is not None:
            logits = logits / self.temperature
        return logits, logits.softmax(-1)


class TowerGraph(nn.Module):
    """The image side of a classifier, with what is learned in it merged.

    Args:
        model: The classifier.

    Attributes:
        visual: A copy of the image tower of an open_clip model; None over
            another backbone.
        prompts: Visual prompts (L, V, W), or None.
        patches: Whether features of patches are given too.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        backbone = model.backbone
        self.visual = self.backbone = None
        if isinstance(backbone, (ImageTower, LearnedImageTower)):
            self.visual = copy.deepcopy(backbone.visual).to(
                memory_format=torch.contiguous_format)
        else:
            self.backbone = copy.deepcopy(backbone)
        self.neck = copy.deepcopy(model.neck)
        adapter = getattr(model, 'tower_adapter', None)
        merged = {} if adapter is None else adapter.weights(backbone)
        for name, weight in merged.items():
            self.get_parameter(name).data = weight.detach()
        prompt = getattr(model.head, 'prompt', None)
        prompts = None if prompt is None else prompt.visual_prompts()
        self.register_buffer(
            'prompts', None if prompts is None else prompts.detach())
        self.patches = getattr(prompt, 'sees_patches', False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, E), or (B, 1 + M, E) with patches."""
        if self.visual is None:
            features = self.backbone(images)
        else:
            features = (encode_images(self.visual, images, self.prompts,
                                      self.patches), )
        if self.neck is not None:
            features = self.neck(features)
        return features[-1]


class LinearGraph(nn.Module):
    """``f W + b``.

    Args:
        weight: W, (K, E).
        bias: b, (K, ).
        unit: Whether features are L2-normalised first.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor,
                 unit: bool = True) -> None:
        super().__init__()
        self.register_buffer('weight', weight)
        self.register_buffer('bias', bias)
        self.unit = unit

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.unit:
            features = F.normalize(features, dim=-1)
        return F.linear(features, self.weight, self.bias)


class CacheGraph(LinearGraph):
    """Tip-Adapter: class features, and a cache of training features.

    Args:
        head: A fitted :class:`mmcoop.TipAdapterHead`.
    """

    def __init__(self, head: TipAdapterHead) -> None:
        text = head.logit_scale * head.class_features()
        super().__init__(text, text.new_zeros(len(text)))
        labels = F.one_hot(head.labels, len(head.fitted_names)).float()
        self.register_buffer('keys', head.keys.detach())  # (n, E)
        self.register_buffer(  # (n, K), so that no scatter is needed
            'labels', head.values['alpha'] * head.select(labels, 1))
        self.beta = head.values['beta']

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        cosines = F.linear(F.normalize(features, dim=-1), self.keys)
        return super().forward(features) + torch.exp(
            -self.beta * (1 - cosines)) @ self.labels


class AdapterGraph(nn.Module):
    """CLIP-Adapter's network on image features.

    Args:
        head: A fitted :class:`mmcoop.CLIPAdapterHead`.
    """

    def __init__(self, head: CLIPAdapterHead) -> None:
        super().__init__()
        self.register_buffer('down', head.down.detach())
        self.register_buffer('up', head.up.detach())
        self.ratio = head.ratio

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, E) -> (B, E)."""
        adapted = F.linear(F.linear(features, self.down).relu(),
                           self.up).relu()
        return self.ratio * adapted + (1 - self.ratio) * features


class TransportGraph(nn.Module):
    """PLOT: optimal transport between patches and a class's prompts.

    Args:
        head: A head with a :class:`mmcoop.TransportPrompt`.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        text = head.text_features()
        self.register_buffer('text', text if text.ndim == 3 else text[None])
        self.scale = float(head.text_tower.logit_scale.float().exp())
        prompt = head.prompt
        self.settings = prompt.epsilon, prompt.max_iters, prompt.tolerance
        self.sinkhorn = torch.jit.script(sinkhorn)  # its loop stops by values

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of patches' features (B, 1 + M, E)."""
        patches = F.normalize(features, dim=-1)[:, 1:]
        cosines = torch.einsum('bme,nke->bkmn', patches, self.text)
        plan = self.sinkhorn(1 - cosines, *self.settings)
        return self.scale * (plan * cosines).sum((-2, -1))


def fold_head(head: nn.Module, width: int) -> nn.Module:
    """What a trained head computes from image features, of constants.

    Args:
        head: In eval mode.
        width: E, of the image features that it sees.

    Returns:
        A module (B, E) -> (B, K).

    Raises:
        ExportError: See :class:`ClassifierGraph`.
    """
    prompt = getattr(head, 'prompt', None)
    if getattr(prompt, 'sees_images', False):
        raise ExportError(
            f'{type(prompt).__name__} makes other class features for each '
            'image, so that the text tower would be part of the graph and run '
            'for every image and class: it is not exported. Train a method '
            'whose class features are constant, such as configs/coop, '
            'configs/kgcoop or configs/maple.')
    if getattr(prompt, 'sees_patches', False):
        return TransportGraph(head)
    if isinstance(head, TipAdapterHead):
        return CacheGraph(head)
    if isinstance(head, (CLIPAdapterHead, ProLIPHead)):
        text = head.logit_scale * head.class_features()
        classify = LinearGraph(text, text.new_zeros(len(text)))
        if isinstance(head, CLIPAdapterHead):
            return nn.Sequential(AdapterGraph(head), classify)
        return nn.Sequential(
            LinearGraph(head.weight.detach(), head.shift, unit=False),
            classify)
    return fold_linear(head, width)


@torch.no_grad()
def fold_linear(head: nn.Module, width: int) -> LinearGraph:
    """Find W and b of any head that is linear in the features.

    They follow from the logits of the unit vectors and of their negatives;
    the logits of other features then tell whether the head is linear, in
    the features or in the L2-normalised features.

    Raises:
        ExportError: It is neither.
    """
    basis = torch.eye(width)
    ahead, behind = (head((part, )).double() for part in (basis, -basis))
    weight, bias = (ahead - behind).mT / 2, (ahead + behind).mean(0) / 2
    generator = torch.Generator().manual_seed(0)
    some = 3 * torch.randn(64, width, generator=generator)
    expected = head((some, )).double()
    for unit in (True, False):
        found = LinearGraph(weight, bias, unit)
        error = (found(some.double()) - expected).abs().max()
        if error <= LINEAR * expected.abs().max():
            return found.float()
    raise ExportError(
        f'a {type(head).__name__} is not linear in the image features, and '
        'mmcoop.apis.graph has no form of it.')
