"""What a checkpoint says of itself, so that it can be used without a config.

:func:`mmcoop.load` reads it. It holds plain values only, so that it loads with
``weights_only=True``.
"""
import inspect
import os
from dataclasses import asdict
from typing import Any, List

import torch.nn as nn
from mmengine.config import Config

import mmcoop

from ..clip import FrozenModule
from ..config import find_model
from ..config.selection import datasets_in, type_name
from .method_name import name_method
from .runner import unwrap

KEY = 'mmcoop'  # in checkpoint['meta']
FORMAT = 1
LOCAL = 'local-dir:'  # open_clip's name of a folder
PATHS = ('model_name', 'pretrained', 'checkpoint')  # places of local files


class NotPlain(ValueError):
    """A config holds what a checkpoint cannot; the message says where."""


def make_model_record(runner) -> dict:
    """What a checkpoint tells of the model of a run.

    Args:
        runner: The runner, with a resolved config.

    Returns:
        ``format``, ``version``, ``method``, ``model`` (its config),
        ``classes``, ``test_pipeline``, ``preprocessing``
        (:func:`describe_preprocessing`), ``temperature`` and ``image_tower``
        (the fingerprint of the frozen one, or None).

    Raises:
        NotPlain: The model is not described by the config of the run.
    """
    model, cfg = unwrap(runner.model), runner.cfg
    described = find_model(cfg)
    if 'type' not in described:
        raise NotPlain('the runner got a model, and no config of it')
    if described is cfg.model and cfg.get('data_preprocessor'):
        # mmengine's runner puts it into the model
        described = {'data_preprocessor': cfg.data_preprocessor, **described}
    described = to_plain(described, 'model')
    if described.get('clip'):  # whatever its files say where it is used
        wanted = asdict(model.clip_preprocessing)
        del wanted['is_known']
        described['clip'].update(wanted)
    pipeline = to_plain(find_test_pipeline(cfg), 'test_pipeline')
    backbone = getattr(model, 'backbone', None)
    return dict(
        format=FORMAT,
        version=mmcoop.__version__,
        method=name_method(cfg, model),
        model=described,
        classes=find_classes(runner, model),
        test_pipeline=pipeline,
        preprocessing=describe_preprocessing(model, pipeline),
        temperature=getattr(model.head, 'temperature', None),
        image_tower=backbone.fingerprint()
        if isinstance(backbone, FrozenModule) else None)


def find_test_pipeline(cfg: Config) -> List[dict]:
    """The transforms of the test images, also inside wrappers."""
    for name in ('test_dataloader', 'val_dataloader'):
        loader = cfg.get(name) or {}
        for part in datasets_in(loader.get('dataset')):
            if part.get('pipeline'):
                return part['pipeline']
    return []


def find_classes(runner, model: nn.Module) -> List[str]:
    """Names of the classes that a model predicts."""
    names = getattr(model.head, 'class_names', None)
    if not names:  # of a linear head
        names = runner.train_dataloader.dataset.metainfo.get('classes')
    return [str(name) for name in names or ()]


def describe_preprocessing(model: nn.Module, pipeline: List[dict]) -> dict:
    """How images are made ready for a model.

    Args:
        model: A classifier with a data preprocessor.
        pipeline: Configs of the transforms that testing uses.

    Returns:
        ``size`` (pixels), ``resize_mode`` (``shortest``, ``squash`` or
        ``longest``) and ``interpolation``, None where the transforms are none
        of mmcoop's configs; ``mean`` and ``std`` of the data preprocessor (RGB
        of 0 to 1), None if it does not normalise.
    """
    about = dict(size=None, resize_mode=None, interpolation=None, mean=None,
                 std=None)
    names = [type_name(step) for step in pipeline]
    resize = pipeline[1] if len(pipeline) > 1 else {}
    if names == ['LoadImage', 'CLIPResize', 'PackInputs']:
        about.update(size=resize['scale'],
                     resize_mode=resize.get('resize_mode', 'shortest'),
                     interpolation=resize.get('interpolation', 'bicubic'))
    elif names == ['LoadImage', 'ResizeEdge', 'CenterCrop', 'PackInputs'] \
            and resize['scale'] == pipeline[2].get('crop_size') \
            and resize.get('edge', 'short') == 'short' \
            and resize.get('backend') == 'pillow':  # configs before 0.6
        about.update(size=resize['scale'], resize_mode='shortest',
                     interpolation=resize.get('interpolation', 'bilinear'))
    for name in ('mean', 'std'):
        value = getattr(model.data_preprocessor, name, None)
        if value is not None:
            about[name] = [round(number / 255, 8)
                           for number in value.flatten().tolist()]
    return about


def to_plain(part: Any, where: str) -> Any:
    """A copy of a part of a config, of plain values only.

    Classes become their registered names, and paths of local files absolute
    ones.

    Args:
        part: A value, dict, list or tuple.
        where: Its place, for messages.

    Raises:
        NotPlain: There is something else in it.
    """
    if isinstance(part, dict):
        return {str(key): to_plain(value, f'{where}.{key}')
                for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(to_plain(value, f'{where}.{i}')
                          for i, value in enumerate(part))
    if inspect.isclass(part):  # of a config in the lazy style
        return f'{part.__module__.split(".")[0]}.{part.__name__}'
    if isinstance(part, str):
        scheme = LOCAL if part.startswith(LOCAL) else ''
        path = os.path.expanduser(part[len(scheme):])
        if where.split('.')[-1] in PATHS and os.path.exists(path):
            return f'{scheme}{os.path.abspath(path)}'
        return str(part)
    if isinstance(part, (bool, int, float, type(None))):
        return part
    raise NotPlain(f'{where} is a {type(part).__name__}')
