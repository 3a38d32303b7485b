"""Trained classifiers as graphs: the same logits, without the text tower."""
import pytest
import torch
from torch import nn

import mmcoop
from mmcoop.apis.graph import ClassifierGraph, ExportError, fold_head
from mmcoop.apis.to_stock import convert_model
from mmcoop.clip import load_clip
from mmcoop.registry import MODELS

CLASSES = ['red fox', 'snow', 'grass', 'a long name of a lake']
TEMPLATES = ['a photo of a {}.', 'a {} at night.']
WORDS = dict(type='mmcoop.TemplatePrompt', templates=TEMPLATES)
CONTEXT = dict(type='mmcoop.ContextPrompt', n_ctx=4)


def learner(prompt, **kwargs):
    return dict(type='mmcoop.PromptLearnerHead', prompt=prompt, **kwargs)


def fitted(name, **kwargs):
    return dict(type=f'mmcoop.{name}', prompt=dict(WORDS), **kwargs)


LINEAR = {
    'coop': learner(CONTEXT),
    'coop-csc': learner(dict(CONTEXT, class_specific=True)),
    'ensemble-features': learner(WORDS),
    'ensemble-logits': learner(dict(CONTEXT, n_prompts=2, combine='logits')),
    'text-bias': learner(WORDS, adapter=dict(type='mmcoop.TextBias')),
    'gda': fitted('GDAHead', alpha=3.),
    'lp++': fitted('LPPlusPlusHead'),
    'clap': fitted('CLAPHead'),
    'taskres': fitted('TaskResHead'),
    'cross-modal': fitted('CrossModalHead'),
    'prolip': fitted('ProLIPHead'),
    'linear-probe': dict(type='mmcoop.LinearProbeHead'),
    'linear-head': dict(type='mmpretrain.LinearClsHead', num_classes=4),
}
OTHERS = {
    'tip-adapter': fitted('TipAdapterHead', alpha=2., beta=4.),
    'clip-adapter': fitted('CLIPAdapterHead', ratio=0.6),
    'plot': learner(dict(type='mmcoop.TransportPrompt', n_ctx=4)),
    'vpt': learner(dict(type='mmcoop.MultiModalPrompt', n_ctx=0, depth=1,
                        n_visual=2, visual_depth=2, coupled=False)),
    'maple': learner(dict(type='mmcoop.MultiModalPrompt', n_ctx=2, depth=2)),
}


@pytest.fixture(scope='module')
def clips(vit_file, rn_file):
    return dict(vit=load_clip(pretrained=vit_file),
                rn=load_clip(pretrained=rn_file))


def build(clip, head, **kwargs):
    """A classifier whose learned parameters are random."""
    model = mmcoop.models.CoOp(clip=clip, head=dict(head), **kwargs)
    if hasattr(model.head, 'set_classes'):
        model.set_classes(CLASSES)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in getattr(model.head, 'learned', dict)().items():
        if name == 'keys':
            tensor = tensor.new_zeros(7, tensor.shape[1])
        if name == 'labels':
            model.head.assign(name, torch.tensor([0, 1, 2, 3, 3, 0, 1]))
        else:
            model.head.assign(name, torch.randn(
                tensor.shape, generator=generator, dtype=tensor.dtype))
    for name, p in model.head.named_parameters():
        if p.requires_grad:
            p.data += .1 * torch.randn(p.shape, generator=generator)
    return model.eval()


def make_graph(model, **kwargs):
    return ClassifierGraph(model, model.backbone.image_size, **kwargs)


def images(model, n=3):
    size = model.backbone.image_size
    return torch.randn(n, 3, size, size,
                       generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def assert_same(graph, model, n=3):
    x = images(model, n)
    expected = model(x).float()
    logits, probabilities = graph(x)
    scale = expected.abs().max().item()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5 * scale)
    torch.testing.assert_close(probabilities, expected.softmax(1), rtol=0,
                               atol=1e-5)


@pytest.mark.parametrize('name', [*LINEAR, *OTHERS])
def test_heads(name, clips):
    model = build(clips['vit'], {**LINEAR, **OTHERS}[name])
    graph = make_graph(model)
    assert_same(graph, model)
    assert not any('text' in key and 'head.text' not in key
                   for key in graph.state_dict())  # its tower is gone


@pytest.mark.parametrize('name', ['coop', 'prolip', 'plot'])
def test_resnet(name, clips):
    model = build(clips['rn'], {**LINEAR, **OTHERS}[name])
    assert_same(make_graph(model), model)


def test_subset_of_classes(clips):
    for name in ('gda', 'tip-adapter'):
        model = build(clips['vit'], {**LINEAR, **OTHERS}[name])
        model.set_classes(CLASSES[2:0:-1])
        assert_same(make_graph(model), model)


def test_another_backbone(small_clip):
    """A prompt over a stock classifier's features, with a neck."""
    model = MODELS.build(dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmpretrain.MobileNetV2', widen_factor=.1),
        neck=[dict(type='mmpretrain.GlobalAveragePooling'),
              dict(type='mmpretrain.LinearNeck', in_channels=1280,
                   out_channels=32, norm_cfg=None)],
        head=learner(CONTEXT, clip=small_clip, classes=CLASSES))).eval()
    model.backbone.image_size = 32
    graph = make_graph(model)
    assert_same(graph, model)
    with pytest.raises(ExportError, match='MobileNetV2 .* no part of a CLIP'):
        convert_model(graph)


def test_what_is_learned_in_the_image_tower(clips):
    lora = build(clips['vit'], LINEAR['coop'],
                 tower_adapter=dict(type='mmcoop.LoRA'))
    lora.tower_adapter.B.data.normal_(std=.1)
    plain = make_graph(build(clips['vit'], LINEAR['coop']))
    graph = make_graph(lora)
    assert_same(graph, lora)
    assert not torch.allclose(graph(images(lora))[0], plain(images(lora))[0])
    tuned = build(clips['vit'], LINEAR['ensemble-features'],
                  freeze_image_tower=False)
    for p in tuned.backbone.parameters():
        p.data *= 1.1
    assert_same(make_graph(tuned), tuned)


def test_temperature_and_pixels(clips):
    model = build(clips['vit'], LINEAR['coop'])
    size = model.backbone.image_size
    pixels = torch.randint(256, (3, size, size, 3), dtype=torch.uint8)
    graph = make_graph(model, temperature=2., normalize=True)
    data = model.data_preprocessor(  # takes BGR
        dict(inputs=[x.permute(2, 0, 1).flip(0) for x in pixels]))
    expected = model(data['inputs']) / 2
    torch.testing.assert_close(graph(pixels)[0], expected)


def test_the_model_stays_as_it_is(clips):
    model = build(clips['vit'], LINEAR['coop'])
    before = model(images(model))
    graph = make_graph(model)
    for tensor in graph.parameters():
        tensor.data.zero_()
    assert torch.equal(model(images(model)), before)


def test_refused(clips):
    model = build(clips['vit'], learner(
        dict(type='mmcoop.ConditionalContextPrompt')))
    with pytest.raises(ExportError, match='for each image.*configs/maple'):
        make_graph(model)
    head = MODELS.build(dict(type='LinearClsHead', num_classes=4,
                             in_channels=8))
    head.fc = nn.Sequential(head.fc, nn.Tanh())
    with pytest.raises(ExportError, match='LinearClsHead is not linear'):
        fold_head(head, 8)


@pytest.mark.parametrize('name', LINEAR)
def test_stock(name, clips):
    """mmpretrain's own classifier gives the same logits."""
    model = build(clips['vit'], LINEAR[name])
    config, state = convert_model(make_graph(model))
    stock = MODELS.build(dict(config, type='mmpretrain.ImageClassifier'))
    stock.load_state_dict(state)
    stock.eval()
    assert_same(lambda x: (stock(x), stock(x).softmax(1)), model)


def test_not_stock(clips):
    for name, words in (('tip-adapter', 'cache of Tip-Adapter'),
                        ('clip-adapter', 'network of CLIP-Adapter'),
                        ('plot', 'transport of PLOT'),
                        ('maple', 'no visual prompts')):
        graph = make_graph(build(clips['vit'], OTHERS[name]))
        with pytest.raises(ExportError, match=f'{words}.*onnx'):
            convert_model(graph)
    graph = make_graph(build(clips['rn'], LINEAR['coop']))
    with pytest.raises(ExportError, match='ModifiedResNet'):
        convert_model(graph)
