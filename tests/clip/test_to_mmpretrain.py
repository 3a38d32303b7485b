"""CLIP's Vision Transformer as mmpretrain's: the same features."""
import open_clip
import pytest
import torch
from mmengine.registry import DefaultScope

from mmcoop.clip import convert_vit, load_clip, split_projection


def features(converted, images):
    """(B, E), of mmpretrain's backbone in any scope."""
    from mmpretrain.registry import MODELS
    with DefaultScope.overwrite_default_scope('mmengine'):
        backbone = MODELS.build(converted.backbone)
    backbone.load_state_dict(converted.state_dict)
    backbone.eval()
    with torch.no_grad():
        return backbone(images)[-1] @ converted.projection


def make_visual(**kwargs):
    """An image tower of open_clip; every parameter matters."""
    kwargs = dict(dict(image_size=64, patch_size=16, width=128, heads=2,
                       layers=2, mlp_ratio=2.5, output_dim=48), **kwargs)
    torch.manual_seed(0)
    visual = open_clip.transformer.VisionTransformer(**kwargs).eval()
    with torch.no_grad():
        for p in visual.parameters():
            p += 0.05 * torch.randn_like(p)
    return visual


def test_golden_vit(vit_file, golden):
    tower = load_clip(pretrained=vit_file).image_tower
    size = tower.image_size
    images = torch.randn(4, 3, size, size,
                         generator=torch.Generator().manual_seed(0))
    converted = convert_vit(tower)
    assert converted.backbone['layer_cfgs']['act_cfg'] == dict(
        type='mmpretrain.QuickGELU')
    torch.testing.assert_close(features(converted, images), tower(images)[0],
                               rtol=1e-5, atol=1e-5)


def test_vit_b16():
    visual = make_visual(image_size=224, width=768, heads=12, mlp_ratio=4.,
                         output_dim=512)
    images = torch.randn(1, 3, 224, 224)
    converted = convert_vit(visual)
    assert converted.projection.shape == (768, 512)
    with torch.no_grad():
        expected = visual(images)
    torch.testing.assert_close(features(converted, images), expected,
                               rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kwargs', [
    dict(act_layer=open_clip.transformer.QuickGELU),
    dict(act_layer=lambda: torch.nn.GELU(approximate='tanh')),
    dict(no_ln_pre=True),
    dict(no_ln_pre=True, pool_type='avg', final_ln_after_pool=True),  # CLIPA
    dict(final_ln_after_pool=True),
    dict(ls_init_value=0.3),
    dict(norm_layer=lambda n: torch.nn.LayerNorm(n, eps=1e-3)),
    dict(patch_size=8, image_size=(64, 32)),
], ids=lambda options: '-'.join(options))
def test_other_vits(kwargs):
    visual = make_visual(**kwargs)
    images = torch.randn(2, 3, *visual.image_size)
    with torch.no_grad():
        expected = visual(images)
    torch.testing.assert_close(features(convert_vit(visual), images),
                               expected, rtol=1e-5, atol=1e-5)


def test_without_projection(vit_file):
    tower = load_clip(pretrained=vit_file).image_tower
    rest, projection = split_projection(tower)
    converted = convert_vit(rest)
    assert converted.projection is None
    assert torch.equal(convert_vit(tower).projection, projection.weight.mT)
    assert converted.backbone == convert_vit(tower).backbone


def test_no_counterpart(rn_file):
    with pytest.raises(ValueError, match='ModifiedResNet'):
        convert_vit(load_clip(pretrained=rn_file).image_tower)
    for kwargs, what in [
            (dict(attentional_pool=True), 'attentional_pool'),
            (dict(pool_type='avg'), 'pool_type=avg'),
            (dict(qk_norm=True), 'CustomResidualAttentionBlock'),
            (dict(act_layer=torch.nn.SiLU), 'SiLU')]:
        with pytest.raises(ValueError, match=what):
            convert_vit(make_visual(**kwargs))
