"""Several prompts a class, matched with image patches: PLOT."""
from typing import Optional

import torch

from ..registry import MODELS
from .context import ContextPrompt


@MODELS.register_module()
class TransportPrompt(ContextPrompt):
    """Optimal transport between local image features and a class's prompts.

    PLOT (Chen et al., ICLR 2023, arXiv 2210.01253): the score of a class is
    the cosine of M local image features and N prompts, summed with the weights
    of the entropic optimal transport plan between them (both sides uniform,
    cost 1 - cosine). The plan gets no gradient. It is computed by Sinkhorn's
    iterations, which stop, as published, when the mean change over the whole
    batch is below the tolerance.

    The published code adds the logits of pooled features on ImageNet, chosen
    by the data set's name; here one formula serves all data sets.

    Args:
        n_ctx: Number of context vectors of each prompt.
        n_prompts: Number N of prompts of each class.
        epsilon: Weight of the plan's entropy.
        max_iters: Largest number of iterations.
        tolerance: Mean change at which the iterations stop.
        **kwargs: Other arguments of :class:`ContextPrompt`.
    """
    sees_patches = True

    def __init__(self, n_ctx: int = 16, n_prompts: int = 4,
                 epsilon: float = 0.1, max_iters: int = 100,
                 tolerance: float = 1e-2, **kwargs) -> None:
        super().__init__(n_ctx=n_ctx, n_prompts=n_prompts, combine='logits',
                         **kwargs)
        self.epsilon = epsilon
        self.max_iters = max_iters
        self.tolerance = tolerance

    def compare(self, image: torch.Tensor, text: torch.Tensor,
                patches: Optional[torch.Tensor] = None) -> torch.Tensor:
        text = text if text.ndim == 3 else text[None]  # (N, K, E)
        cosines = torch.einsum('bme,nke->bkmn', patches, text)
        with torch.no_grad():
            plan = sinkhorn(1 - cosines, self.epsilon, self.max_iters,
                            self.tolerance)
        return (plan * cosines).sum((-2, -1))

    def settings(self) -> dict:
        return dict(super().settings(), epsilon=self.epsilon)


def sinkhorn(cost: torch.Tensor, epsilon: float, max_iters: int,
             tolerance: float) -> torch.Tensor:
    """Entropic optimal transport plans between uniform marginals.

    Cuturi, NeurIPS 2013 (arXiv 1306.0895).

    Args:
        cost: (..., M, N).
        epsilon: Weight of the entropy.
        max_iters: Largest number of iterations.
        tolerance: The iterations stop when the row scaling changes by less
            than this on average.

    Returns:
        Plans (..., M, N); the columns sum to 1/N exactly, the rows to 1/M as
        the iterations converge.
    """
    M, N = cost.shape[-2:]
    kernel = torch.exp(-cost / epsilon)
    rows, columns = cost.new_ones([M, 1]), cost.new_ones([N, 1])
    transposed = kernel.transpose(-2, -1)  # ONNX has no mT
    for _ in range(max_iters):
        before = rows
        rows = 1 / M / (kernel @ columns)  # (..., M, 1)
        columns = 1 / N / (transposed @ rows)  # (..., N, 1)
        if (rows - before).abs().mean() < tolerance:
            break
    return rows * kernel * columns.transpose(-2, -1)
