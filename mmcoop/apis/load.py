"""Build the classifier of a checkpoint, without a config."""
import math
import os
import threading
from pathlib import Path
from typing import Any, List, Optional, Union

import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import WEIGHT_INITIALIZERS, DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import BATCH_AUGMENTS

from ..checkpoints import find_last_checkpoint
from ..clip import CLIPLoadError
from ..clip.preprocessing import read_tag
from ..engine.checks import check_finite
from ..engine.model_record import FORMAT, KEY, LOCAL
from ..registry import MODELS, TRANSFORMS, check_registered
from ..safe_load import check_is_safe, reason_of
from .classifier import Classifier

# of a record, and what they are
FIELDS = dict(format=int, version=str, method=str, model=dict, classes=list,
              test_pipeline=(list, tuple), preprocessing=dict,
              temperature=(float, int, type(None)),
              image_tower=(str, type(None)))

Clip = Union[str, os.PathLike, dict]

# mmengine's default scope and open_clip's configs belong to the process
_building = threading.Lock()


def load(checkpoint: Union[str, os.PathLike], clip: Optional[Clip] = None,
         device: Union[str, torch.device, None] = None) -> Classifier:
    """Load a trained classifier from its checkpoint alone.

    The checkpoint names its CLIP, whose weights it does not hold. They are
    looked for where they were in training, then by the name of their file
    beside the checkpoint and in the current folder; a tag is fetched if its
    file is in neither.

    Args:
        checkpoint: A checkpoint of mmcoop, or the folder of a run: its best
            checkpoint if there is one, else its last.
        clip: The file of the CLIP's weights, or arguments of
            :func:`mmcoop.clip.load_clip` that replace the recorded ones.
        device: Where to compute; None takes a GPU if there is one.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: The checkpoint is damaged, none of mmcoop's, of an earlier
            version, names a part that is not registered, holds NaN, or was
            learned with another CLIP; or the device is unknown.
        mmcoop.clip.CLIPLoadError: The CLIP's weights are not found.

    Example:
        >>> classifier = mmcoop.load('work_dirs/coop_demo')
        >>> classifier.predict(['river.jpg'])[0]['label']
    """
    path = find_checkpoint(checkpoint)
    check_device(device)
    content = check_is_safe(str(path))
    record = read_record(content, path)
    try:
        check_finite(content, path)
    except (AttributeError, RuntimeError) as error:  # by torch's version
        raise ValueError(f'{path} is damaged: its tensors cannot be read '
                         f'({reason_of(error)}).') from error
    with _building, DefaultScope.overwrite_default_scope('mmpretrain'):
        try:
            check_registered(
                record['model'],
                (MODELS, BATCH_AUGMENTS, WEIGHT_INITIALIZERS), 'model')
            check_registered(record['test_pipeline'], (TRANSFORMS, ),
                             'test_pipeline')
            model = _build(record['model'], path, clip)
            pipeline = Compose([ConfigDict(step)
                                for step in record['test_pipeline']])
        except (OSError, CLIPLoadError):
            raise
        except Exception as error:  # whatever part of the model raises it
            raise ValueError(f'{path}: the model that it describes cannot be '
                             f'built here: {error}') from error
    _load_state(model, content['state_dict'], path)
    expected = record.get('image_tower')
    if expected and model.backbone.fingerprint() != expected:
        raise ValueError(
            f'{path} was learned with another CLIP: its image tower had the '
            f'fingerprint {expected}, this one has '
            f"{model.backbone.fingerprint()}. Give the weights that it was "
            f"trained with (clip='/path/to/weights'; --clip FILE).")
    model.head.temperature = record['temperature']
    model.to(device or get_device()).eval()
    return Classifier(model, pipeline, record)


def find_checkpoint(path: Union[str, os.PathLike]) -> Path:
    """The checkpoint of a path: itself, or the best or last one of a folder.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f'there is no checkpoint {path}')
        return path
    best = sorted(path.glob('best_*.pth'), key=os.path.getmtime)
    if best:
        return best[-1]
    last = find_last_checkpoint(path)
    if last is None:
        raise FileNotFoundError(
            f'there is no checkpoint (*.pth) in {path}: give the work '
            'directory of a run, or a checkpoint.')
    return Path(last)


def check_device(device: Union[str, torch.device, None]) -> None:
    """Raise ValueError for a device that torch does not know or see here."""
    try:
        torch.empty(0, device=device or 'cpu').cpu()  # meta has no values
    except Exception as error:  # each kind of device raises another
        raise ValueError(
            f'device={str(device)!r}: PyTorch cannot use it here '
            f'({reason_of(error)}). Leave it out, or choose from cpu, cuda, '
            'cuda:1, ...') from error


def read_record(content: Any, path: Path) -> dict:
    """What a checkpoint says of its model.

    Raises:
        ValueError: It says nothing, or is of a later version.
    """
    meta = content.get('meta') if isinstance(content, dict) else None
    record = meta.get(KEY) if isinstance(meta, dict) else None
    if not isinstance(record, dict) or 'state_dict' not in content:
        ours = isinstance(meta, dict) and 'recipe' in meta
        raise ValueError(
            f'{path} does not say what model it belongs to' + (
                ': it was made before mmcoop 0.6, or its run had no config. '
                'Test it with its config (tools/test.py CONFIG CHECKPOINT), '
                'or train it again.' if ours else
                ', as checkpoints of mmcoop runs do (by SafeCheckpointHook, '
                'which configs/_base_/default_runtime.py sets).'))
    for key, kind in FIELDS.items():
        if key not in record or not isinstance(record[key], kind):
            raise ValueError(f'{path} is damaged: its record (meta.{KEY}) has '
                             f'{key}={record.get(key)!r:.100}.')
    if not all(isinstance(name, str) for name in record['classes']):
        raise ValueError(f'{path} is damaged: names of its classes '
                         f'(meta.{KEY}.classes) are no text.')
    if record['temperature'] is not None and not 0 < record['temperature'] \
            < math.inf:
        raise ValueError(f'{path} is damaged: its temperature is '
                         f'{record["temperature"]}.')
    if record['format'] > FORMAT:
        raise ValueError(
            f'{path} has format {record["format"]} (mmcoop '
            f'{record["version"]}), this mmcoop reads up to {FORMAT}: update '
            'mmcoop.')
    return record


def _build(config: dict, checkpoint: Path, clip: Optional[Clip]) -> Any:
    """Build a model, with the CLIP that is found here."""
    config = ConfigDict(_find_clips(config, checkpoint, clip))
    head = config.get('head') or {}
    if 'checkpoint' in (head.get('prompt') or {}):
        head['prompt']['checkpoint'] = str(checkpoint)  # it holds it too
    try:
        model = MODELS.build(config)
    except CLIPLoadError as error:
        raise CLIPLoadError(
            f'{error} [{checkpoint} was trained with it; other weights are '
            "given by clip='/path/to/weights' (--clip FILE).]") from error
    if not isinstance(model, ImageClassifier) or not model.with_head:
        raise ValueError(f'a {type(model).__name__} is no classifier')
    return model


def _find_clips(part: Any, checkpoint: Path, clip: Optional[Clip]) -> Any:
    """A copy of a config, in which every ``clip`` is found here."""
    if isinstance(part, (list, tuple)):
        return type(part)(_find_clips(value, checkpoint, clip)
                          for value in part)
    if not isinstance(part, dict):
        return part
    return {key: _find_clip(value, checkpoint, clip)
            if key == 'clip' and isinstance(value, dict)
            else _find_clips(value, checkpoint, clip)
            for key, value in part.items()}


def _find_clip(recorded: dict, checkpoint: Path, given: Optional[Clip]
               ) -> dict:
    """Arguments of ``load_clip``, with paths that exist here.

    Raises:
        CLIPLoadError: A file is not found.
    """
    clip = dict(recorded)
    folders = [checkpoint.parent, Path.cwd()]
    # a checkpoint does not say where to write a download
    cache = clip.pop('cache_dir', None)
    folders += [Path(cache).expanduser()] if cache else []
    tag = read_tag(clip.get('model_name'), clip.get('pretrained'))
    if tag:
        # a file of these weights may not say it
        clip.setdefault('quick_gelu', tag.get('quick_gelu'))
        for folder in folders:
            fetched = folder / os.path.basename(tag.get('url') or '')
            if fetched.is_file():
                clip['pretrained'] = str(fetched)
                break
    said = dict(pretrained=given) if isinstance(
        given, (str, os.PathLike)) else given or {}
    clip.update(said)
    file = said.get('pretrained')
    if file and (said is not given or _is_path('pretrained', file)):
        path = Path(file).expanduser()
        clip['pretrained'] = str(path)
        if not path.is_file():
            raise CLIPLoadError(f'clip: there is no file {path}')
        if ':' in (clip.get('model_name') or ''):  # hf-hub:, local-dir:
            raise CLIPLoadError(
                f'{clip["model_name"]} brings its own weights, so {path} '
                'would not be read: give '
                "clip=dict(model_name='local-dir:FOLDER').")
        folders.insert(0, path.parent)
    for key in ('model_name', 'pretrained'):
        if _is_path(key, clip.get(key)):
            clip[key] = _find_file(clip[key], folders)
    return clip


def _is_path(key: str, value: Optional[str]) -> bool:
    """Whether it is a path, not a name (``ViT-B/16``) or a tag."""
    if not value or key == 'model_name':
        return bool(value) and value.startswith(LOCAL) or \
            str(value).endswith('.json')
    return os.path.sep in value or '.' in value or os.path.isfile(value)


def _find_file(recorded: str, folders: List[Path]) -> str:
    scheme = LOCAL if recorded.startswith(LOCAL) else ''
    path = Path(recorded[len(scheme):]).expanduser()
    for place in (path, *(folder / path.name for folder in folders)):
        if place.exists():
            return f'{scheme}{place}'
    others = ', '.join(map(str, dict.fromkeys(folders)))
    raise CLIPLoadError(
        f'the CLIP that this checkpoint was trained with is not here: there '
        f'is no {path}, nor a {path.name} in {others}. Copy it there, or give '
        "the file of its weights: clip='/path/to/weights' (--clip FILE).")


def _load_state(model: torch.nn.Module, state: dict, path: Path) -> None:
    try:
        model.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError) as error:
        detail = ' '.join(str(error).split())[:400]
        raise ValueError(
            f'{path} does not fit the model that it describes. If its CLIP '
            "was given by hand, give the one that it was trained with "
            f"(clip='/path/to/weights'; --clip FILE). [{detail}]") from error
