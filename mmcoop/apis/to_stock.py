"""A trained classifier as a config and a checkpoint of mmpretrain alone.

mmpretrain has no neck that L2-normalises features. Its ``LinearNeck`` with a
LayerNorm does: [f, -f] has mean 0 and, of E features, variance ``|f|^2 / E``,
so that the norm gives ``sqrt(E) [f, -f] / |f|``.
"""
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from ..clip import convert_vit
from .classifier import Classifier
from .graph import ClassifierGraph, ExportError, LinearGraph
from .graph_files import Outputs

EPS = 1e-12  # of the LayerNorm; the features are divided by their norm
State = Dict[str, torch.Tensor]


def write_stock(classifier: Classifier, graph: ClassifierGraph, path: Path,
                about: dict) -> Callable[[List[str]], Outputs]:
    """Write a config and, with the suffix ``.pth``, its checkpoint.

    Args:
        classifier: The classifier.
        graph: Its graph.
        path: Of the config.
        about: A description, for the checkpoint's ``meta``.

    Returns:
        A function that builds the model from these files and gives logits
        and probabilities of image files.

    Raises:
        ExportError: A part has no counterpart in mmpretrain.
    """
    model, state = convert_model(graph)
    pipeline = make_pipeline(about)  # says so if there is no mean
    model['data_preprocessor'] = dict(
        num_classes=len(classifier.classes), to_rgb=True,
        mean=[255 * x for x in classifier.preprocessing['mean']],
        std=[255 * x for x in classifier.preprocessing['std']])
    Config(dict(
        default_scope='mmpretrain',
        model=model,
        test_pipeline=pipeline,
        test_dataloader=dict(
            batch_size=32,
            num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            # folders of the classes, sorted as the names of the classes are
            dataset=dict(type='CustomDataset', data_root='data/test',
                         pipeline=pipeline)),
        test_evaluator=dict(type='Accuracy', topk=1),
        test_cfg=dict())).dump(str(path))
    weights = path.with_suffix('.pth')
    torch.save(dict(
        meta=dict(dataset_meta=dict(classes=classifier.classes),
                  exported=about),
        state_dict=state), weights)
    return load_stock(path, weights)


def convert_model(graph: ClassifierGraph) -> Tuple[dict, State]:
    """Config and weights of mmpretrain's ``ImageClassifier``.

    Raises:
        ExportError: A part has no counterpart in mmpretrain.
    """
    tower = graph.tower
    if tower.prompts is not None:
        raise ExportError('mmpretrain\'s VisionTransformer takes no visual '
                          'prompts (VPT, IVLP, MaPLe, PromptSRC): take '
                          '--format onnx.')
    for part in (tower.backbone, tower.neck):
        if part is not None:
            raise ExportError(f'the {type(part).__name__} of this classifier '
                              "is no part of a CLIP: take --format onnx.")
    try:
        backbone, weights, P = convert_vit(tower.visual)
    except ValueError as error:
        raise ExportError(f'{error} Take --format onnx.') from error
    if P is None:
        P = torch.eye(backbone['arch']['embed_dims'])  # (W, E)
    shift = P.new_zeros(P.shape[1])
    head = graph.head
    if isinstance(head, nn.Sequential) and isinstance(head[0], LinearGraph):
        P, shift, head = head[0].weight.mT, head[0].bias, head[1]  # ProLIP
    if type(head) is not LinearGraph:
        raise ExportError(
            f'mmpretrain has no head for the {_name(head)}, which is not '
            'linear in the image features: take --format onnx.')
    weight = head.weight / (graph.temperature or 1.)  # (K, E)
    bias = head.bias / (graph.temperature or 1.)
    W, E = P.shape
    model = dict(type='ImageClassifier', backbone=backbone)
    state = {f'backbone.{name}': value for name, value in weights.items()}
    if head.unit:
        model['neck'] = dict(type='LinearNeck', in_channels=W,
                             out_channels=2 * E,
                             norm_cfg=dict(type='LN', eps=EPS))
        ones = torch.ones(2 * E)
        state.update({
            'neck.fc.weight': torch.cat([P.mT, -P.mT]),
            'neck.fc.bias': torch.cat([shift, -shift]),
            'neck.norm.weight': ones / E**0.5,  # so that it gives unit vectors
            'neck.norm.bias': 0 * ones})
        weight, channels = torch.cat([weight, -weight], dim=1) / 2, 2 * E
    else:  # the projection is linear too
        bias = bias + weight @ shift
        weight, channels = weight @ P.mT, W
    model['head'] = dict(type='LinearClsHead', num_classes=len(weight),
                         in_channels=channels, topk=(1, ))
    state.update({'head.fc.weight': weight, 'head.fc.bias': bias})
    return model, {name: value.detach().float().contiguous()
                   for name, value in state.items()}


def _name(head: nn.Module) -> str:
    kinds = dict(CacheGraph='cache of Tip-Adapter',
                 Sequential='network of CLIP-Adapter',
                 TransportGraph='optimal transport of PLOT')
    return kinds[type(head).__name__]


def make_pipeline(about: dict) -> List[dict]:
    """Transforms of mmpretrain that make images ready as mmcoop does.

    Args:
        about: The description of an export.

    Raises:
        ExportError: mmcoop's configs have others.
    """
    wanted = about['preprocessing']
    size, mode = wanted['size'], wanted['resize_mode']
    if mode not in ('shortest', 'squash') or wanted['mean'] is None:
        raise ExportError(
            'mmpretrain has no transforms that make images ready as this '
            f'classifier wants them (recorded: {wanted}): take --format onnx.')
    how = dict(backend='pillow', interpolation=wanted['interpolation'])
    load = dict(
        type='LoadImageFromFile', imdecode_backend='pillow',
        color_type='color' if about['as_shown'] else
        'color_ignore_orientation')
    resize = [dict(type='Resize', scale=(size, size), **how)] \
        if mode == 'squash' else \
        [dict(type='ResizeEdge', scale=size, edge='short', **how),
         dict(type='CenterCrop', crop_size=size)]
    return [load, *resize, dict(type='PackInputs')]


def load_stock(config: Path, weights: Path
               ) -> Callable[[List[str]], Outputs]:
    """A function: paths of N images -> logits and probabilities (N, K)."""
    from mmpretrain import get_model
    model = get_model(str(config), pretrained=str(weights), device='cpu')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose(model._config.test_dataloader.dataset.pipeline)

    @torch.no_grad()
    def run(paths: List[str]) -> Outputs:
        data = pseudo_collate([pipeline(dict(img_path=path))
                               for path in paths])
        logits = model(model.data_preprocessor(data, False)['inputs'])
        return logits, logits.softmax(-1)

    return run
