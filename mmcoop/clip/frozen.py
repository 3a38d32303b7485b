"""Base class of the frozen towers."""
import zlib
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Iterator, Optional

import torch
import torch.nn as nn

from .architecture import Architecture
from .preprocessing import Preprocessing


@contextmanager
def convolve_exactly() -> Iterator[None]:
    """Context manager: convolutions as exact as matrix products.

    On a GPU PyTorch rounds the inputs of fp32 convolutions to TF32 (10 bits),
    those of matrix products only where it is told to
    (``torch.backends.cuda.matmul.allow_tf32``). Logits were off by 2e-4 of
    their scale.
    """
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, \
        torch.backends.cuda.matmul.allow_tf32
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


class FrozenModule(nn.Module):
    """A module that is never trained and never saved.

    - ``train()`` leaves it in eval mode; otherwise the BatchNorm statistics
      of a ResNet would change even under ``no_grad``.
    - Its tensors are left out of checkpoints and not missed on loading.
    - ``copy.deepcopy`` returns the module itself, so that an EMA copy of the
      model shares it.
    - It can compute in half precision: matrix products in ``dtype``, norms
      and softmax in fp32 as autocast does.

    Attributes:
        dtype: ``torch.bfloat16`` or ``torch.float16`` after
            :meth:`lower_precision`; None computes in the inputs' precision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dtype: Optional[torch.dtype] = None
        self._fingerprint: Optional[str] = None
        self._register_state_dict_hook(_drop_own_tensors)
        self._register_load_state_dict_pre_hook(
            _keep_own_tensors, with_module=True)

    def freeze(self) -> None:
        """Disable gradients; subclasses call it last in ``__init__``."""
        self.requires_grad_(False)
        self.eval()

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Convert the weights to bf16 or fp16 and compute in it."""
        from open_clip.model import convert_weights_to_lp
        self._fingerprint = self.fingerprint()  # the same in any precision
        convert_weights_to_lp(self, dtype)
        self.dtype = dtype

    def fingerprint(self) -> str:
        """Checksum (8 hex digits) of a sample of every weight, in fp16.

        Checkpoints store it, because a learned prompt is only meaningful for
        the tower that it was learned with.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        some = [
            p.detach().flatten()[::max(1, p.numel() // 64)].half().cpu()
            for _, p in sorted(self.named_parameters())
        ]
        return f'{zlib.crc32(torch.cat(some).numpy().tobytes()):08x}'

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """Context manager that sets the precision of ``forward``."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)

    def train(self, mode: bool = True) -> 'FrozenModule':
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'FrozenModule':
        return self


@dataclass
class FrozenCLIP:
    """Both towers of a CLIP.

    Attributes:
        image_tower: An :class:`ImageTower`, (B, 3, H, W) -> ((B, E), ).
        text_tower: A :class:`TextTower`, :class:`PromptSet` -> (P, K, E).
        preprocessing: How images are resized and normalised.
    """
    image_tower: FrozenModule
    text_tower: FrozenModule
    preprocessing: Preprocessing = Preprocessing()

    @property
    def architecture(self) -> Architecture:
        """What the towers are made of."""
        return replace(
            self.image_tower.architecture,
            text_layers=len(self.text_tower.transformer.resblocks))


def _drop_own_tensors(module, state_dict, prefix, local_metadata) -> None:
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]


def _keep_own_tensors(module, state_dict, prefix, *args) -> None:
    """Add the module's own tensors to a state dict that lacks them."""
    for path, child in module.named_modules(prefix=prefix.rstrip('.')):
        for name, tensor in {**child._parameters, **child._buffers}.items():
            if tensor is not None and \
                    name not in child._non_persistent_buffers_set:
                key = f'{path}.{name}' if path else name
                state_dict.setdefault(key, tensor.detach())
