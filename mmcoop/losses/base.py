"""What a regulariser sees, and what it offers."""
from dataclasses import dataclass
from typing import Optional, Sequence

import torch
import torch.nn as nn
from mmengine.model import BaseModule

from ..registry import MODELS


@dataclass
class LossInputs:
    """What the prompt-learner head computed for a batch, all in fp32.

    Attributes:
        class_features: (K, E), L2-normalised, with gradients to the prompt;
            (B, K, E) where the prompt sees the images, with one more axis
            first where the logits of several prompts are combined.
        image_features: (B, E), L2-normalised.
        logits: (B, K).
        logit_scale: The factor of cosines in the logits.
        hand_written_features: (K, E), L2-normalised, of hand-written prompts;
            None if the head has none.
        unprompted_image_features: (B, E), L2-normalised, of the image tower
            without visual prompts; None unless a regulariser needs them.
    """
    class_features: torch.Tensor
    image_features: torch.Tensor
    logits: torch.Tensor
    logit_scale: torch.Tensor
    hand_written_features: Optional[torch.Tensor] = None
    unprompted_image_features: Optional[torch.Tensor] = None


class Regularizer(BaseModule):
    """A loss beside the classification loss; logged as ``loss_<name>``.

    Args:
        weight: Factor of the loss; :meth:`forward` applies it. None takes
            ``default_weight``.
        name: Its name in the log; None takes ``default_name``.

    Attributes:
        default_weight: The published weight.
        default_name: None: the name of the class.
        needs_hand_written: Whether it compares with hand-written prompts.
        needs_unprompted: Whether it compares with image features of the tower
            without visual prompts.
    """
    default_weight = 1.0
    default_name: Optional[str] = None
    needs_hand_written = False
    needs_unprompted = False

    def __init__(self, weight: Optional[float] = None,
                 name: Optional[str] = None) -> None:
        super().__init__()
        self.weight = self.default_weight if weight is None else weight
        self.name = name or self.default_name or type(self).__name__.lower()

    def forward(self, inputs: LossInputs) -> torch.Tensor:
        """The weighted loss, a scalar."""
        return self.weight * self.compute(inputs)

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        """The loss without its weight, a scalar."""
        raise NotImplementedError


def build_regularizers(configs: Sequence[dict],
                       hand_written: Optional[dict]) -> nn.ModuleDict:
    """Build regularisers, by the names of their losses.

    Args:
        configs: Their configs.
        hand_written: Config of the hand-written prompt, or None.

    Raises:
        ValueError: One needs a hand-written prompt, or two share a name.
    """
    built = nn.ModuleDict()
    for config in configs:
        regularizer: Regularizer = MODELS.build(config)
        if regularizer.needs_hand_written and hand_written is None:
            raise ValueError(
                f'{type(regularizer).__name__} compares with hand-written '
                'prompts: set model.head.hand_written='
                "dict(type='mmcoop.TemplatePrompt', ...).")
        if regularizer.name in built:
            raise ValueError(f'two regularizers are called '
                             f'{regularizer.name!r}: give one another name=.')
        built[regularizer.name] = regularizer
    return built
