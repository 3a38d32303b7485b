"""What frozen means, in one place."""
import zlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Optional, Tuple

import torch
import torch.nn as nn


class FrozenModule(nn.Module):
    """A module that never learns, never drifts and is never saved.

    - ``train()`` leaves it in eval mode: a ResNet's BatchNorm statistics
      would drift otherwise, even under ``no_grad``.
    - Its tensors stay out of checkpoints and are not missed on loading.
    - Deep copies share it (EMA keeps a copy of the model: one CLIP is enough).
    - It may compute in half precision: weights of products in ``dtype``,
      norms and softmax in fp32 where torch's autocast keeps them there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dtype: Optional[torch.dtype] = None  # as its inputs
        self._fingerprint: Optional[str] = None
        self._register_state_dict_hook(_drop_own_tensors)
        self._register_load_state_dict_pre_hook(
            _keep_own_tensors, with_module=True)

    def freeze(self) -> None:
        """Call at the end of ``__init__``."""
        self.requires_grad_(False)
        self.eval()

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Compute in bf16 or fp16 from now on."""
        from open_clip.model import convert_weights_to_lp
        self._fingerprint = self.fingerprint()  # one tower in any precision
        convert_weights_to_lp(self, dtype)
        self.dtype = dtype

    def fingerprint(self) -> str:
        """Tell towers apart: a checksum of some of every tensor, in fp16.

        What was learned for a tower is meaningless for any other.
        """
        if self._fingerprint is not None:
            return self._fingerprint
        some = [
            p.detach().flatten()[::max(1, p.numel() // 64)].half().cpu()
            for _, p in sorted(self.named_parameters())
        ]
        return f'{zlib.crc32(torch.cat(some).numpy().tobytes()):08x}'

    def computing(self, device: torch.device) -> AbstractContextManager:
        """The precision to run ``forward`` in."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)

    def train(self, mode: bool = True) -> 'FrozenModule':
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'FrozenModule':
        return self


@dataclass
class FrozenCLIP:
    """Both towers of one CLIP, from one load.

    Attributes:
        image_tower: An :class:`ImageTower`, (B, 3, H, W) -> ((B, E), ).
        text_tower: A :class:`TextTower`, prompt sets -> (P, K, E).
        mean: Pixel means (RGB, 0 to 1) that the image tower was trained with.
        std: Pixel standard deviations, likewise.
    """
    image_tower: FrozenModule
    text_tower: FrozenModule
    mean: Tuple[float, ...]
    std: Tuple[float, ...]


def _drop_own_tensors(module, state_dict, prefix, local_metadata) -> None:
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]


def _keep_own_tensors(module, state_dict, prefix, *args) -> None:
    """Offer the module its own tensors for those that were not saved."""
    for path, child in module.named_modules(prefix=prefix.rstrip('.')):
        tensors = {**child._parameters, **child._buffers}
        for name, tensor in tensors.items():
            if tensor is not None and \
                    name not in child._non_persistent_buffers_set:
                key = f'{path}.{name}' if path else name
                state_dict.setdefault(key, tensor.detach())
