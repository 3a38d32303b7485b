"""Test-time prompt tuning: TPT (Shu et al., NeurIPS 2022)."""
import math
from typing import Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call

from ..registry import MODELS
from .base import BaseAdaptation, check_share, most_confident

LOSS_SCALE = 1024.  # keeps small gradients in fp16; a power of 2 is exact


@MODELS.register_module()
class TPT(BaseAdaptation):
    """Tune the context on each test image by the entropy of its views.

    arXiv 2209.07511: of the views those of least entropy are selected, and
    AdamW takes a step on the entropy of their mean probability. The first view
    is then classified with the new context, which is dropped: every image
    starts from the context of the checkpoint, or from words.

    A context that is conditioned on the image (CoCoOp) is, as in the published
    code, made from the first view, and it alone is tuned, for all views; the
    network that made it is not. (The published code gives that network the
    feature as the tower has it, here it is normalised, as in training.)

    The features of the views are computed once, without gradients; a step is
    a forward and backward pass of the text tower over all classes.

    Args:
        module: As in :class:`BaseAdaptation`; its prompt has a ``ctx``.
        views: Number of views V.
        keep: The part of the views that is selected.
        lr: Learning rate.
        weight_decay: Of AdamW.
        steps: Number of steps.
        **kwargs: Other arguments of :class:`BaseAdaptation`.

    Raises:
        ValueError: As in :class:`BaseAdaptation`, or the prompt has no context
            that could be tuned.
    """
    learns_context = True

    def __init__(self, module, views: int = 64, keep: float = 0.1,
                 lr: float = 5e-3, weight_decay: float = 0.01,
                 steps: int = 1, **kwargs) -> None:
        check_share('keep', keep)
        if type(steps) is not int or steps < 1:
            raise ValueError(f'tta_model.steps={steps}: a whole number of at '
                             'least 1 is needed.')
        super().__init__(module, views, **kwargs)
        self.keep = keep
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps

    def check_head(self, head: str, prompt: Optional[type]) -> None:
        super().check_head(head, prompt)
        if not prompt.learned:
            raise ValueError(
                f'TPT tunes the context of a prompt, and {prompt.__name__} '
                'has written words: take a config with a learned prompt '
                '(configs/coop). Without a checkpoint it starts from words: '
                '--cfg-options model.head.prompt.ctx_init="a photo of a".')
        if prompt.prompts_images:
            raise ValueError(
                f'TPT tunes the context of class names, and '
                f'{prompt.__name__} prompts the image tower too: take a '
                'prompt for the text tower alone (configs/coop, '
                'configs/cocoop).')

    def adapt(self, feats: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        features = F.normalize(feats.float(), dim=-1)  # (V, E)
        ctx = self.tune(features)
        return self._score(ctx, features[:1], features[:1])[0]

    def tune(self, features: torch.Tensor) -> torch.Tensor:
        """Tune the context.

        Args:
            features: (V, E), L2-normalised.

        Returns:
            The tuned context, of the shape of the prompt's ``ctx``.
        """
        first, selected = features[:1], None
        with torch.enable_grad():
            ctx = nn.Parameter(self._initial_context(first))
            optimizer = torch.optim.AdamW(
                [ctx], lr=self.lr, weight_decay=self.weight_decay)
            for _ in range(self.steps):
                logits = self._score(ctx, features, first)
                if selected is None:
                    selected = most_confident(logits.detach(), self.keep)
                loss = mean_probability_entropy(logits[selected])
                ctx.grad, = torch.autograd.grad(LOSS_SCALE * loss, ctx)
                ctx.grad /= LOSS_SCALE
                optimizer.step()
        return ctx.detach()

    def _initial_context(self, first: torch.Tensor) -> torch.Tensor:
        """The context of an image, whose first view is (1, E)."""
        prompt = self.module.head.prompt
        with torch.no_grad():
            if not prompt.sees_images:
                return prompt.ctx.detach().clone()
            prompts, = prompt(self.module.head.text_tower, first)
            return prompts.prefix[0, -prompt.n_ctx:].float()

    def _score(self, ctx: torch.Tensor, features: torch.Tensor,
               first: torch.Tensor) -> torch.Tensor:
        """Logits (n, K) of features (n, E) with a context.

        Args:
            ctx: Of the shape of the prompt's ``ctx``.
            features: L2-normalised.
            first: (1, E), the first view.
        """
        prompt = self.module.head.prompt
        if prompt.sees_images:  # takes away what the prompt will add
            ctx = ctx - (self._initial_context(first) - prompt.ctx.detach())
        return functional_call(_Scorer(self.module.head),
                               {'head.prompt.ctx': ctx}, (features, first))


class _Scorer(nn.Module):
    """Logits of views with class features made for the first of them."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: torch.Tensor,
                first: torch.Tensor) -> torch.Tensor:
        # with gradients enabled the head keeps no class features
        with torch.enable_grad():
            text = self.head.text_features(first)
            return self.head.compute_logits(features, text)


def mean_probability_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the mean probability of views, (n, K) -> ()."""
    log_p = logits.log_softmax(1).logsumexp(0) - math.log(len(logits))
    return -(log_p.exp() * log_p).sum()
