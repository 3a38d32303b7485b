"""Read the weights of a CLIP from a file, without unpickling objects."""
import os
from typing import Any, Dict, List, Tuple

import torch

from ..safe_load import (UnsafeFileError, check_is_safe, is_torchscript,
                         read_torchscript, reason_of)


class CLIPLoadError(RuntimeError):
    """A CLIP could not be loaded; the message says what to do about it."""


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
