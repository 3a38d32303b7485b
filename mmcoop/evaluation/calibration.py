"""How far a classifier's confidence is from its accuracy."""
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class CalibrationError(BaseMetric):
    """Expected calibration error of the top-1 confidence, in percent.

    The images are sorted by the largest predicted probability into bins of
    equal width, ((m - 1) / M, m / M]; the error is the mean over the images
    of the distance between accuracy and mean confidence of their bin (Guo et
    al., ICML 2017, arXiv 1706.04599). The metric is ``calibration/ece``.

    Args:
        bins: The number M of bins.
        collect_device: As of mmengine's ``BaseMetric``.
        prefix: First part of the metric's name; None: ``calibration``.

    Raises:
        ValueError: ``bins`` < 1, or the model predicts labels without scores.
    """
    default_prefix = 'calibration'

    def __init__(self, bins: int = 15, collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if bins < 1:
            raise ValueError(f'CalibrationError: bins={bins}: at least 1 is '
                             'needed.')
        self.bins = bins

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Keep (confidence, whether it is right) of each image."""
        for sample in data_samples:
            if 'pred_score' not in sample:
                raise ValueError(
                    'CalibrationError needs pred_score, the probabilities of '
                    'all classes, and this model predicts labels alone: take '
                    'it out of test_evaluator.')
            confidence, label = sample['pred_score'].max(0)
            self.results.append((
                confidence.item(), label.item() in sample['gt_label'].tolist()
            ))

    def compute_metrics(self, results: List[Tuple[float, bool]]
                        ) -> Dict[str, float]:
        """The metric from what :meth:`process` kept on all ranks."""
        confidence, right = torch.tensor(
            results, dtype=torch.float64).unbind(1)
        return dict(ece=100 * expected_calibration_error(
            confidence, right, self.bins))


def expected_calibration_error(confidence: torch.Tensor, right: torch.Tensor,
                               bins: int = 15) -> float:
    """The expected calibration error, from 0 to 1.

    Args:
        confidence: (n, ), the predicted probability of the predicted class.
        right: (n, ), 1 where the prediction is right, else 0.
        bins: The number of bins of equal width.
    """
    which = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    # |B| / n * |acc(B) - conf(B)| is |sum of (right - confidence) in B| / n
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(
        0, which, right.double() - confidence.double())
    return float(gaps.abs().sum() / len(confidence))
