"""Few-shot draws, equal to the published ones, from any data set."""
import logging
import random
from typing import List, Optional, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset
from mmengine.logging import print_log

from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .derived import DerivedDataset, build, kind_of, labels_of
from .images import check_images

LEFT = 'training images not drawn'  # split of a draw beside another
VAL_SHOTS = 4  # the published code draws at most four validation images


@DATASETS.register_module()
class FewShotDataset(DerivedDataset):
    """``shots`` images of each class of another data set.

    The draw is that of the published code: classes in the order of their
    first appearance, ``random.Random(seed).sample`` for each. It depends on
    nothing else, so every rank draws the same images.

    Args:
        dataset: The data set to draw from, or its config.
        shots: Images a class; None keeps all.
        seed: Seed of the draw and of the views.
        val_of: The training data set, to draw its validation images: the
            generator first repeats the training draw, then ``dataset`` gives
            min(shots, 4) images a class, none of which is a training image.
        class_subset: ``base`` or ``new`` classes, or their names, of the
            images that were drawn (the published code draws from all classes
            first); None keeps all. See :func:`keep_classes`.
        unreadable: What to do with an image that cannot be read: ``stop``
            names it in an error, ``skip`` leaves it out and names it.
        **kwargs: Of :class:`DerivedDataset`: ``pipeline`` and the like.

    Raises:
        ValueError: ``shots`` < 1, a multi-label data set, or no image that is
            left to draw.
    """

    def __init__(self,
                 dataset: Union[dict, MMEngineDataset],
                 shots: Optional[int] = 16,
                 seed: int = 1,
                 val_of: Union[dict, MMEngineDataset, None] = None,
                 class_subset: ClassSubset = None,
                 unreadable: str = 'stop',
                 **kwargs) -> None:
        if shots is not None and (not isinstance(shots, int) or shots < 1):
            raise ValueError(
                f'shots={shots}: a whole number of at least 1 is needed; '
                'None takes all images.')
        if unreadable not in ('stop', 'skip'):
            raise ValueError(
                f"unreadable={unreadable!r}: choose 'stop' or 'skip'.")
        check_class_subset(class_subset)
        self.class_subset = class_subset
        self.shots = shots
        self.unreadable = unreadable
        self._val_of = val_of
        super().__init__(dataset, seed=seed, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Draw; the data set that was drawn from is not kept."""
        rng = random.Random(self.seed)
        shots, source, taken = self.shots, None, set()
        if self._val_of is not None:
            train = build(self._val_of)
            taken = {train.get_data_info(i).get('img_path')
                     for i in draw(labels_of(train), shots, rng)} - {None}
            shots = min(shots, VAL_SHOTS) if shots else None
            if self._val_of == self._source:
                source = train
        source = source or build(self._source)
        labels = labels_of(source)
        # published validation lists hold no training images: all are free
        free = [i for i in range(len(source)) if not taken
                or source.get_data_info(i).get('img_path') not in taken]
        labels = [labels[i] for i in free]
        drawn = draw(labels, shots, rng)
        if not drawn:
            raise ValueError(
                f'no image is left for validation: all {len(source)} are in '
                f'the training draw (shots={self.shots}). Take fewer shots.')
        self._metainfo = {**source.metainfo, **self._metainfo}
        if taken and self._metainfo.get('split') != 'val':
            self._metainfo['split'] = LEFT
        if shots is not None:
            _say_if_short(labels, shots, self._metainfo.get('classes'))
        print_log(
            f'{len(drawn)} of {len(source)} images drawn '
            f'(shots={shots}, seed={self.seed})', 'current', logging.INFO)
        data_list, self._metainfo = keep_classes(
            [dict(source.get_data_info(free[i])) for i in drawn],
            self._metainfo, self.class_subset)
        return data_list

    def filter_data(self) -> List[dict]:
        return check_images(super().filter_data(), self.unreadable)

    def extra_repr(self) -> List[str]:
        return [f'Shots: \t{self.shots}', f'Seed: \t{self.seed}',
                f'Drawn from: \t{kind_of(self._source)}']


def draw(labels: Sequence[int], shots: Optional[int],
         rng: random.Random) -> List[int]:
    """Indices of ``shots`` items of each label, as the published code draws.

    Labels come in the order of their first appearance; a label with fewer
    items gives all of them.
    """
    groups = {}
    for i, label in enumerate(labels):
        groups.setdefault(label, []).append(i)
    drawn = []
    for items in groups.values():
        if shots is not None and len(items) >= shots:
            items = rng.sample(items, shots)
        drawn.extend(items)
    return drawn


def _say_if_short(labels: Sequence[int], shots: int,
                  classes: Optional[Sequence[str]]) -> None:
    counts = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    short = [
        f'{classes[label] if classes else label} ({count})'
        for label, count in counts.items() if count < shots
    ]
    if short:
        print_log(
            f'{len(short)} classes have fewer than {shots} images, all of '
            f'which are used: {", ".join(short[:10])}'
            + (', ...' if len(short) > 10 else ''), 'current',
            logging.WARNING)
