"""Wrong labels on purpose, to see what training makes of them."""
import random
from typing import List, Optional, Sequence

KINDS = ('symmetric', 'pair')
MAX_RATE = 0.5  # beyond it, most labels of a class would be wrong


def check_label_noise(kind: str = 'symmetric', rate: float = 0,
                      seed: Optional[int] = None) -> None:
    """Check the ``label_noise`` of a data set.

    Args:
        kind: ``symmetric`` or ``pair``; see :func:`flip_labels`.
        rate: The share of the labels that are wrong.
        seed: The seed of the noise; None: that of the draw.

    Raises:
        ValueError: The kind is unknown or the rate out of range.
    """
    if kind not in KINDS:
        raise ValueError(f"label noise: kind={kind!r}: choose 'symmetric' or "
                         "'pair' (noise_kind in a config).")
    if not isinstance(rate, (int, float)) or not 0 <= rate <= MAX_RATE:
        raise ValueError(f'label noise: rate={rate!r}: a number from 0 to '
                         f'{MAX_RATE} is needed (label_noise in a config).')


def flip_labels(labels: Sequence[int], classes: int, kind: str, rate: float,
                seed: int) -> List[int]:
    """Give ``round(rate * n)`` of the n images of each class another label.

    As many of each class are wrong, as in Wu et al., ICCV 2023 (arXiv
    2307.11978). A half is rounded to the even number. With the same seed, the
    images that a smaller rate flips are among those of a larger one, and get
    the same label.

    Args:
        labels: The true label of each image.
        classes: The number K of classes.
        kind: ``symmetric``: another class at random, all equally likely;
            ``pair``: class k becomes k + 1, the last one the first.
        rate: The share of the labels to flip.
        seed: The noise depends on nothing else; global generators are left
            alone.

    Returns:
        The labels with noise.

    Raises:
        ValueError: There is one class only.
    """
    if rate and classes < 2:
        raise ValueError('label noise needs at least two classes.')
    rng = random.Random(f'label noise {seed}')
    groups, noisy = {}, list(labels)
    for i, label in enumerate(labels):
        groups.setdefault(label, []).append(i)
    for label, items in groups.items():
        order = rng.sample(items, len(items))
        steps = [rng.randrange(1, max(classes, 2)) for _ in items]
        for i, step in list(zip(order, steps))[:round(rate * len(items))]:
            noisy[i] = (label + (1 if kind == 'pair' else step)) % classes
    return noisy
