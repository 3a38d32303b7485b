"""The paper's linear probe: logistic regression on frozen image features.

What is measured and how C is searched are those of the published probe
(``lpclip`` in KaiyangZhou/CoOp); the solver is scikit-learn's.
"""
import importlib.util
import logging
import time
import warnings
from typing import (TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence,
                    Tuple)

import torch
import torch.nn as nn
from mmengine.logging import print_log

from ..registry import MODELS
from .record import RecordedHead, shorten

if TYPE_CHECKING:
    from ..features.labelled import LabelledFeatures

GRID = (6, 4, 2, 0, -2, -4, -6)  # log10 C, in the published order
STEPS = 8
MAX_ITER = 1000


@MODELS.register_module()
class LinearProbeHead(RecordedHead):
    """Logistic regression on image features before L2 normalisation.

    Trained by :class:`mmcoop.FitLoop`. It classifies the classes it was
    fitted on, or any part of them.

    Args:
        in_channels: Width E of the features; :class:`CoOp` gives it.
        tower: Name of the image tower, for checkpoints; likewise.
        tower_fingerprint: What tells image towers apart; likewise.
        **kwargs: ``loss``, ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.

    Attributes:
        weight: (K, E), in double precision as it was fitted.
        bias: (K, ).
    """
    fixes_classes = True
    tower_kind = 'image'

    def __init__(self, in_channels: int, tower: str = '',
                 tower_fingerprint: str = '', **kwargs) -> None:
        super().__init__(**kwargs)
        self.tower, self.tower_fingerprint = tower, tower_fingerprint
        double = dict(dtype=torch.float64)
        self.weight = nn.Parameter(torch.zeros(0, in_channels, **double))
        self.bias = nn.Parameter(torch.zeros(0, **double))
        self.fitted_names: List[str] = []  # of the rows of weight
        self.fitted_ids: List[str] = []
        self.class_names: List[str] = []
        self.rows: Optional[List[int]] = None  # None: all, in order

    def set_classes(self, names: Sequence[str],
                    ids: Optional[Sequence[str]] = None) -> None:
        """Take the classes to fit on, or choose among those it was fitted on.

        Args:
            names: Class names.
            ids: Identifiers (WordNet's of ImageNet), where two classes may
                have one name; None takes the names.

        Raises:
            ValueError: It was fitted on other classes.
        """
        names, ids = list(names), list(ids or names)
        if not self.fitted_names:
            self._resize(len(names))
            self.fitted_names, self.fitted_ids = names, ids
        rows = {key: row for row, key in enumerate(self.fitted_ids)}
        if names != self.fitted_names and not set(ids) <= set(rows):
            raise ValueError(
                'a linear probe knows the classes it was fitted on, '
                f'{shorten(self.fitted_names)}, and the data set has '
                f'{shorten(names)}.')
        self.rows = None if names == self.fitted_names \
            else [rows[key] for key in ids]
        self.class_names = names

    def _resize(self, classes: int) -> None:
        # in place: an optimiser may already hold these parameters
        self.weight.data = self.weight.data.new_zeros(
            classes, self.weight.shape[1])
        self.bias.data = self.bias.data.new_zeros(classes)

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K), in double precision, from ((B, E), )."""
        weight, bias = self.weight, self.bias
        if self.rows is not None:
            weight, bias = weight[self.rows], bias[self.rows]
        return self.pre_logits(feats).double() @ weight.t() + bias

    @staticmethod
    def check_requirements() -> None:
        """Raises ImportError if what :meth:`fit` needs is not installed."""
        if importlib.util.find_spec('sklearn') is None:
            raise ImportError('the linear probe needs scikit-learn: '
                              "pip install -e '.[linear_probe]'")

    def fit(self, train: 'LabelledFeatures', val: 'LabelledFeatures') -> dict:
        """Fit on the training draw, with C searched on the validation draw.

        Returns:
            What results tell: ``C``, ``val_accuracy``, ``search`` (every
            fit), ``solver``.
        """
        import sklearn
        found = search_C(train.to_numpy(), val.to_numpy())
        weight = torch.from_numpy(found.classifier.coef_)
        bias = torch.from_numpy(found.classifier.intercept_)
        if len(weight) == 1:  # two classes: the first one's logit is 0
            weight = torch.cat([torch.zeros_like(weight), weight])
            bias = torch.cat([torch.zeros_like(bias), bias])
        self.weight.data.copy_(weight)
        self.bias.data.copy_(bias)
        return dict(C=found.C, val_accuracy=found.val_accuracy,
                    search=found.trace,
                    solver=f'scikit-learn {sklearn.__version__}')

    def make_record(self) -> dict:
        return dict(
            head=type(self).__name__,
            tower=self.tower,
            tower_fingerprint=self.tower_fingerprint,
            classes=self.fitted_names,
            class_ids=self.fitted_ids)

    def check_record(self, record: dict, learned: List[str]) -> None:
        """As of :class:`RecordedHead`; the classes it was fitted on return."""
        super().check_record(record, learned)
        if 'class_ids' not in record:
            raise ValueError('this checkpoint holds no linear probe: take the '
                             'config of the run.')
        names, ids = self.class_names, None
        if names:  # those of the data set at hand
            ids = self.fitted_ids if self.rows is None else \
                [self.fitted_ids[row] for row in self.rows]
        self._resize(len(record['classes']))
        self.fitted_names = record['classes']
        self.fitted_ids = record['class_ids']
        self.set_classes(names or self.fitted_names, ids or self.fitted_ids)


class Found(NamedTuple):
    """What :func:`search_C` chose."""
    C: float
    val_accuracy: float  # percent
    trace: List[dict]  # every fit: C, val_accuracy, converged, seconds
    classifier: Any


def search_C(train: tuple, val: tuple) -> Found:
    """Choose C by the accuracy on validation images.

    First seven powers of ten, of which the largest C wins a tie. Then eight
    steps of bisection in log10 C, from a tenth to ten times the best: the
    better end is kept (the smaller C at a tie) and the other end moves to the
    middle. The better end of the last step is chosen. No C is fitted twice.

    Args:
        train: Features (n, E) and labels (n, ) to fit.
        val: Features and labels to choose C by.
    """
    tried = {}  # log10 C: (accuracy, classifier)
    trace = []

    def accuracy(exponent: float) -> float:
        if exponent not in tried:
            start, C = time.perf_counter(), 10.**exponent
            classifier, converged = fit(train, C)
            percent = score(classifier, val)
            seconds = round(time.perf_counter() - start, 3)
            tried[exponent] = percent, classifier
            trace.append(dict(C=C, val_accuracy=percent, converged=converged,
                              seconds=seconds))
            print_log(f'Fit {len(trace)}: C={C:.4g}, {percent:.2f} % on val, '
                      f'{seconds:.1f} s', 'current', logging.INFO)
        return tried[exponent][0]

    best = max(GRID, key=accuracy)
    left, right = best - 1, best + 1
    for _ in range(STEPS):
        middle = (left + right) / 2  # exact: a binary fraction
        if accuracy(left) < accuracy(right):
            best, left = right, middle
        else:
            best, right = left, middle
    short = [f'{row["C"]:.4g}' for row in trace if not row['converged']]
    if short:
        print_log(
            f'{len(short)} of {len(trace)} fits had not converged after '
            f'{MAX_ITER} iterations and are taken as they are, as published '
            f'(C: {", ".join(short)}).', 'current', logging.INFO)
    percent, classifier = tried[best]
    return Found(10.**best, percent, trace, classifier)


def fit(train: tuple, C: float) -> Tuple[Any, bool]:
    """Logistic regression by L-BFGS with L2: and whether it converged."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    classifier = LogisticRegression(C=C, solver='lbfgs', max_iter=MAX_ITER)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', ConvergenceWarning)
        classifier.fit(*train)
    return classifier, not any(
        issubclass(warning.category, ConvergenceWarning)
        for warning in caught)


def score(classifier: Any, images: tuple) -> float:
    """Top-1 accuracy in percent."""
    features, labels = images
    right = classifier.predict(features) == labels
    return 100 * int(right.sum()) / len(right)
