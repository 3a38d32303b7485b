"""Self-regulating prompts: PromptSRC (Khattak et al., ICCV 2023).

arXiv 2307.06948. Three losses keep the prompted features and logits near
those of the frozen CLIP, and the prompts of all epochs are averaged.
"""
from typing import Dict

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook

from ..losses import LossInputs, Regularizer
from ..registry import HOOKS, MODELS
from .runner import unwrap


@MODELS.register_module()
class TextConsistency(Regularizer):
    """Mean absolute difference of learned and hand-written class features."""
    default_weight = 25.0
    default_name = 'text'
    needs_hand_written = True

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        difference = inputs.class_features - inputs.hand_written_features
        return difference.abs().mean()


@MODELS.register_module()
class ImageConsistency(Regularizer):
    """Mean absolute difference of prompted and unprompted image features."""
    default_weight = 10.0
    default_name = 'image'
    needs_unprompted = True

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        difference = inputs.image_features - inputs.unprompted_image_features
        return difference.abs().mean()


@MODELS.register_module()
class LogitConsistency(Regularizer):
    """KL divergence of the class probabilities from zero-shot CLIP's.

    ``sum(KL(zero-shot || prompted)) / (B K)`` of B images and K classes.
    """
    default_name = 'logits'
    needs_hand_written = True
    needs_unprompted = True

    def compute(self, inputs: LossInputs) -> torch.Tensor:
        teacher = inputs.logit_scale * inputs.unprompted_image_features \
            @ inputs.hand_written_features.mT
        divergence = F.kl_div(
            F.log_softmax(inputs.logits, dim=-1),
            F.log_softmax(teacher, dim=-1), reduction='sum', log_target=True)
        return divergence / inputs.logits.numel()


@HOOKS.register_module()
class GaussianAverageHook(Hook):
    """Average the learned parameters over epochs with Gaussian weights.

    Epoch e of E has a weight proportional to
    ``exp(-((e - mean) / std)^2 / 2)``; the weights sum to 1. After the last
    epoch the model holds the average, which is tested and saved. Checkpoints
    hold the running sum, so that a run can be resumed.

    Args:
        mean: Centre of the Gaussian, in epochs counted from 1.
        std: Its standard deviation in epochs.

    Raises:
        ValueError: ``std`` is not positive.
    """
    priority = 'BELOW_NORMAL'  # before the checkpoint is saved

    def __init__(self, mean: float, std: float) -> None:
        if std <= 0:
            raise ValueError(f'GaussianAverageHook: std={std}, which must be '
                             'above 0.')
        self.mean = mean
        self.std = std
        self.sums: Dict[str, torch.Tensor] = {}

    def weights(self, epochs: int) -> torch.Tensor:
        """The weights of all epochs, (epochs, ) in fp64."""
        epoch = torch.arange(1, epochs + 1, dtype=torch.float64)
        return torch.softmax(-((epoch - self.mean) / self.std)**2 / 2, dim=0)

    def before_train(self, runner) -> None:
        if runner.epoch == 0:
            self.sums = {}

    def after_train_epoch(self, runner) -> None:
        weight = self.weights(runner.max_epochs)[runner.epoch].item()
        learned = {name: p for name, p in
                   unwrap(runner.model).named_parameters() if p.requires_grad}
        for name, p in learned.items():
            part = weight * p.detach()
            self.sums[name] = part if name not in self.sums \
                else self.sums[name].to(p.device) + part
        if runner.epoch + 1 == runner.max_epochs:
            for name, p in learned.items():
                p.data.copy_(self.sums[name])
            runner.logger.info(
                f'The prompt is now the average over {runner.max_epochs} '
                f'epochs (Gaussian, mean {self.mean}, std {self.std}).')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint['gaussian_sums'] = self.sums

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if runner._resume:
            self.sums = dict(checkpoint.get('gaussian_sums', {}))
