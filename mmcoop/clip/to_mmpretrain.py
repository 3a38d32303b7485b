"""CLIP's Vision Transformer as mmpretrain's own backbone, and back."""
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


def revert_vit(backbone: nn.Module) -> nn.Module:
    """Convert mmpretrain's ``VisionTransformer`` to open_clip's.

    Args:
        backbone: A ``VisionTransformer`` of the model zoo's CLIP configs.

    Returns:
        The ``visual`` of an open_clip model, without a projection.

    Raises:
        ValueError: open_clip's class lacks a part of the backbone.
    """
    from open_clip.transformer import QuickGELU, VisionTransformer
    lacking = _find_lacking_in_clip(backbone)
    if lacking:
        raise ValueError('CLIP\'s Vision Transformer has no counterpart of '
                         f'this backbone\'s {lacking}.')
    block, by_mean = backbone.layers[0], backbone.out_type == 'avg_featmap'
    activation = block.ffn.layers[0][1]
    scaled = not isinstance(block.attn.gamma1, nn.Identity)
    width, eps = backbone.embed_dims, block.ln1.eps
    visual = VisionTransformer(
        image_size=backbone.img_size,
        patch_size=backbone.patch_embed.projection.kernel_size,
        width=width,
        layers=len(backbone.layers),
        heads=block.attn.num_heads,
        mlp_ratio=block.ffn.feedforward_channels / width,
        ls_init_value=1. if scaled else None,
        no_ln_pre=isinstance(backbone.pre_norm, nn.Identity),
        pool_type='avg' if by_mean else 'tok',
        final_ln_after_pool=by_mean,
        act_layer=QuickGELU if type(activation).__name__ == 'QuickGELU'
        else lambda: activation,
        norm_layer=lambda channels: nn.LayerNorm(channels, eps=eps))
    visual.proj = None
    state = {}
    for name, value in backbone.state_dict().items():
        if name.startswith('ln'):
            name = f'ln_post.{name.split(".")[1]}'
        for new, old in NAMES.items():
            name = name.replace(old, new)
        state[name] = value
    state['class_embedding'] = state['class_embedding'].flatten()
    state['positional_embedding'] = state['positional_embedding'][0]
    visual.load_state_dict(state)
    return visual


def _find_lacking_in_clip(backbone: nn.Module) -> Optional[str]:
    """What open_clip's class has no counterpart of, or None."""
    kind = type(backbone).__name__
    if kind != VIT:
        return f'class {kind} (mmpretrain\'s VisionTransformer is needed)'
    if backbone.patch_embed.projection.bias is not None:
        return 'bias of the patch embedding: it is no CLIP'
    pooling = backbone.out_type, backbone.final_norm
    if pooling not in (('cls_token', True), ('avg_featmap', False)):
        return 'out_type={}, final_norm={}'.format(*pooling)
    if not hasattr(backbone.layers[0].ffn, 'layers') or \
            backbone.layers[0].attn.qkv.bias is None:
        return 'layers (ffn_type, or no qkv_bias)'
    return None


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
