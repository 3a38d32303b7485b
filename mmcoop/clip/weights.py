"""Read the weights of a CLIP from a file, without unpickling objects."""
import os
import zipfile
from typing import Dict, Optional, Tuple

import torch


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
        CLIPLoadError: The file is damaged, or holds more than tensors.
    """
    is_archive = _is_torchscript(path)
    try:
        if path.endswith('.safetensors'):
            from safetensors.torch import load_file
            state = load_file(path)
        elif is_archive:
            state = torch.jit.load(path, map_location='cpu').state_dict()
        else:
            state = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise CLIPLoadError(
            f'cannot read the CLIP weights in {path} '
            f'({os.path.getsize(path):,} bytes): the file is damaged, cut '
            'short, or no weight file at all. Fetch it again. '
            f'[{type(error).__name__}: {_first_line(error)}]') from error
    if 'state_dict' in state:  # an open_clip training checkpoint
        state = state['state_dict']
    state = {
        key.removeprefix('module.'): value
        for key, value in state.items() if torch.is_tensor(value)
    }
    # three numbers that OpenAI's archives carry beside the weights
    for key in ('input_resolution', 'context_length', 'vocab_size'):
        is_archive = state.pop(key, None) is not None or is_archive
    if not state:
        raise CLIPLoadError(f'{path} holds no tensors: it is not a CLIP.')
    odd = find_not_finite(state)
    if odd:
        raise CLIPLoadError(f'{path}: {odd} holds NaN or infinity, so nothing '
                            'can be computed with it. Fetch it again.')
    if 'backbone.layers.0.attn.qkv.weight' in state:
        raise CLIPLoadError(
            f'{path} holds an image tower of mmpretrain alone. Its model zoo '
            'has no text tower of a CLIP, so there is nothing to learn a '
            'prompt with. Under a head on image features it serves as '
            "backbone=dict(type='mmcoop.ImageTower', vit=dict(...)): see "
            'docs/parts.md.')
    return state, is_archive


def find_not_finite(state: Dict[str, torch.Tensor]) -> Optional[str]:
    """The name of a tensor with NaN or infinity in it, if there is one."""
    return next((
        name for name, value in state.items()
        if torch.is_tensor(value) and value.is_floating_point()
        and not name.endswith('attn_mask')  # -inf is what masks
        and not value.isfinite().all()), None)


def _is_torchscript(path: str) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(
            name.endswith('/constants.pkl') for name in archive.namelist())


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [''])[0][:200]
