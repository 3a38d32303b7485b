"""A temperature that makes probabilities as sure as they are right."""
from typing import Optional

import torch

LOWEST, HIGHEST = 1e-3, 1e3  # of CLIP's logits, whose scale is about 100
STEPS = 60  # of bisection: 2^-60 of the range


def fit_temperature(logits: torch.Tensor,
                    labels: torch.Tensor) -> Optional[float]:
    """The T for which softmax(logits / T) has the lowest negative log
    likelihood (Guo et al., ICML 2017, arXiv 1706.04599).

    The likelihood is convex in 1 / T, so that the zero of its derivative,
    ``mean(sum(p * logits) - logits[label])``, is found by bisection.

    Args:
        logits: (n, K), of images that the model was not fitted to.
        labels: (n, ).

    Returns:
        T; None if there is no best one between 1/1000 and 1000: where every
        image is right, the lower the better.
    """
    logits = logits.detach().double().cpu()
    labels = labels.cpu()
    if not len(labels):
        return None
    # of softmax, only differences matter
    logits = logits - logits.gather(1, labels[:, None])

    def slope(log_t: float) -> float:
        """Of the likelihood by 1 / T: above 0, T is too low."""
        scaled = logits / torch.tensor(log_t, dtype=torch.float64).exp()
        return float((scaled.softmax(1) * logits).sum(1).mean())

    low, high = (float(torch.tensor(bound, dtype=torch.float64).log())
                 for bound in (LOWEST, HIGHEST))
    if not slope(low) > 0 or not slope(high) < 0:
        return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        if slope(middle) > 0:
            low = middle
        else:
            high = middle
    return float(torch.tensor((low + high) / 2, dtype=torch.float64).exp())
