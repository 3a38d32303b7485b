"""Classifiers of mmpretrain with parts of ours, from a checkpoint alone."""
import numpy as np
import pytest
import torch
from PIL import Image

import mmcoop

from .test_load import CLASSES, save

LINEAR = dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=32)
GREY = dict(mean=[127.] * 3, std=[60.] * 3, to_rgb=True)


@pytest.mark.parametrize('kind', ['linear', 'prompt', 'stock'])
def test_built(kind, small_clip, tmp_path):
    model = dict(type='mmpretrain.ImageClassifier', data_preprocessor=GREY,
                 backbone=dict(type='mmcoop.ImageTower', clip=small_clip),
                 head=LINEAR)
    if kind == 'prompt':
        model['head'] = dict(
            type='mmcoop.PromptLearnerHead', clip=small_clip,
            prompt=dict(type='mmcoop.ContextPrompt', n_ctx=2))
    if kind == 'stock':
        model.update(
            backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=.1,
                          init_cfg=dict(type='Pretrained', prefix='x',
                                        checkpoint='gone.pth')),
            neck=dict(type='mmpretrain.GlobalAveragePooling'),
            head=dict(LINEAR, in_channels=1280))
    path = save(tmp_path / 'x.pth', model)
    state = torch.load(path)['state_dict']
    found = mmcoop.load(path, device='cpu')
    assert found.classes == CLASSES
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_top_level_preprocessor(small_clip, tmp_path):
    """mmengine's runner puts it into the model, not into the config."""
    model = dict(type='mmcoop.CoOp', clip=small_clip,
                 head=dict(type='mmcoop.LinearProbeHead'))
    path = save(tmp_path / 'x.pth', model, data_preprocessor=GREY)
    found = mmcoop.load(path, device='cpu').model.data_preprocessor
    assert found.mean.flatten().tolist() == GREY['mean']
    path = save(tmp_path / 'x.pth', dict(
        model, data_preprocessor=dict(mean=[1.] * 3, std=[1.] * 3)),
        data_preprocessor=GREY)
    found = mmcoop.load(path, device='cpu').model.data_preprocessor
    assert found.mean.flatten().tolist() == [1.] * 3


def test_arrays_with_a_stock_pipeline(small_clip, tmp_path, files):
    model = dict(type='mmcoop.CoOp', clip=small_clip,
                 head=dict(type='mmcoop.LinearProbeHead'))
    steps = [dict(type='LoadImageFromFile'), dict(
        type='Resize', scale=(32, 32)), dict(type='PackInputs')]
    found = mmcoop.load(save(tmp_path / 'x.pth', model, steps),
                        device='cpu')
    array = np.asarray(Image.open(files[0]))
    assert torch.equal(found.logits(array), found.logits(files[0]))
    found = mmcoop.load(save(tmp_path / 'x.pth', model), device='cpu')
    with pytest.raises(ValueError, match='does not say how images are'):
        found.logits(array)
