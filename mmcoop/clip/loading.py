"""Load a frozen CLIP by open_clip name and tag, or from a local file."""
import contextlib
import difflib
import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

import open_clip
import torch
import torch.nn as nn
from mmengine.logging import print_log
from open_clip.convert import convert_state_dict
from open_clip.factory import get_model_config
from open_clip.model import (build_model_from_openai_state_dict,
                             convert_to_custom_text_state_dict)

from .architecture import Architecture
from .frozen import FrozenCLIP
from .image_tower import ImageTower
from .preprocessing import (CONFIG_FILE, Preprocessing, read_model_config,
                            read_preprocessing)
from .text_tower import TextTower
from .tokenizer import Tokenizer
from .weights import CLIPLoadError, find_weights, read_state_dict

PRECISIONS = {'fp32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}

_kept: Optional[Dict[tuple, 'FrozenCLIP']] = None  # see keep_clips


@contextlib.contextmanager
def keep_clips() -> Iterator[None]:
    """Context manager within which :func:`load_clip` caches its results.

    Several runs in one process then share the frozen towers.
    """
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def load_clip(model_name: Optional[str] = None,
              pretrained: Optional[str] = None,
              quick_gelu: Optional[bool] = None,
              cache_dir: Optional[str] = None,
              precision: str = 'fp32',
              mean: Optional[Sequence[float]] = None,
              std: Optional[Sequence[float]] = None,
              interpolation: Optional[str] = None,
              resize_mode: Optional[str] = None) -> FrozenCLIP:
    """Load a CLIP and freeze it.

    Args:
        model_name: An open_clip name (``ViT-B-16``, ``RN50``,
            ``hf-hub:org/repo``, ``local-dir:folder``) or the path of an
            open_clip JSON model config, or of an ``open_clip_config.json``.
            Not needed for a file in OpenAI's original layout, which carries
            its own architecture.
        pretrained: An open_clip tag (``openai``, ``laion2b_s34b_b88k``) or
            the path of a local file: an original OpenAI ``.pt`` archive, a
            state dict or safetensors. None builds random weights.
        quick_gelu: Whether the towers use QuickGELU. None finds out: OpenAI's
            archives and the tags that were trained with it do.
        cache_dir: Where downloads are kept; None takes open_clip's default.
        precision: ``fp32``, ``bf16`` or ``fp16``, for the towers' matrix
            products. Learned parameters and logits are always in fp32.
        mean: Means (RGB, 0 to 1) that images are normalised with. None, here
            and below, takes what the CLIP's ``preprocess_cfg`` or its tag
            says, else OpenAI's.
        std: Standard deviations that images are normalised with.
        interpolation: ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest``, ``squash`` or ``longest``, as in open_clip;
            see :class:`Preprocessing`.

    Returns:
        The image tower and the text tower, both frozen, and how images are
        made ready for them.

    Raises:
        CLIPLoadError: Unknown name or tag, missing or damaged file, weights
            of another architecture, or no network; the message says what to
            fetch and where to put it.
    """
    preprocessing = read_preprocessing(model_name, pretrained, cache_dir, mean,
                                       std, interpolation, resize_mode)
    key = (model_name, pretrained, quick_gelu, cache_dir, precision,
           preprocessing)
    if _kept is not None and key in _kept:
        return _kept[key]
    # building draws random weights; a context's start must not depend on it
    with torch.random.fork_rng(devices=[]):
        clip = _load(*key)
    if _kept is not None:
        _kept[key] = clip
    return clip


def _load(model_name: Optional[str], pretrained: Optional[str],
          quick_gelu: Optional[bool], cache_dir: Optional[str],
          precision: str, preprocessing: Preprocessing) -> FrozenCLIP:
    if precision not in PRECISIONS:
        raise CLIPLoadError(f'clip.precision={precision!r}: choose from '
                            f'{", ".join(PRECISIONS)}.')
    if model_name is None and pretrained is None:
        raise CLIPLoadError(
            "give clip=dict(model_name='ViT-B-16', pretrained='openai') or "
            "clip=dict(pretrained='/path/to/ViT-B-16.pt')")
    if model_name and ':' in model_name:  # open_clip's hf-hub:, local-dir:
        name = model_name
        try:
            model = open_clip.create_model(
                name, cache_dir=cache_dir, require_pretrained=True)
        except Exception as error:
            raise CLIPLoadError(
                f'cannot load the CLIP {name!r}: {error}') from error
        tokenizer = Tokenizer.from_model(name)
    else:
        name = _register_config(model_name)
        tokenizer = Tokenizer.from_model(name)  # before weights are fetched
        path, tag = find_weights(name, pretrained, cache_dir)
        if quick_gelu is None:
            quick_gelu = tag.get('quick_gelu')
        print_log(f'CLIP {name or ""} from {path}', 'current', logging.INFO)
        state, is_archive = read_state_dict(path) if path else ({}, False)
        if is_archive or path is None:  # OpenAI's originals; random weights
            preprocessing = replace(preprocessing, is_known=True)
        model = _build(name, path, state, is_archive, quick_gelu)
    model.eval().requires_grad_(False)
    clip = FrozenCLIP(
        image_tower=ImageTower(model.visual),
        text_tower=TextTower(model, tokenizer, name or pretrained),
        preprocessing=preprocessing)
    if PRECISIONS[precision] is not None:
        for tower in (clip.image_tower, clip.text_tower):
            tower.lower_precision(PRECISIONS[precision])
    return clip


def _register_config(model_name: Optional[str]) -> Optional[str]:
    """Return the open_clip name, after registering a JSON config.

    open_clip reads the model's part alone, from a file of that name.
    """
    if model_name is None:
        return None
    if model_name.endswith('.json'):
        path = Path(model_name).expanduser()
        content = read_model_config(path)
        model_name = path.parent.resolve().name if path.name == CONFIG_FILE \
            else path.stem
        content.pop('preprocess_cfg', None)  # open_clip would refuse it
        missing = {'embed_dim', 'vision_cfg', 'text_cfg'} - set(
            content.get('model_cfg', content))
        if missing:
            raise CLIPLoadError(
                f'{path} is no open_clip model config: it has no '
                f'{", ".join(sorted(missing))}.')
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f'{model_name}.json'
            path.write_text(json.dumps(content.get('model_cfg', content)))
            open_clip.add_model_config(path)
    name = model_name.replace('/', '-')  # OpenAI writes ViT-B/16
    if get_model_config(name) is None:
        near = difflib.get_close_matches(name, open_clip.list_models(), 5)
        raise CLIPLoadError(
            f'unknown CLIP {model_name!r}: neither an open_clip model nor an '
            'open_clip JSON config (embed_dim, vision_cfg, text_cfg). '
            + (f'Did you mean {", ".join(near)}? ' if near else '')
            + 'open_clip.list_models() lists all.')
    return name


def _build(name: Optional[str], path: Optional[str], state: dict,
           is_archive: bool, quick_gelu: Optional[bool]) -> nn.Module:
    if quick_gelu is None and (is_archive or name is None):
        quick_gelu = True  # OpenAI's originals
    try:
        if name is None:
            model = build_model_from_openai_state_dict(
                dict(state), quick_gelu=quick_gelu, cast_dtype=None).float()
        else:
            _warn_of_gelu(name, path, quick_gelu)
            kwargs = {} if quick_gelu is None else {'quick_gelu': quick_gelu}
            logging.disable(logging.WARNING)  # about random weights
            try:
                model = open_clip.create_model(
                    name, pretrained_text=False, load_weights=False, **kwargs)
            finally:
                logging.disable(logging.NOTSET)
        if state:
            _load_into(model, state)
    except (KeyError, RuntimeError) as error:
        # torch lists every key; the first few are enough
        detail = ' '.join(str(error).split())[:400]
        if isinstance(error, KeyError):
            detail = f'there is no {error.args[0]}'
        raise CLIPLoadError(
            f'the weights in {path} do not belong to '
            f'{name or "a CLIP in OpenAI layout; give clip.model_name"}: '
            f'another architecture? [{detail}]') from error
    return model


def _load_into(model: nn.Module, state: dict) -> None:
    """Load weights of any layout that open_clip can convert, in fp32."""
    state = convert_state_dict(model, state)
    if 'positional_embedding' in state and hasattr(model, 'text'):
        state = convert_to_custom_text_state_dict(state)
    scale = state['logit_scale']
    state['logit_scale'] = scale.reshape(model.logit_scale.shape)
    model.load_state_dict(state)


def _warn_of_gelu(name: str, path: Optional[str],
                  quick_gelu: Optional[bool]) -> None:
    """Warn that a file of unknown origin is built with plain GELU."""
    if path and quick_gelu is None and get_model_config(
            f'{name}-quickgelu') is not None:
        print_log(
            f'clip: {path} does not say whether it was trained with '
            f'QuickGELU; {name} is built with GELU. If these are OpenAI '
            f'weights, set clip.model_name={name + "-quickgelu"!r}.',
            'current', logging.WARNING)


def read_architecture(model_name: Optional[str] = None,
                      pretrained: Optional[str] = None,
                      **options) -> Architecture:
    """Read sizes and kinds of a CLIP's towers without building the model.

    Args:
        model_name: As in :func:`load_clip`.
        pretrained: As in :func:`load_clip`; the file is read only if there is
            no ``model_name``.
        **options: Other arguments of :func:`load_clip`; ignored.

    Raises:
        CLIPLoadError: As in :func:`load_clip`.
    """
    if not model_name:
        path, _ = find_weights(None, pretrained, None)
        state, _ = read_state_dict(path)
        if 'visual.conv1.weight' not in state:
            raise CLIPLoadError(f'{path} is no CLIP in OpenAI\'s layout: give '
                                'clip.model_name too.')
        return Architecture.from_state_dict(state)
    if ':' not in model_name:
        return Architecture.from_config(
            get_model_config(_register_config(model_name)))
    try:
        return Architecture.from_config(get_model_config(model_name))
    except Exception as error:
        raise CLIPLoadError(f'cannot read the config of the CLIP '
                            f'{model_name!r}: {error}') from error
