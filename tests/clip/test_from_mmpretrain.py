"""Checkpoints of mmpretrain's model zoo in CLIP's image tower."""
import pytest
import torch
from mmpretrain.registry import MODELS

from mmcoop.clip import CLIPLoadError, convert_vit, load_clip

from ..stock import MEAN_STD, folder, prompt_head, quick, ratio, train

__all__ = ['quick']
pytestmark = pytest.mark.usefixtures('quick')


def make_zoo_checkpoint(path, **backbone):
    """A fine-tuned CLIP as in mmpretrain's zoo, small and random."""
    model = MODELS.build(dict(
        type='ImageClassifier', backbone=backbone, neck=None, head=dict(
            type='VisionTransformerClsHead', num_classes=10,
            in_channels=backbone['arch']['embed_dims'])))
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.2 * torch.randn_like(p))
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    model.eval()
    return model


ZOO = dict(  # as vit-base-p16_pt-64xb64_in1k.py, of another size
    type='VisionTransformer', img_size=32, patch_size=8, drop_rate=0.1,
    pre_norm=True, arch=dict(embed_dims=48, num_layers=2, num_heads=4,
                             feedforward_channels=96))


@pytest.mark.parametrize('act', ['GELU', 'QuickGELU'])
@pytest.mark.parametrize('other', [{}, dict(
    out_type='avg_featmap', final_norm=False, layer_scale_init_value=1e-5)],
    ids=['zoo', 'mean'])
def test_zoo_checkpoint(tmp_path, photos, act, other):
    path = str(tmp_path / 'zoo.pth')
    vit = dict(ZOO, layer_cfgs=dict(act_cfg=dict(type=act)), **other)
    zoo = make_zoo_checkpoint(path, **vit)
    vit['init_cfg'] = dict(type='Pretrained', checkpoint=path,
                           prefix='backbone')
    model = MODELS.build(dict(
        type='ImageClassifier', data_preprocessor=MEAN_STD,
        backbone=dict(type='mmcoop.ImageTower', vit=vit),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=48)))
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            model.extract_feat(images)[0], zoo.backbone(images)[0],
            rtol=1e-5, atol=1e-5)
    # and there and back
    converted = convert_vit(model.backbone)
    for name, value in zoo.backbone.state_dict().items():
        assert torch.equal(converted.state_dict[name], value), name


def test_zoo_checkpoint_under_a_linear_head(tmp_path, photos):
    path = str(tmp_path / 'zoo.pth')
    make_zoo_checkpoint(path, **ZOO)
    vit = dict(ZOO, init_cfg=dict(type='Pretrained', checkpoint=path,
                                  prefix='backbone'))
    runner = train(tmp_path, dict(
        type='ImageClassifier', data_preprocessor=MEAN_STD,
        backbone=dict(type='mmcoop.ImageTower', vit=vit),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=48)),
        folder(photos, 32), lr=1., epochs=10)
    assert ratio(runner) < 0.7


def test_zoo_has_no_text_tower(tmp_path, vit_file, logged):
    path = str(tmp_path / 'zoo.pth')
    make_zoo_checkpoint(path, **ZOO)
    with pytest.raises(CLIPLoadError, match='no text tower'):
        load_clip(pretrained=path)
    # another width: a prompt of this text tower says nothing of the images
    model = MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='mmcoop.ImageTower', vit=ZOO),
        head=dict(prompt_head(pretrained=vit_file), classes=['a', 'b'])))
    assert any('RANDOM weights' in line for line in logged)
    with pytest.raises(ValueError, match='48.*belong together'):
        model.head(model.extract_feat(torch.randn(1, 3, 32, 32)))
    for bad in (dict(pre_norm=False), dict(out_type='raw'),
                dict(qkv_bias=False),
                dict(layer_cfgs=dict(ffn_type='swiglu_fused'))):
        with pytest.raises(ValueError, match='no counterpart'):
            MODELS.build(dict(type='mmcoop.ImageTower', vit={**ZOO, **bad}))
    with pytest.raises(ValueError, match='either'):
        MODELS.build(dict(type='mmcoop.ImageTower'))
    for checkpoint, prefix in ((path, 'neck'), (vit_file, ''), ('no.pth', '')):
        with pytest.raises((ValueError, FileNotFoundError),
                           match='does not hold'):
            MODELS.build(dict(type='mmcoop.ImageTower', vit=dict(
                ZOO, init_cfg=dict(type='Pretrained', checkpoint=checkpoint,
                                   prefix=prefix))))
