"""Equal to the published implementation, on its golden values."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmcoop import resolve

from ..conftest import ROOT

CASES = [
    f'vit/M{m}_{position}_{kind}' for m in (4, 16)
    for position in ('end', 'middle', 'front') for kind in ('unified', 'csc')
] + ['rn/M4_end_unified']


@pytest.fixture(autouse=True)
def one_thread():
    """One order of summation. The golden ResNet gradient is 0.7e-5 of its
    scale from fp64 itself; two threads bring ours to 1.25e-5 from it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_equal(ours, golden):
    """Within 1e-5 of the values' scale.

    Not of each value: golden logits (about 17) carry 2.4e-5 of fp32 rounding
    themselves, as the same computation in fp64 shows.
    """
    golden = golden.to(ours.dtype)
    assert ours.shape == golden.shape
    error = (ours.detach() - golden).abs().max().item()
    assert error <= 1e-5 * max(1., golden.abs().max().item()), error


def build(request, case, **prompt):
    tower, name = case.split('/')
    m, position, kind = name.split('_')
    prompt = dict(
        dict(
            type='mmcoop.ContextPrompt',
            n_ctx=int(m[1:]),
            class_token_position=position,
            class_specific=kind == 'csc'), **prompt)
    tower = 'rn' if tower == 'rn' else 'vit'
    return MODELS.build(
        dict(
            type='mmcoop.CoOp',
            clip=dict(pretrained=request.getfixturevalue(f'{tower}_file')),
            head=dict(type='mmcoop.PromptLearnerHead', prompt=prompt)))


def samples(labels):
    return [DataSample().set_gt_label(int(label)) for label in labels]


@pytest.mark.parametrize('case', CASES)
def test_features_logits_loss_gradient(request, golden, case):
    values, info = golden
    model = build(request, case)
    model.set_classes(info['class_names'])
    model.head.prompt.ctx.data.copy_(values[f'{case}/ctx'])
    model.train()
    features = model.head.text_tower(
        model.head.prompt(model.head.text_tower)[0])[0]
    assert_equal(features, values[f'{case}/text_features'])
    feats = model.extract_feat(values['images'])
    tower = case.split('/')[0]
    assert_equal(feats[-1], values[f'{tower}/image_features'])
    assert_equal(model.head(feats), values[f'{case}/logits'])
    loss = model.head.loss(feats, samples(values['labels']))['loss']
    assert_equal(loss, values[f'{case}/loss'])
    loss.backward()
    assert_equal(model.head.prompt.ctx.grad, values[f'{case}/ctx_grad'])


@pytest.mark.parametrize('class_specific', [False, True])
def test_context_from_words(request, golden, class_specific):
    values, info = golden
    model = build(request, 'vit/M4_end_unified', ctx_init='a photo of a',
                  class_specific=class_specific)
    model.set_classes(info['class_names'])
    words = values['init/a photo of a/ctx']
    if class_specific:
        words = words.expand(len(info['class_names']), -1, -1)
    assert torch.equal(model.head.prompt.ctx.data, words)


def test_token_ids(request, golden):
    values, info = golden
    model = build(request, 'vit/M16_end_unified')
    model.set_classes(info['class_names'])
    tokenizer = model.head.text_tower.tokenizer
    slots = model.head.prompt.slots
    endings = slots.endings.ids.split(slots.layout.lengths)
    for k, name in enumerate(info['class_names']):
        ids = [tokenizer.sot] + [343] * 16 + endings[k].tolist()
        ids += [0] * (77 - len(ids))
        assert ids == values['tokens/M16_X'][k].tolist(), name
        clean = name.replace('_', ' ')
        assert len(tokenizer.encode(clean)) == values['name_lens'][k]


def test_zero_shot(request, golden):
    values, info = golden
    model = build(request, 'vit/M4_end_unified')
    head = model.head
    for key, templates in [('zeroshot/a photo of a {}.', 'a photo of a {}.'),
                           ('zeroshot/a photo of a {}.', 'generic'),
                           ('zeroshot/ensemble7', 'ensemble7')]:
        head.prompt = MODELS.build(
            dict(type='mmcoop.TemplatePrompt', templates=templates))
        head.set_classes(info['class_names'])
        expected = F.normalize(values[f'{key}/text_features'], dim=-1)
        assert_equal(head.text_features(), expected)


def test_an_ensemble_is_the_mean_of_its_templates(request, golden):
    """Each template's features normalised, averaged, normalised again."""
    values, info = golden
    head = build(request, 'vit/M4_end_unified').head

    def features(**prompt):
        head.prompt = MODELS.build(
            dict(type='mmcoop.TemplatePrompt', **prompt))
        head.set_classes(info['class_names'])
        return head.prompt.texts, head.text_features()

    own = 'a centered satellite photo of {}.'
    for name in ('name', 'ensemble80', 'ensemble7+own'):
        templates, together = features(templates=name, own=own)
        alone = [features(templates=template)[1] for template in templates]
        expected = F.normalize(torch.stack(alone).mean(0), dim=-1)
        assert_equal(together, expected)
        assert len(templates) == {'name': 1, 'ensemble80': 80,
                                  'ensemble7+own': 8}[name]
    assert templates[-1] == own


@pytest.mark.parametrize('case', ['M16_end_unified', 'M4_middle_csc'])
def test_training_trajectory(request, golden, case):
    """Our config's optimiser and schedule, through mmengine's own builders."""
    values, info = golden
    key = f'train/{case}'
    model = build(request, key)
    model.set_classes(info['class_names'])
    model.head.prompt.ctx.data.copy_(values[f'{key}/ctx0'])
    cfg = Config.fromfile(ROOT / 'configs/_base_/schedules/coop_sgd.py')
    cfg.max_epochs = 6
    cfg = resolve(cfg)
    assert cfg.train_cfg.max_epochs == 6
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    learned = [p for g in wrapper.param_groups for p in g['params']]
    assert len(learned) == 1 and learned[0] is model.head.prompt.ctx
    schedulers = [
        PARAM_SCHEDULERS.build(s, default_args=dict(optimizer=wrapper))
        for s in cfg.param_scheduler
    ]
    images = torch.randn(
        32, 3, 64, 64, generator=torch.Generator().manual_seed(28))
    labels = torch.randint(
        len(info['class_names']), (32, ),
        generator=torch.Generator().manual_seed(29))
    losses, lrs = [], []
    model.train()
    for _ in range(6):
        lrs.append(wrapper.param_groups[0]['lr'])
        for batch in range(4):
            rows = slice(8 * batch, 8 * batch + 8)
            loss = model.loss(images[rows], samples(labels[rows]))['loss']
            wrapper.update_params(loss)
            losses.append(loss.item())
        for scheduler in schedulers:
            scheduler.step()
    for ours, lr in zip(lrs, values[f'{key}/lrs'].tolist()):
        assert math.isclose(ours, lr, rel_tol=1e-12)
    assert_equal(torch.tensor(losses), values[f'{key}/losses'])
    assert_equal(model.head.prompt.ctx.data, values[f'{key}/ctx'])
