"""Find the weights of a CLIP, and read them without unpickling objects."""
import logging
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import open_clip
import torch
from mmengine.logging import print_log
from open_clip.pretrained import (download_pretrained,
                                  download_pretrained_from_url,
                                  get_pretrained_cfg)

from ..safe_load import (UnsafeFileError, check_is_safe, is_torchscript,
                         read_torchscript, reason_of)


class CLIPLoadError(RuntimeError):
    """A CLIP could not be loaded; the message says what to do about it."""


def find_weights(name: Optional[str], pretrained: Optional[str],
                 cache_dir: Optional[str]) -> Tuple[Optional[str], dict]:
    """Find or download the weights of a CLIP.

    Args:
        name: The open_clip name; None if the file tells.
        pretrained: A file, or one of open_clip's tags; None: random weights.
        cache_dir: Where downloads are kept; None takes open_clip's default.

    Returns:
        The path, None for random weights, and open_clip's entry of the tag.

    Raises:
        CLIPLoadError: There is no such file or tag, or no network.
    """
    if pretrained is None:
        print_log(
            f'clip: no `pretrained` given, {name} has RANDOM weights',
            'current', logging.WARNING)
        return None, {}
    path = os.path.expanduser(pretrained)
    if os.path.isfile(path):
        return path, {}
    cfg = get_pretrained_cfg(name, pretrained) if name else {}
    if not cfg:
        tags = open_clip.list_pretrained_tags_by_model(name) if name else []
        raise CLIPLoadError(
            f'clip.pretrained={pretrained!r} is neither an existing file '
            + (f'nor a tag of {name} (tags: {", ".join(tags) or "none"}).'
               if name else '; a tag needs clip.model_name too.'))
    return _download(name, pretrained, cfg, cache_dir), cfg


def _download(name: str, tag: str, cfg: dict,
              cache_dir: Optional[str]) -> str:
    url, hub = cfg.get('url', ''), cfg.get('hf_hub', '')
    # where the published code and open_clip < 3 keep OpenAI's archives
    old_cache = Path(cache_dir or '~/.cache/clip').expanduser()
    if url and (old_cache / os.path.basename(url)).is_file():
        return download_pretrained_from_url(url, cache_dir=str(old_cache))
    errors = []
    for prefer_hub in ([True] if hub else []) + ([False] if url else []):
        try:
            return download_pretrained(
                cfg, prefer_hf_hub=prefer_hub, cache_dir=cache_dir)
        except Exception as error:
            errors.append(f'{type(error).__name__}: {error}'.split('\n')[0])
    source = url or f'https://huggingface.co/{hub}'
    raise CLIPLoadError(
        f'cannot download the weights {tag!r} of {name} (no network?). On a '
        f'machine with network fetch {source} , copy it here and set '
        "clip.pretrained='/path/to/that/file'. Tried: "
        + ' | '.join(error[:200] for error in errors))


def read_state_dict(path: str) -> Tuple[Dict[str, torch.Tensor], bool]:
    """Read a CLIP's state dict from a local file.

    Args:
        path: A safetensors file, an original OpenAI archive (TorchScript) or
            a plain state dict saved by ``torch.save``.

    Returns:
        The tensors by name, and whether the file is a TorchScript archive
        (which only OpenAI's original CLIPs are).

    Raises:
        CLIPLoadError: The file is damaged, holds no tensors, or holds
            objects that would run code.
    """
    is_archive = is_torchscript(path)
    try:
        if path.endswith('.safetensors'):
            from safetensors.torch import load_file
            state = load_file(path)
        elif is_archive:
            state = read_torchscript(path)
        else:
            state = check_is_safe(path)
        state = _only_tensors(state)
    except UnsafeFileError as error:
        raise CLIPLoadError(str(error)) from error
    except Exception as error:
        raise CLIPLoadError(
            f'cannot read the CLIP weights in {path} '
            f'({os.path.getsize(path):,} bytes): the file is damaged, cut '
            'short, or no weight file at all. Fetch it again. '
            f'[{reason_of(error.__cause__ or error)}]') from error
    # three numbers that OpenAI's archives carry beside the weights
    for key in ('input_resolution', 'context_length', 'vocab_size'):
        is_archive = state.pop(key, None) is not None or is_archive
    if not state:
        raise CLIPLoadError(f'{path} holds no tensors: it is not a CLIP.')
    odd = find_not_finite(state)
    if odd:
        raise CLIPLoadError(f'{path}: {odd[0]} holds NaN or infinity, so '
                            'nothing can be computed with it. Fetch it again.')
    if 'backbone.layers.0.attn.qkv.weight' in state:
        raise CLIPLoadError(
            f'{path} holds an image tower of mmpretrain alone. Its model zoo '
            'has no text tower of a CLIP, so there is nothing to learn a '
            'prompt with. Under a head on image features it serves as '
            "backbone=dict(type='mmcoop.ImageTower', vit=dict(...)): see "
            'docs/parts.md.')
    return state, is_archive


def find_not_finite(state: Dict[str, torch.Tensor]) -> List[str]:
    """Names of the tensors that hold NaN or infinity."""
    return [name for name, value in state.items()
            if torch.is_tensor(value) and value.is_floating_point()
            and not name.endswith('attn_mask')  # -inf is what masks
            and not value.isfinite().all()]


def _only_tensors(content: Any) -> Dict[str, torch.Tensor]:
    if isinstance(content, dict) and isinstance(
            content.get('state_dict'), dict):  # of open_clip's training
        content = content['state_dict']
    if not isinstance(content, dict):
        raise ValueError(f'it holds a {type(content).__name__}')
    return {str(key).removeprefix('module.'): value
            for key, value in content.items() if torch.is_tensor(value)}
