"""What a model says of each image of an evaluation."""
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.dist import collect_results
from mmengine.evaluator import DumpResults as _DumpResults
from mmengine.fileio import dump
from mmpretrain.models.classifiers import ImageClassifier

from ..files import replacing
from .runner import unwrap


class DumpResults(_DumpResults):
    """mmengine's ``DumpResults``, whose file is whole or not there."""

    def compute_metrics(self, results: list) -> dict:
        with replacing(self.out_file_path) as temporary:
            dump(results, str(temporary), file_format='pkl')
        return {}


class Prediction(NamedTuple):
    """Of one image.

    Attributes:
        path: Of the image.
        label: The true class.
        predicted: The class with the largest probability.
        confidence: Its probability, as metrics see it.
        calibrated: Its probability with the head's temperature; the same
            without one.
    """
    path: str
    label: int
    predicted: int
    confidence: float
    calibrated: float


class PredictionCollector:
    """Collects predictions while a loop evaluates, at no cost of images.

    The head's logits are seen by a forward hook: the probabilities of data
    samples in fp32 would be too coarse to divide by a temperature.
    """

    def __init__(self) -> None:
        self.predictions: List[Prediction] = []
        self._logits: Optional[torch.Tensor] = None
        self._handle: Any = None

    def start(self, model: torch.nn.Module) -> None:
        """Begin anew with the images to come."""
        self.stop()
        self.predictions, self._logits = [], None
        plain = getattr(model, 'module', model)  # without DDP
        self.temperature = getattr(unwrap(model).head, 'temperature', None)
        if self.temperature and isinstance(plain, ImageClassifier):
            self._handle = plain.head.register_forward_hook(self._keep)

    def _keep(self, head: torch.nn.Module, args: Tuple,
              logits: torch.Tensor) -> None:
        self._logits = logits.detach().float()

    def add(self, data_samples: Sequence) -> None:
        """Take the predictions of a batch."""
        scores = torch.stack([sample.pred_score for sample in data_samples])
        confidence, predicted = scores.max(1)
        calibrated = confidence
        if self._logits is not None and len(self._logits) == len(scores):
            calibrated = (self._logits / self.temperature).softmax(1).amax(1)
            self._logits = None
        for sample, *values in zip(data_samples, predicted.tolist(),
                                   confidence.tolist(), calibrated.tolist()):
            self.predictions.append(Prediction(
                str(sample.get('img_path')), int(sample.gt_label[0]),
                *values))

    def stop(self) -> None:
        """See no more logits."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def gather(self, size: int) -> Optional[List[Prediction]]:
        """Those of all ranks on rank 0, in the order of the data set.

        Args:
            size: Images of the data set.
        """
        self.stop()
        found = collect_results(self.predictions, size)
        return None if found is None else [
            Prediction(*prediction) for prediction in found]
