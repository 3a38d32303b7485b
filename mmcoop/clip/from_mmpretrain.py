"""Image towers as backbones, of a CLIP or with mmpretrain's weights."""
import logging
from typing import Optional

import torch.nn as nn
from mmengine.logging import print_log

from ..registry import MODELS
from ..safe_load import check_is_safe
from .architecture import VIT
from .image_tower import ImageTower
from .to_mmpretrain import NAMES


@MODELS.register_module('ImageTower')
def build_image_tower(clip: Optional[dict] = None,
                      vit: Optional[dict] = None) -> ImageTower:
    """Build a frozen image tower, as the backbone of any classifier.

    Args:
        clip: Arguments of :func:`mmcoop.clip.load_clip`, whose text tower is
            dropped.
        vit: Instead of a CLIP, the config of a ``VisionTransformer`` of
            mmpretrain with the weights of its model zoo
            (``init_cfg=dict(type='Pretrained', checkpoint=...,
            prefix='backbone')``). There is no projection: E is its width.

    Raises:
        ValueError: There are both or none, ``vit`` is no CLIP's, or the
            weights do not fit.

    Example:
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(
        ...         type='mmcoop.ImageTower',
        ...         clip=dict(model_name='ViT-B-16', pretrained='openai')),
        ...     head=dict(type='LinearClsHead', num_classes=3,
        ...               in_channels=512))
    """
    if (clip is None) == (vit is None):
        raise ValueError('ImageTower: give either clip=dict(...) or '
                         'vit=dict(...).')
    if clip is not None:
        from .loading import load_clip  # imports open_clip
        return load_clip(**clip).image_tower
    from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
    init_cfgs = vit.get('init_cfg') or []
    if isinstance(init_cfgs, dict):
        init_cfgs = [init_cfgs]
    weights = [cfg for cfg in init_cfgs if cfg['type'] == 'Pretrained']
    backbone = MMPRETRAIN_MODELS.build(dict(vit, init_cfg=None))
    for cfg in weights:
        _load_weights(backbone, cfg['checkpoint'], cfg.get('prefix') or '')
    if not weights:
        print_log(
            "ImageTower: vit has no init_cfg=dict(type='Pretrained', "
            'checkpoint=...): RANDOM weights', 'current', logging.WARNING)
    return ImageTower(revert_vit(backbone))


def _load_weights(backbone: nn.Module, path: str, prefix: str) -> None:
    """Load all weights, where mmengine would keep random ones that differ."""
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    content = check_is_safe(path)
    if content is None:
        raise FileNotFoundError(
            f'ImageTower: there is no file {path}, so it does not hold the '
            'weights')
    try:
        state = {name.removeprefix(prefix): value for name, value
                 in content.get('state_dict', content).items()
                 if name.startswith(prefix)}
        backbone.load_state_dict(state)
    except Exception as error:
        detail = ' '.join(str(error).split())[:300]
        raise ValueError(
            f'ImageTower: {path} (prefix={prefix!r}) does not hold the '
            f'weights of this {type(backbone).__name__}: '
            f'{detail}') from error


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
