"""From published checkpoints to mmcoop's, and back."""
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Dict, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..catalog import CATALOG
from ..engine.model_record import make_model_record
from ..methods import get_method
from ..prompts import (BasePrompt, ConditionalContextPrompt, ContextPrompt,
                       MultiModalPrompt)
from ..registry import MODELS
from .classifier import Classifier
from .published_file import Published
from .published_tokens import check_names, decode_names, make_buffers

DTYPES = dict(fp32=torch.float32, fp16=torch.float16)
PROMPTS = dict(CoOp=ContextPrompt, CoCoOp=ConditionalContextPrompt,
               MaPLe=MultiModalPrompt)
# folders of the published scripts: trainers and the start of config names
METHODS = dict(CoOp='coop-m16-end', CoCoOp='cocoop', KgCoOp='kgcoop',
               ProGrad='prograd', MaPLe='maple')
BACKBONES = dict(rn50='RN50', rn101='RN101', vit_b16='ViT-B-16',
                 vit_b32='ViT-B-32')


def find_config(published: Published) -> Path:
    """The config of the method; the trainer's folder tells KgCoOp's."""
    same = [name for name in ('KgCoOp', 'ProGrad')
            if name in published.path.absolute().parts]
    name = same[0] if same and published.method == 'CoOp' else published.method
    return get_method(METHODS[name]).config


def read_options(published: Published) -> Dict[str, str]:
    """The ``--cfg-options`` that tensors and the names of folders tell.

    The published scripts write into ``output/<data set>/<trainer>/
    <config>_<shots>shots/nctx<M>_csc<bool>_ctp<position>/seed<seed>``.

    Raises:
        ValueError: A folder's name contradicts the tensors.
    """
    ctx, prompt = published.tensors['ctx'], 'model.head.prompt'
    options = {f'{prompt}.n_ctx': str(ctx.shape[-2])}
    if published.method == 'MaPLe':
        options[f'{prompt}.depth'] = str(1 + sum(
            key.startswith('compound_prompts_text')
            for key in published.tensors))
    elif ctx.shape[-2] != 4:  # "a photo of a", where the context started
        options[f'{prompt}.ctx_init'] = 'None'
    if published.method == 'CoOp':
        options[f'{prompt}.class_specific'] = str(ctx.ndim == 3)
    for folder in published.path.absolute().parts[:-1]:
        if folder in CATALOG:
            options['dataset'] = folder
        found = re.fullmatch(r'nctx(\d+)_csc(True|False)_ctp(\w+)', folder)
        if found and published.method == 'CoOp':
            if found.groups()[:2] != (options[f'{prompt}.n_ctx'],
                                      str(ctx.ndim == 3)):
                raise ValueError(
                    f'{published.path} lies in {folder}, but its context has '
                    f'the shape {list(ctx.shape)}: put it where it belongs, '
                    'or into a folder without such a name.')
            options[f'{prompt}.class_token_position'] = found[3]
        for start, name in BACKBONES.items():
            if re.match(rf'{start}(_|$)', folder):
                options['model.clip.model_name'] = name
        found = re.search(r'(?:^|_)(?:(\d+)shots|shots_(\d+))$', folder)
        if found:
            options['shots'] = found[1] or found[2]
        found = re.fullmatch(r'seed(\d+)', folder)
        if found:
            options['seed'] = found[1]
    return options


def to_mmcoop(published: Published, cfg: Config,
              classes: Optional[Sequence[str]] = None) -> dict:
    """A checkpoint for ``tools/test.py`` and :func:`mmcoop.load`.

    Args:
        published: What :func:`mmcoop.apis.read_published` gives.
        cfg: A resolved config of the method, with the CLIP that it was
            learned for.
        classes: Names of the K classes in the order of their labels. None
            takes those of the file as the tokenizer spells them (in lower
            case); they give the same logits.

    Raises:
        ValueError: The config's prompt learns other tensors, or the file was
            learned for other class names or another CLIP.
    """
    path = published.path
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    prompt, tower = model.head.prompt, model.head.text_tower
    if type(prompt) is not PROMPTS[published.method]:
        raise ValueError(f'{path} is of {published.method}, and the config '
                         f'has a {type(prompt).__name__} (model.head.prompt).')
    ctx, suffix = published.tensors['ctx'], published.buffers.get(
        'token_suffix')
    if ctx.shape[-1] != tower.width:
        raise ValueError(
            f'{path} was learned for a text tower of width {ctx.shape[-1]}, '
            f'and {tower.name} has {tower.width}: set model.clip.')
    if not classes and suffix is None:
        raise ValueError(f'{path} holds no class names: give them.')
    names = list(classes or decode_names(suffix, prompt, tower, path))
    if suffix is not None:
        check_names(suffix, names, prompt, tower, path)
    model.set_classes(names)
    own = learned_tensors(prompt)
    odd = [f'{name} {list(tensors[name].shape)} in {where}'
           for tensors, others, where in (
               (published.tensors, own, 'the file'),
               (own, published.tensors, 'the config'))
           for name in tensors if name not in others
           or tensors[name].shape != others[name].shape]
    if odd:
        raise ValueError(f'{path} does not fit the config: there is '
                         f'{", ".join(odd)}.')
    for name, tensor in own.items():
        tensor.copy_(published.tensors[name])
    record = make_model_record(SimpleNamespace(model=model, cfg=cfg))
    return dict(
        meta=dict(mmcoop=record, epoch=published.epoch,
                  dataset_meta=dict(classes=tuple(names)),
                  published=dict(precision=published.precision)),
        state_dict=model.state_dict())


def to_published(classifier: Classifier, epoch: int,
                 precision: str = 'fp32') -> Published:
    """What the published code would have saved.

    Args:
        classifier: What :func:`mmcoop.load` returns.
        epoch: It is a part of the file's name.
        precision: ``fp32`` or ``fp16``, of the published run that is to load
            it (``TRAINER.COOP.PREC``).

    Raises:
        ValueError: It is none of CoOp, CoCoOp, KgCoOp, ProGrad and MaPLe.
    """
    head = classifier.model.head
    prompt = getattr(head, 'prompt', None)
    method = next((name for name, kind in PROMPTS.items()
                   if type(prompt) is kind), None)
    if method is None or getattr(prompt, 'n_prompts', 1) > 1 \
            or not getattr(prompt, 'coupled', True) \
            or head.tower_adapter is not None or head.adapter is not None:
        raise ValueError(
            f'{classifier.record["method"]} has no published form: the '
            'published codes of CoOp, CoCoOp, KgCoOp, ProGrad and MaPLe save '
            'one context, with nothing learned inside the towers.')
    dtype = DTYPES[precision]
    tensors = {name: tensor.cpu().to(dtype)
               for name, tensor in learned_tensors(prompt).items()}
    buffers = make_buffers(classifier.classes, prompt, head.text_tower, dtype)
    return Published(Path(), method, tensors, buffers, epoch)


def learned_tensors(prompt: BasePrompt) -> Dict[str, torch.Tensor]:
    """What a prompt learns, by the published names; views, not copies."""
    tensors = {}
    for name, parameter in prompt.named_parameters():
        value = parameter.data
        layer = re.fullmatch(r'projections\.(\d+)\.(\w+)', name)
        if name == 'deep_ctx':  # (L, M, D)
            tensors.update((f'compound_prompts_text.{i}', row)
                           for i, row in enumerate(value))
        elif layer and layer[1] == '0':
            tensors[f'proj.{layer[2]}'] = value
        elif layer:
            tensors[f'compound_prompt_projections.{int(layer[1]) - 1}.'
                    f'{layer[2]}'] = value
        else:
            tensors[f'meta_net.{name}' if 'linear' in name else name] = value
    return tensors
