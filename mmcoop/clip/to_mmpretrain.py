"""CLIP's Vision Transformer as mmpretrain's own backbone."""
from typing import Dict, NamedTuple, Optional, Tuple

import torch
import torch.nn as nn

from .architecture import VIT
from .frozen import FrozenCLIP

NAMES = {  # open_clip's -> mmpretrain's; in the layers first
    'attn.in_proj_': 'attn.qkv.',
    'attn.out_proj.': 'attn.proj.',
    'ln_1.': 'ln1.',
    'ln_2.': 'ln2.',
    'ls_1.gamma': 'attn.gamma1.weight',
    'ls_2.gamma': 'ffn.gamma2.weight',
    'mlp.c_fc.': 'ffn.layers.0.0.',
    'mlp.c_proj.': 'ffn.layers.1.',
    'transformer.resblocks.': 'layers.',
    'conv1.': 'patch_embed.projection.',
    'class_embedding': 'cls_token',
    'positional_embedding': 'pos_embed',
    'ln_pre.': 'pre_norm.',
}


class ConvertedViT(NamedTuple):
    """A Vision Transformer as mmpretrain's.

    Attributes:
        backbone: Config of mmpretrain's ``VisionTransformer``.
        state_dict: Its weights, in fp32.
        projection: (W, E): CLIP's features are ``backbone(x)[-1] @
            projection``. None of a tower without its projection.
    """
    backbone: dict
    state_dict: Dict[str, torch.Tensor]
    projection: Optional[torch.Tensor]


def convert_vit(tower: nn.Module) -> ConvertedViT:
    """Convert an image tower to mmpretrain's ``VisionTransformer``.

    Args:
        tower: An :class:`ImageTower`, a :class:`LearnedImageTower`, or the
            ``visual`` of an open_clip model: a ``VisionTransformer``.

    Returns:
        Config, weights and projection; the features (B, E) are equal.

    Raises:
        ValueError: mmpretrain's class lacks a part of the tower.
    """
    visual = getattr(tower, 'visual', tower)
    lacking = _find_lacking(visual)
    if lacking:
        raise ValueError('mmpretrain\'s VisionTransformer has no counterpart '
                         f'of this image tower\'s {lacking}.')
    block = visual.transformer.resblocks[0]
    pre_norm = not isinstance(visual.ln_pre, nn.Identity)
    by_mean = visual.pool_type == 'avg'
    backbone = dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(
            embed_dims=visual.conv1.out_channels,
            num_layers=len(visual.transformer.resblocks),
            num_heads=block.attn.num_heads,
            feedforward_channels=block.mlp.c_fc.out_features),
        img_size=tuple(visual.image_size),
        patch_size=tuple(visual.patch_size),
        patch_cfg=dict(bias=False),
        pre_norm=pre_norm,
        norm_cfg=dict(type='LN', eps=visual.ln_post.eps),
        layer_cfgs=dict(act_cfg=_activation(block.mlp.gelu)),
        out_type='avg_featmap' if by_mean else 'cls_token',
        final_norm=not by_mean)
    if not isinstance(block.ls_1, nn.Identity):
        backbone['layer_scale_init_value'] = 1.  # any but 0 creates it
    state = {}
    for name, value in visual.state_dict().items():
        name = name.replace('ln_post.', 'ln2.' if by_mean else 'ln1.')
        for old, new in NAMES.items():
            name = name.replace(old, new)
        state[name] = value.float().clone()
    projection = state.pop('proj', None)
    state['cls_token'] = state['cls_token'].view(1, 1, -1)
    state['pos_embed'] = state['pos_embed'][None]
    return ConvertedViT(backbone, state, projection)


def convert_clip(clip: FrozenCLIP) -> Tuple[dict, Dict[str, torch.Tensor]]:
    """Convert the image tower of a CLIP to a model of mmpretrain's own parts.

    Args:
        clip: A CLIP with a Vision Transformer.

    Returns:
        Config of an ``ImageClassifier`` without a head, and its weights. The
        projection is its neck, whose bias is zero.

    Raises:
        ValueError: As in :func:`convert_vit`.
    """
    backbone, weights, projection = convert_vit(clip.image_tower)
    state = {f'backbone.{name}': value for name, value in weights.items()}
    state['neck.fc.weight'] = projection.mT.contiguous()  # (E, W)
    state['neck.fc.bias'] = projection.new_zeros(projection.shape[1])
    return dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(
            mean=[255 * value for value in clip.preprocessing.mean],
            std=[255 * value for value in clip.preprocessing.std],
            to_rgb=True),
        backbone=backbone,
        neck=dict(
            type='mmpretrain.LinearNeck',
            in_channels=projection.shape[0],
            out_channels=projection.shape[1],
            norm_cfg=None)), state


def _find_lacking(visual: nn.Module) -> Optional[str]:
    """What mmpretrain's class has no counterpart of, or None."""
    if type(visual).__name__ != VIT:
        return f'{type(visual).__name__} (a Vision Transformer of ' \
            'open_clip\'s own is needed)'
    kind = type(visual.transformer.resblocks[0]).__name__
    if kind != 'ResidualAttentionBlock':
        return f'layers of kind {kind}'
    if visual.attn_pool is not None:
        return 'pooling by attention (attentional_pool)'
    if visual.pool_type == 'avg' and not visual.final_ln_after_pool:
        return 'mean of normalised patches (pool_type=avg without ' \
            'final_ln_after_pool)'
    if visual.pool_type not in ('tok', 'avg'):
        return f'pool_type={visual.pool_type}'
    eps = {m.eps for m in visual.modules() if isinstance(m, nn.LayerNorm)}
    if len(eps) > 1:
        return f'norms with different eps ({sorted(eps)})'
    activation = visual.transformer.resblocks[0].mlp.gelu
    if _activation(activation) is None:
        return f'activation {type(activation).__name__}'
    return None


def _activation(module: nn.Module) -> Optional[dict]:
    kind = type(module).__name__
    if kind in ('QuickGELU', 'InPlaceQuickGELU'):
        return dict(type='mmpretrain.QuickGELU')
    if kind == 'GELU':
        return dict(type='GELU') if module.approximate == 'none' else dict(
            type='GELU', approximate=module.approximate)
    return None
