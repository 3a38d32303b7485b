"""The CoOp paper's linear probe: logistic regression on image features.

The protocol and the search for C follow the published code (``lpclip`` in
KaiyangZhou/CoOp); the solver is scikit-learn's.
"""
import importlib.util
import logging
import time
import warnings
from typing import Any, List, Tuple

import torch
from mmengine.logging import print_log

from ..registry import MODELS
from .fitted import FittedHead, Score, Values, new_parameter

GRID = (6, 4, 2, 0, -2, -4, -6)  # log10 C, in the published order
STEPS = 8
MAX_ITER = 1000


@MODELS.register_module()
class LinearProbeHead(FittedHead):
    """Logistic regression on image features before L2 normalisation.

    :class:`CoOp` sets ``in_channels`` and both arguments about the tower.

    Args:
        in_channels: Width E of the features.
        C: Inverse regularisation strength, if none is selected.
        tower: Name of the image tower, for checkpoints.
        tower_fingerprint: The image tower's :meth:`FrozenModule.fingerprint`.
        **kwargs: ``loss``, ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.

    Attributes:
        weight: (K, E), in double precision.
        bias: (K, ), in double precision.
    """
    of_classes = ('weight', 'bias')
    tower_kind = 'image'

    def __init__(self, in_channels: int, C: float = 1., tower: str = '',
                 tower_fingerprint: str = '', **kwargs) -> None:
        super().__init__(**kwargs)
        self.values = dict(C=C)
        self.tower, self.tower_fingerprint = tower, tower_fingerprint
        double = dict(dtype=torch.float64)
        self.weight = new_parameter(0, in_channels, **double)
        self.bias = new_parameter(0, **double)
        self.class_names: List[str] = []

    @property
    def in_channels(self) -> int:
        return self.weight.shape[1]

    def forward(self, feats: Tuple[torch.Tensor]) -> torch.Tensor:
        """Logits (B, K), in double precision, from ((B, E), )."""
        return self.pre_logits(feats).double() @ self.select(
            self.weight).mT + self.select(self.bias)

    @staticmethod
    def check_requirements() -> None:
        """Check that the packages which :meth:`learn` needs are installed.

        Raises:
            ImportError: scikit-learn is missing.
        """
        if importlib.util.find_spec('sklearn') is None:
            raise ImportError('the linear probe needs scikit-learn: '
                              "pip install -e '.[linear_probe]'")

    @property
    def searches(self) -> bool:
        return True

    def learn(self, train: Any, C: float) -> dict:
        import sklearn
        classifier, self.converged = fit(train.to_numpy(), C)
        weight = torch.from_numpy(classifier.coef_)
        bias = torch.from_numpy(classifier.intercept_)
        if len(weight) == 1:  # two classes: the first one's logit is 0
            weight = torch.cat([torch.zeros_like(weight), weight])
            bias = torch.cat([torch.zeros_like(bias), bias])
        self.assign('weight', weight)
        self.assign('bias', bias)
        return dict(solver=f'scikit-learn {sklearn.__version__}')

    def search(self, score: Score) -> Values:
        """Select C as published.

        A grid of seven powers of ten (the largest C wins a tie) is followed
        by eight bisection steps in log10 C around the best: the better end of
        the interval stays (the smaller C at a tie), the other moves to the
        middle.
        """
        tried, short = {}, []  # log10 C: accuracy; C without convergence

        def accuracy(exponent: float) -> float:
            if exponent not in tried:
                start, C = time.perf_counter(), 10.**exponent
                tried[exponent], = score([dict(C=C)])
                if not self.converged:
                    short.append(C)
                print_log(
                    f'Fit {len(tried)}: C={C:.4g}, {tried[exponent]:.2f} % '
                    f'on held-out images, {time.perf_counter() - start:.1f} '
                    's', 'current', logging.INFO)
            return tried[exponent]

        best = max(GRID, key=accuracy)
        left, right = best - 1, best + 1
        for _ in range(STEPS):
            middle = (left + right) / 2  # exact: a binary fraction
            if accuracy(left) < accuracy(right):
                best, left = right, middle
            else:
                best, right = left, middle
        if short:
            print_log(
                f'{len(short)} of {len(tried)} fits had not converged after '
                f'{MAX_ITER} iterations and are taken as they are, as '
                f'published (C: {", ".join(f"{C:.4g}" for C in short)}).',
                'current', logging.INFO)
        return dict(C=10.**best)

    def make_record(self) -> dict:
        return dict(self.fitted_record(), tower=self.tower,
                    tower_fingerprint=self.tower_fingerprint)


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
