"""Heads on cached features, against libraries and published formulas.

    python tools/benchmarks/heads.py             # a few minutes on two cores

GDA: the fit at K = 1000, 16 images a class, E = 512, against the published
formula in numpy and against scikit-learn's LDA with the same covariance (its
estimator sees a class at a time); all give the same classifier, which is
checked. LP++: a step with the gradient in closed form, against autograd.
Tip-Adapter: 50,000 test images and a cache of 16,000, in bounded memory,
against all at once. Random features: neither time nor memory depends on them.
"""
import multiprocessing
import time
from typing import Callable, Dict, List

import numpy as np
import torch
import torch.nn.functional as F
from common import arguments, report, seconds, synchronize

from mmcoop.engine.result_hook import peak_memory_mib, reset_peak_memory
from mmcoop.heads.gda import fit_gaussians
from mmcoop.heads.lp_plus_plus import loss_and_gradients
from mmcoop.heads.tip_adapter import look_up

GDA, LP, TIP = 'GDA, fit', 'LP++, step', 'Tip-Adapter, test'


def draw(args, images: int) -> torch.Tensor:
    """Unit features (images, E)."""
    return F.normalize(torch.randn(images, args.width), dim=1).to(args.device)


def published_gda(features: np.ndarray, labels: np.ndarray, classes: int):
    """Means, Kubokawa and Srivastava's precision by pinv, W and b."""
    width = features.shape[1]
    means = np.stack([features[labels == k].mean(0) for k in range(classes)])
    centred = features - means[labels]
    cov = np.cov(centred.T)
    precision = width * np.linalg.pinv(
        (len(features) - 1) * cov + np.trace(cov) * np.eye(width))
    weight = means @ precision
    return weight, np.log(1 / classes) - (weight * means).sum(1) / 2


class ClassCovariance:
    """scikit-learn adds up those of the classes, which gives GDA's."""

    def __init__(self, classes: int, images: int) -> None:
        self.classes, self.images = classes, images

    def fit(self, features: np.ndarray) -> None:
        width = features.shape[1]
        centred = features - features.mean(0)
        scatter = centred.T @ centred
        scatter.flat[::width + 1] += np.trace(scatter) / (self.images - 1)
        self.covariance_ = self.classes * scatter / width


def gda_rows(args) -> List[Dict]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    n, K = args.classes * args.shots, args.classes
    features, labels = draw(args, n), torch.arange(K).repeat(args.shots)
    arrays = features.double().cpu().numpy(), labels.numpy()
    lda = LinearDiscriminantAnalysis(
        solver='lsqr', covariance_estimator=ClassCovariance(K, n))
    default = LinearDiscriminantAnalysis()
    weight, bias = (part.cpu().numpy() for part in fit_gaussians(
        features, labels.to(args.device), K))
    sides = {'published formula, numpy': published_gda(*arrays, K)}
    lda.fit(*arrays)
    if K > 2:  # of two classes it keeps the difference
        sides['scikit-learn LDA, same covariance'] = lda.coef_, lda.intercept_
    for name, (other_weight, other_bias) in sides.items():
        scale = max(1, abs(weight).max())
        assert abs(weight - other_weight).max() < 1e-5 * scale, name
        assert abs(bias - other_bias).max() < 1e-5 * max(
            1, abs(bias).max()), name
    ours = seconds(lambda: fit_gaussians(
        features, labels.to(args.device), K), args.device, args.repeats)
    rows = []
    for name, other in (
            ('published formula, numpy', lambda: published_gda(*arrays, K)),
            ('scikit-learn LDA, same covariance', lambda: lda.fit(*arrays)),
            ('scikit-learn LDA, defaults', lambda: default.fit(*arrays))):
        theirs = seconds(other, 'cpu', args.repeats)
        rows.append({'what': GDA, 'against': name, 'theirs (s)': theirs,
                     'ours (s)': ours, 'times faster': theirs / ours})
    return rows


def lp_rows(args) -> List[Dict]:
    n, K = args.classes * args.shots, args.classes
    features = draw(args, n)
    labels = torch.arange(K).repeat(args.shots).to(args.device)
    text = draw(args, K)
    cosines = features @ text.mT
    weight = draw(args, K).requires_grad_()
    bias = torch.zeros(K, device=args.device, requires_grad=True)
    alpha = torch.full((K, ), 20., device=args.device, requires_grad=True)
    parts = weight, bias, alpha

    def gradients(text_logits: torch.Tensor, alphas: torch.Tensor) -> None:
        logits = features @ weight.mT + bias + alphas * text_logits
        torch.autograd.grad(F.cross_entropy(logits, labels), parts)

    def published() -> None:  # the text's logits anew in each step
        ones = torch.ones(n, 1, device=args.device)
        gradients(features @ text.mT, ones @ alpha[None])

    @torch.no_grad()
    def closed() -> None:
        loss_and_gradients(features, text, labels, *parts)

    ours = seconds(closed, args.device, args.repeats)
    rows = []
    for name, step in (('published step, autograd', published),
                       ('autograd, text logits kept',
                        lambda: gradients(cosines, alpha))):
        theirs = seconds(step, args.device, args.repeats)
        rows.append({'what': LP, 'against': name, 'theirs (s)': theirs,
                     'ours (s)': ours, 'times faster': theirs / ours})
    return rows


def plain_look_up(features: torch.Tensor, keys: torch.Tensor,
                  labels: torch.Tensor, classes: int, beta: float
                  ) -> torch.Tensor:
    """As published: the affinities of all images at once."""
    affinity = features @ keys.mT
    values = F.one_hot(labels, classes).to(features)
    return (-(beta - beta * affinity)).exp() @ values


def tip_adapter(args, function: Callable) -> Dict[str, float]:
    """Seconds of all test images, and the memory above the inputs."""
    torch.manual_seed(0)
    keys = draw(args, args.classes * args.shots)
    labels = torch.arange(args.classes).repeat(args.shots).to(args.device)
    test = draw(args, args.images)
    few = test[:64], keys, labels, args.classes, 5.5
    torch.testing.assert_close(look_up(*few), plain_look_up(*few))
    reset_peak_memory()
    before = peak_memory_mib()
    start = time.perf_counter()
    function(test, keys, labels, args.classes, 5.5)
    synchronize(args.device)
    took = time.perf_counter() - start
    after = peak_memory_mib()
    return dict(seconds=took, **{key: after[key] - before[key]
                                 for key in after})


def in_process(function: Callable, *args) -> Dict[str, float]:
    """The result of a function in a process of its own."""
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        return pool.apply(function, args)


def tip_rows(args) -> List[Dict]:
    where = 'gpu' if args.device.startswith('cuda') else 'host'
    theirs, ours = (in_process(tip_adapter, args, function)
                    for function in (plain_look_up, look_up))
    return [{'what': TIP, 'against': f'{args.images} images at once',
             'theirs (s)': theirs['seconds'], 'ours (s)': ours['seconds'],
             'times faster': theirs['seconds'] / ours['seconds'],
             'theirs (MiB)': float(theirs[where]),
             'ours (MiB)': float(max(1, ours[where])),
             'times smaller': theirs[where] / max(1, ours[where])}]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument('--classes', type=int, default=1000)
    parser.add_argument('--shots', type=int, default=16)
    parser.add_argument('--width', type=int, default=512)
    parser.add_argument('--images', type=int, default=50_000)
    args = parser.parse_args()
    torch.manual_seed(0)
    report([*gda_rows(args), *lp_rows(args), *tip_rows(args)], args)


if __name__ == '__main__':
    main()
