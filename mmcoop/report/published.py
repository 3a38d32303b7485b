"""Numbers that were published, to stand beside ours: top-1 in percent.

Sources:
    - CoOp: Zhou, Yang, Loy, Liu, "Learning to Prompt for Vision-Language
      Models", IJCV 2022, arXiv 2109.01134, Fig. 3 and Tables 1, 2, 3 and 5.
    - CoCoOp: Zhou, Yang, Loy, Liu, "Conditional Prompt Learning for
      Vision-Language Models", CVPR 2022, arXiv 2203.05557 (base to new), and
      later re-runs of CoOp by others.

Where our notes of them leave it open, this is our reading: zero-shot is with
each data set's own template, the ensemble is that of seven templates, and the
two starts of the context (INIT) were compared on RN50 with 16 shots. ImageNet
with RN50 and 16 shots was published as 62.97 (FEW_SHOT) and as 62.95
(AT_16_SHOTS).
"""
from typing import Dict, Optional, Tuple

from .names import OWN, PROBE, SOURCE, TARGETS, known_backbone

AVERAGE = 'average'  # in the place of a data set: over the paper's eleven

# method: {shots: top-1}, RN50, the average of eleven data sets
FEW_SHOT_AVERAGE = {
    OWN: {0: 58.8},
    'coop-m16-end': {1: 59.80, 2: 62.21, 4: 66.84, 8: 70.05, 16: 73.45},
}
# CoOp M=16, end, RN50, 16 shots
FEW_SHOT = dict(
    imagenet=62.97, caltech101=92.07, oxford_pets=86.30, stanford_cars=73.33,
    oxford_flowers=94.73, food101=74.47, fgvc_aircraft=31.67, sun397=69.40,
    dtd=63.70, eurosat=83.27, ucf101=76.07)
# backbone: {method: ImageNet, V2, Sketch, A, R}, trained on ImageNet, 16 shots
AT_16_SHOTS: Dict[str, Dict[str, Tuple[float, ...]]] = {
    'RN50': {
        OWN: (58.18, 51.34, 33.32, 21.65, 56.00),
        PROBE: (55.87, 45.97, 19.07, 12.74, 34.86),
        'coop-m16-end': (62.95, 55.11, 32.74, 22.12, 54.96),
        'coop-m4-end': (63.33, 55.40, 34.67, 23.06, 56.60),
    },
    'RN101': {
        OWN: (61.62, 54.81, 38.71, 28.05, 64.38),
        PROBE: (59.75, 50.05, 26.80, 19.44, 47.19),
        'coop-m16-end': (66.60, 58.66, 39.08, 28.89, 63.00),
        'coop-m4-end': (65.98, 58.60, 40.40, 29.60, 64.98),
    },
    'ViT-B-32': {
        OWN: (62.05, 54.79, 40.82, 29.57, 65.99),
        PROBE: (59.58, 49.73, 28.06, 19.67, 47.20),
        'coop-m16-end': (66.85, 58.08, 40.44, 30.62, 64.45),
        'coop-m4-end': (66.34, 58.24, 41.48, 31.34, 65.78),
    },
    'ViT-B-16': {
        OWN: (66.73, 60.83, 46.15, 47.77, 73.96),
        PROBE: (65.85, 56.26, 34.77, 35.68, 58.43),
        'coop-m16-end': (71.92, 64.18, 46.71, 48.41, 74.32),
        'coop-m4-end': (71.73, 64.56, 47.89, 49.93, 75.14),
    },
}
# ImageNet; backbone: top-1
ENSEMBLE = {'RN50': 60.41, 'RN101': 62.54, 'ViT-B-32': 63.71,
            'ViT-B-16': 68.74}
# ImageNet, RN50, 16 shots
ADAPTATIONS = {
    OWN: 58.18, PROBE: 55.87, 'finetune': 18.28, 'text-transform': 58.86,
    'text-bias': 60.93, 'coop-m16-end': 62.95,
}
# RN50, 16 shots, the average of eleven data sets
INIT = {'coop-m4-end': 72.65, 'coop-m4-end-words': 72.65}
# backbone and shots; averages of data sets: (what, base, new, harmonic mean)
BASE_TO_NEW_AT = ('ViT-B-16', 16)
BASE_TO_NEW = (
    ('zero-shot', 69.34, 74.22, 71.70),
    ('CoOp, 200 epochs', 82.69, 63.22, 71.66),
    ('CoOp, re-run', 82.63, 67.99, 74.60),
    ('CoOp, another re-run', 80.85, 70.02, 75.04),
)
# independent re-runs of CoOp on ImageNet, RN50, 16 shots
RE_RUNS = 61


def few_shot(dataset: str, method: str, backbone: str,
             shots: float) -> Optional[float]:
    """Published top-1 after training where it was tested, or None.

    Args:
        dataset: A data set of the catalogue, or ``AVERAGE``.
        method: The method.
        backbone: open_clip's name.
        shots: Images a class; 0 for zero-shot.
    """
    if known_backbone(backbone) == 'RN50':
        if dataset == AVERAGE:
            return FEW_SHOT_AVERAGE.get(method, {}).get(shots)
        if (method, shots) == ('coop-m16-end', 16) and dataset in FEW_SHOT:
            return FEW_SHOT[dataset]
    return from_source(dataset, method, backbone, shots)


def from_source(dataset: str, method: str, backbone: str,
                shots: float) -> Optional[float]:
    """Published top-1 of models of ImageNet, or None; see :func:`few_shot`.

    Zero-shot needs no source: its numbers are of ``dataset`` itself.
    """
    backbone = known_backbone(backbone)
    if method == 'zeroshot-ensemble7' and dataset == SOURCE:
        return ENSEMBLE.get(backbone)
    if shots not in (0, 16) or (shots == 0) != (method == OWN):
        return None
    if dataset not in (SOURCE, *TARGETS):
        return None
    row = AT_16_SHOTS.get(backbone, {}).get(method)
    return row and row[(SOURCE, *TARGETS).index(dataset)]
