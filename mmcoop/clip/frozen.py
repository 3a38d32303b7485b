"""What frozen means, in one place."""
from contextlib import AbstractContextManager, nullcontext
from typing import Optional

import torch
import torch.nn as nn
from open_clip.model import convert_weights_to_lp


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
        self._register_state_dict_hook(_drop_own_tensors)
        self._register_load_state_dict_pre_hook(
            _keep_own_tensors, with_module=True)

    def freeze(self) -> None:
        """Call at the end of ``__init__``."""
        self.requires_grad_(False)
        self.eval()

    def lower_precision(self, dtype: torch.dtype) -> None:
        """Compute in bf16 or fp16 from now on."""
        convert_weights_to_lp(self, dtype)
        self.dtype = dtype

    def computing(self, device: torch.device) -> AbstractContextManager:
        """The precision to run ``forward`` in."""
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)

    def train(self, mode: bool = True) -> 'FrozenModule':
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'FrozenModule':
        return self


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
