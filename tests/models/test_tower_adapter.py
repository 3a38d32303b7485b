"""A model with a tower adapter: checkpoints, caches, classes, refusals."""
import copy

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmcoop.clip import keep_clips, load_clip
from mmcoop.engine.checks import check_cached_views
from mmcoop.features.keys import NotCacheable
from mmcoop.features.source import check_model

LORA = dict(type='mmcoop.LoRA', rank=2, dropout=0.25)
NORMS = dict(type='mmcoop.LayerNorms')
HEAD = dict(type='mmcoop.PromptLearnerHead',
            prompt=dict(type='mmcoop.TemplatePrompt'))


def build(clip, adapter, **options):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='mmcoop.CoOp', clip=clip, head=dict(HEAD),
                              tower_adapter=adapter, **options))
    model.set_classes(['kite', 'dog', 'sea'])
    return model


def train(model, steps=3):
    """Some steps with a large learning rate."""
    images = torch.randn(4, 3, 32, 32)
    samples = [DataSample().set_gt_label(i % 3) for i in range(4)]
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=0.02)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model.loss(images, samples).values()).backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def predict(model, seed=1):
    images = torch.randn(2, 3, 32, 32,
                         generator=torch.Generator().manual_seed(seed))
    return model(images)


@pytest.mark.parametrize('adapter', [LORA, NORMS], ids=['lora', 'norms'])
def test_models_that_share_a_clip(small_clip, adapter):
    with keep_clips():
        plain = build(small_clip, None).eval()
        before, trained = predict(plain), build(small_clip, adapter)
        assert trained.backbone is plain.backbone
        torch.testing.assert_close(predict(trained.eval()), before)
        train(trained)
        assert (predict(trained) - before).abs().max() > 0.1
        plain.head.reset_cache()
        assert torch.equal(predict(plain), before)
        other = build(small_clip, adapter).eval()
        torch.testing.assert_close(predict(other), before)


@pytest.mark.parametrize('adapter', [LORA, NORMS], ids=['lora', 'norms'])
def test_checkpoint(small_clip, adapter, tmp_path):
    model = train(build(small_clip, adapter))
    state = model.state_dict()
    assert {key.replace('head.', '').split('.')[0] for key in state} == {
        'tower_adapter', 'record'}
    torch.save(state, tmp_path / 'a.pth')
    assert (tmp_path / 'a.pth').stat().st_size < 60_000
    again = build(small_clip, adapter).eval()
    predict(again)  # fills the cache of class features
    found = again.load_state_dict(torch.load(tmp_path / 'a.pth'))
    assert not found.missing_keys and not found.unexpected_keys
    assert torch.equal(predict(again), predict(model))
    # other classes, by text
    for one in (model, again):
        one.set_classes(['cat', 'a very old steam engine', 'T-shirt'])
    assert torch.equal(predict(again), predict(model))
    # averages of models
    twin = copy.deepcopy(model)
    assert twin.backbone is model.backbone
    assert torch.equal(predict(twin), predict(model))
    train(twin)
    assert not torch.equal(predict(twin), predict(model))


def test_checkpoints_that_do_not_fit(small_clip):
    saved = {name: build(small_clip, adapter).state_dict()
             for name, adapter in (('lora', LORA), ('none', None))}
    for name, adapter in (
            ('lora', dict(LORA, rank=3)), ('lora', dict(LORA, alpha=2.)),
            ('lora', NORMS), ('lora', None), ('none', LORA)):
        with pytest.raises(ValueError, match='tower_adapter='):
            build(small_clip, adapter).load_state_dict(
                dict(saved[name]), strict=False)
    # dropout is of training alone
    build(small_clip, dict(LORA, dropout=0.)).load_state_dict(saved['lora'])


def test_class_features_follow_the_adapter(small_clip):
    model = build(small_clip, LORA).eval()
    with torch.no_grad():
        before = model.head.text_features()
        assert model.head.text_features() is before  # kept
        model.head.tower_adapter.B.add_(0.1)
        assert not torch.equal(model.head.text_features(), before)
    with torch.enable_grad():
        assert model.head.text_features().requires_grad


def test_regularizers_see_the_frozen_clip(small_clip):
    """Hand-written and unprompted features are not the adapter's."""
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=small_clip, tower_adapter=NORMS, head=dict(
            HEAD, hand_written=dict(type='mmcoop.TemplatePrompt'),
            regularizers=[dict(type='mmcoop.TextConsistency'),
                          dict(type='mmcoop.ImageConsistency')])))
    model.set_classes(['kite', 'dog', 'sea'])
    model.train()
    images = torch.randn(2, 3, 32, 32)
    samples = [DataSample().set_gt_label(i) for i in range(2)]
    losses = model.loss(images, samples)
    assert losses['loss_text'] < 1e-4 and losses['loss_image'] < 1e-4
    train(model)
    losses = model.loss(images, samples)
    assert losses['loss_text'] > 1e-2 and losses['loss_image'] > 1e-2


def test_with_prompts_in_both_towers(small_clip):
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=small_clip, tower_adapter=LORA, head=dict(
            type='mmcoop.PromptLearnerHead', prompt=dict(
                type='mmcoop.MultiModalPrompt', n_ctx=2, depth=1))))
    model.set_classes(['kite', 'dog', 'sea'])
    before = [p.detach().clone() for p in model.parameters()]
    train(model)
    for p, start in zip(model.parameters(), before):
        changed = p.requires_grad and p.numel() > 0
        assert torch.equal(p, start) != changed


def test_image_features_are_not_cached(small_clip):
    with pytest.raises(NotCacheable, match='tower_adapter changes'):
        check_model(build(small_clip, NORMS))
    check_model(build(small_clip, None))
    hooks = [dict(type='mmcoop.FeatureCacheHook', views=4)]
    model = dict(head=HEAD, tower_adapter=LORA)
    with pytest.raises(ValueError, match='cached_views=4.*tower_adapter'):
        check_cached_views(Config(dict(model=model, custom_hooks=hooks)))


def test_the_text_tower_alone(rn_file):
    """Of any CLIP; image features can be cached."""
    model = MODELS.build(dict(
        type='mmcoop.CoOp', clip=dict(pretrained=rn_file),
        head=dict(HEAD, tower_adapter=NORMS)))
    assert model.tower_adapter is None
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learned and all(name.startswith('head.tower_adapter.')
                           for name in learned)
    check_model(model)


@pytest.mark.parametrize('options,message', [
    (dict(), 'Vision Transformer, and the image tower of this CLIP is a '
             'ModifiedResNet'),
    (dict(freeze_image_tower=False), 'freeze_image_tower=True'),
    (dict(head=dict(type='mmcoop.LinearProbeHead')), 'no text tower')])
def test_refused_before_anything_is_loaded(rn_file, options, message,
                                           monkeypatch):
    monkeypatch.setattr('mmcoop.clip.loading._load', None)
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(dict(type='mmcoop.CoOp', head=dict(HEAD),
                               clip=dict(pretrained=rn_file),
                               tower_adapter=LORA), **options))
    with pytest.raises(TypeError):  # _load would have been called
        load_clip(pretrained=rn_file)
