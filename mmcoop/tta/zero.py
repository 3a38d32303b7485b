"""A vote of the confident views: ZERO (Farina et al., NeurIPS 2024)."""
import torch

from ..registry import MODELS
from .base import BaseAdaptation, check_share, most_confident


@MODELS.register_module()
class ZERO(BaseAdaptation):
    """Each of the most confident views votes for its class.

    arXiv 2405.18330: the mean probability of the views of least entropy, with
    the softmax at temperature zero, which is a vote. Where classes tie, the
    views that were left out decide, the most confident first, by the first
    one whose prediction is among the tied classes; without any, the most
    confident view by its logits. (The published code goes through the views
    from number ``keep * views`` on as they were drawn.)

    The scores are the shares of the votes, where the class that wins a tie
    has one vote more: only the first prediction means something, not the
    first five.

    Args:
        module: As in :class:`BaseAdaptation`; any head.
        views: Number of views V.
        keep: The part of the views that vote.
        **kwargs: Other arguments of :class:`BaseAdaptation`.
    """
    needs_prompt = False

    def __init__(self, module, views: int = 64, keep: float = 0.3,
                 **kwargs) -> None:
        check_share('keep', keep)
        super().__init__(module, views, **kwargs)
        self.keep = keep

    def adapt(self, feats: torch.Tensor, plain: torch.Tensor) -> torch.Tensor:
        logits = self.logits(feats)  # (V, K)
        order = most_confident(logits, 1)
        logits = logits[order]
        kept = max(1, int(self.keep * len(logits)))
        voted = logits.argmax(1)  # (V,)
        votes = voted[:kept].bincount(minlength=logits.shape[1]).float()
        tied = votes == votes.max()  # (K,)
        if tied.sum() > 1:
            others = voted[kept:]
            others = others[tied[others]]
            winner = others[0] if len(others) else \
                logits[0].masked_fill(~tied, -torch.inf).argmax()
            votes[winner] += 1
        return votes.log()
