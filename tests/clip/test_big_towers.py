"""Large CLIPs by open_clip's names: random weights, one of their layers."""
import copy
from functools import partial

import open_clip
import pytest
import timm
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from open_clip.factory import _MODEL_CONFIGS, get_model_config
from open_clip.pretrained import get_pretrained_cfg

from mmcoop.clip import load_clip, loading, read_architecture

from ..conftest import nightly

INCEPTION, OPENAI = (0.5, 0.5, 0.5), open_clip.OPENAI_DATASET_MEAN
NAMES = ['snow leopard', 'fox', 'wild cat (felis silvestris)']


@pytest.fixture
def build(monkeypatch):
    """Builds (open_clip's model, our CLIP) of a name and tag, with one layer
    in each tower."""
    built = []

    def create(*args, **kwargs):
        built.append(create_model(*args, **kwargs))
        return built[-1]

    def run(name, tag):
        config = copy.deepcopy(get_model_config(name))
        for part in ('vision_cfg', 'text_cfg'):
            config[part]['layers'] = 1
        monkeypatch.setitem(_MODEL_CONFIGS, name, config)
        # no weights are read, and the tag says what else it does
        cfg = get_pretrained_cfg(name, tag)
        assert cfg
        monkeypatch.setattr(loading, 'find_weights', lambda *_: (None, cfg))
        clip = load_clip(name, tag)
        return built[-1].eval(), clip

    create_model = open_clip.create_model
    monkeypatch.setattr(open_clip, 'create_model', create)
    monkeypatch.setattr(timm, 'create_model',
                        partial(timm.create_model, depth=1))
    return run


@pytest.mark.slow
@pytest.mark.parametrize('name,tag,size,mean,width', [
    ('ViT-L-14', 'laion2b_s32b_b82k', 224, INCEPTION, 768),
    pytest.param('ViT-H-14', 'laion2b_s32b_b79k', 224, OPENAI, 1024,
                 marks=nightly),  # 5 GB of memory
    ('EVA02-L-14-336', 'merged2b_s6b_b61k', 336, OPENAI, 768),
])
def test_big_tower(build, name, tag, size, mean, width):
    assert read_architecture(name).image_size == size
    model, clip = build(name, tag)
    assert clip.image_tower.image_size == size
    assert clip.preprocessing.mean == mean
    assert clip.text_tower.packable
    assert clip.text_tower.out_channels == width
    images = torch.randn(1, 3, size, size)
    prompt = MODELS.build(
        dict(type='mmcoop.TemplatePrompt', templates='a photo of a {}.'))
    prompt.set_classes(NAMES, clip.text_tower)
    texts = open_clip.tokenize([f'a photo of a {name}.' for name in NAMES])
    with torch.no_grad():
        torch.testing.assert_close(
            clip.text_tower(prompt(clip.text_tower)[0])[0],
            model.encode_text(texts), rtol=1e-5, atol=1e-5)
        features = clip.image_tower(images)[0]
        torch.testing.assert_close(features, model.encode_image(images),
                                   rtol=1e-5, atol=1e-5)
    coop = MODELS.build(dict(
        type='mmcoop.CoOp', clip=clip, head=dict(
            type='mmcoop.PromptLearnerHead', classes=NAMES,
            prompt=dict(type='mmcoop.ContextPrompt', n_ctx=16))))
    labels, ctx = [DataSample().set_gt_label(1)], coop.head.prompt.ctx
    before = coop.loss(images, labels)['loss']
    before.backward()
    assert [name for name, p in coop.named_parameters()
            if p.grad is not None] == ['head.prompt.ctx']
    with torch.no_grad():
        ctx -= 0.1 * ctx.grad / ctx.grad.norm()
    assert coop.loss(features, labels)['loss'] < before
