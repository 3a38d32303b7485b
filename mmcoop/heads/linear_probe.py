"""The CoOp paper's linear probe: logistic regression on image features.

The protocol and the search for C follow the published code (``lpclip`` in
KaiyangZhou/CoOp); the solver is scikit-learn's.
"""
import importlib.util
import logging
import time
import warnings
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log

from ..registry import MODELS
from .record import RecordedHead, shorten

GRID = (6, 4, 2, 0, -2, -4, -6)  # log10 C, in the published order
STEPS = 8
MAX_ITER = 1000


@MODELS.register_module()
class LinearProbeHead(RecordedHead):
    """Logistic regression on image features before L2 normalisation.

    :class:`mmcoop.FitLoop` trains it. It predicts the classes that it was
    fitted on, or a subset of them. :class:`CoOp` sets ``in_channels`` and
    both arguments about the tower.

    Args:
        in_channels: Width E of the features.
        tower: Name of the image tower, for checkpoints.
        tower_fingerprint: The image tower's :meth:`FrozenModule.fingerprint`.
        **kwargs: ``loss``, ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.

    Attributes:
        weight: (K, E), in double precision.
        bias: (K, ), in double precision.
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
        """Set the classes to fit, or select among the fitted ones.

        Args:
            names: Class names.
            ids: Unique identifiers (WordNet ids for ImageNet, where two
                classes share a name); None uses the names.

        Raises:
            ValueError: The head was not fitted on all of these classes.
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
        """Check that the packages which :meth:`fit` needs are installed.

        Raises:
            ImportError: scikit-learn is missing.
        """
        if importlib.util.find_spec('sklearn') is None:
            raise ImportError('the linear probe needs scikit-learn: '
                              "pip install -e '.[linear_probe]'")

    def fit(self, train: Any, val: Any) -> dict:
        """Fit on training images; validation images select C.

        Args:
            train: :class:`mmcoop.features.labelled.LabelledFeatures` to fit.
            val: Features and labels of the same kind, to select C.

        Returns:
            Entries of the result file: ``C``, ``val_accuracy`` (percent),
            ``search`` (a dict per fit) and ``solver``.
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
        """Check as :class:`RecordedHead` does, and restore the classes."""
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


class SearchResult(NamedTuple):
    """The result of :func:`search_C`.

    Attributes:
        C: The selected inverse regularisation strength.
        val_accuracy: Its accuracy on validation images, in percent.
        trace: C, val_accuracy, converged and seconds of every fit.
        classifier: The fitted ``LogisticRegression``.
    """
    C: float
    val_accuracy: float
    trace: List[dict]
    classifier: Any


def search_C(train: tuple, val: tuple) -> SearchResult:
    """Select C by the accuracy on validation images.

    A grid of seven powers of ten (the largest C wins a tie) is followed by
    eight bisection steps in log10 C around the best: the better end of the
    interval stays (the smaller C at a tie), the other moves to the middle.

    Args:
        train: Features (n, E) and labels (n, ) to fit.
        val: Features and labels to select C.
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
    return SearchResult(10.**best, percent, trace, classifier)


def fit(train: tuple, C: float) -> Tuple[Any, bool]:
    """Fit L2-regularised logistic regression; tell whether it converged."""
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
