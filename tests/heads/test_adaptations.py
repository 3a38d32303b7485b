"""What the paper compares CoOp with, as parts of the same classifier."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

NAMES = ['cat', 'red_fox', 'crane (bird)']


def build(clip, head=None, **model):
    head = head or dict(
        type='mmcoop.PromptLearnerHead',
        prompt=dict(type='mmcoop.TemplatePrompt'))
    model = MODELS.build(
        dict(type='mmcoop.CoOp', clip=clip, head=head, **model))
    if hasattr(model.head, 'set_classes'):
        model.set_classes(NAMES)
    return model


def adapted(clip, kind):
    return build(clip, dict(
        type='mmcoop.PromptLearnerHead', adapter=dict(type=kind),
        prompt=dict(type='mmcoop.TemplatePrompt')))


def loss_of(model, images):
    samples = [DataSample().set_gt_label(i) for i in range(len(images))]
    return model.train().loss(images, samples)['loss']


@pytest.fixture
def images():
    return torch.randn(3, 3, 32, 32)


@pytest.mark.parametrize('kind', ['mmcoop.TextBias', 'mmcoop.TextTransform'])
def test_adapters_begin_as_zero_shot_and_learn(small_clip, images, kind):
    plain, model = build(small_clip), adapted(small_clip, kind)
    expected = plain.head.text_features()
    assert torch.allclose(model.head.text_features(), expected, atol=1e-6)
    loss_of(model, images).backward()
    learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert len(learned) == 1
    parameter, = learned.values()
    assert parameter.grad.abs().max() > 0
    with torch.no_grad():
        parameter.add_(0.1)
    shift = {'mmcoop.TextBias': expected + 0.1,
             'mmcoop.TextTransform': expected @ (torch.eye(32) + 0.1)}[kind]
    model.eval()
    assert torch.allclose(model.head.text_features(),
                          F.normalize(shift, dim=-1), atol=1e-6)


def test_fixed_prompts_are_encoded_once(small_clip, images, monkeypatch):
    model = adapted(small_clip, 'mmcoop.TextBias')
    calls, encode = [], model.head._encode
    monkeypatch.setattr(
        model.head, '_encode', lambda *args: calls.append(1) or encode(*args))
    model.train()
    for _ in range(3):
        samples = [DataSample().set_gt_label(0) for _ in images]
        model.loss(images, samples)['loss'].backward()
    assert len(calls) == 1


def test_fine_tuning_learns_a_copy(small_clip, images):
    from mmcoop.clip import keep_clips
    with keep_clips():
        frozen = build(small_clip)
        tuned = build(small_clip, freeze_image_tower=False)
    before = frozen.extract_feat(images)[0]
    assert torch.allclose(tuned.extract_feat(images)[0], before, atol=1e-5)
    loss_of(tuned, images).backward()
    learned = [p for p in tuned.parameters() if p.requires_grad]
    assert learned and all(p.grad is not None for p in learned)
    with torch.no_grad():
        for p in learned:
            p.add_(0.01)
    assert torch.equal(frozen.eval().extract_feat(images)[0], before)
    assert any(key.startswith('backbone.') for key in tuned.state_dict())
    assert not any(key.startswith('backbone.')
                   for key in frozen.state_dict())
    with pytest.raises(ValueError, match='fp32'):
        build(dict(small_clip, precision='bf16'), freeze_image_tower=False)


def test_the_hosts_linear_head(small_clip, images):
    model = build(small_clip, dict(
        type='mmpretrain.LinearClsHead', num_classes=3,
        loss=dict(type='mmpretrain.CrossEntropyLoss')))
    assert model.head.fc.in_features == 32
    loss_of(model, images).backward()
    learned = [n for n, p in model.named_parameters() if p.requires_grad]
    assert learned == ['head.fc.weight', 'head.fc.bias']


@pytest.mark.parametrize('kind', ['mmcoop.TextBias', 'mmcoop.TextTransform'])
def test_adapters_travel_in_checkpoints(small_clip, kind):
    model, other = adapted(small_clip, kind), adapted(small_clip, kind)
    with torch.no_grad():
        next(model.head.adapter.parameters()).add_(0.5)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval().head.text_features(),
                       model.eval().head.text_features())
