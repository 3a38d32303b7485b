"""Few-shot draws, equal to the published ones, from any data set."""
import hashlib
import logging
import random
from collections import Counter
from typing import List, Optional, Sequence, Union

import numpy as np
from mmengine.dataset import BaseDataset as MMEngineDataset
from mmengine.logging import print_log

from ..registry import DATASETS
from .class_subset import ClassSubset, check_class_subset, keep_classes
from .derived import DerivedDataset, build_dataset, get_labels, get_type_name
from .draw_file import find_drawn, read_draw_file
from .images import check_images, check_unreadable
from .label_noise import check_label_noise, flip_labels

# metainfo split of validation images that are drawn from a training set
NOT_DRAWN = 'training images not drawn'
MAX_VAL_SHOTS = 4  # the published code draws no more validation images


class NoImageLeft(ValueError):
    """The training draw has taken all images."""


@DATASETS.register_module()
class FewShotDataset(DerivedDataset):
    """``shots`` images of each class of another data set.

    The draw is that of the published code: for each class, in the order of
    first appearance, ``random.Random(seed).sample``. It depends on nothing
    else, so all ranks draw the same images.

    Args:
        dataset: The data set to draw from, or its config.
        shots: The number of images per class; None keeps all images.
        seed: The seed of the draw and of the views.
        val_of: The training data set, if validation images are to be drawn.
            The generator first repeats the training draw. Then min(shots, 4)
            images per class are drawn from ``dataset``, none of which is a
            training image.
        class_subset: ``base`` or ``new`` classes, or their names, of the
            images that were drawn (the published code draws from all classes
            first); None keeps all. See :func:`keep_classes`.
        unreadable: What to do if drawn images cannot be read: ``stop`` raises
            an error, ``skip`` logs a warning and leaves them out.
        label_noise: Wrong labels on purpose, ``dict(kind, rate, seed)``: see
            :func:`flip_labels`. Without a seed it takes that of the draw.
        draw_file: A draw of the published code, ``split_fewshot/
            shot_16-seed_1.pkl``, that is taken as it is. No code in it is run.
        **kwargs: Arguments of :class:`DerivedDataset`, such as ``pipeline``.

    Attributes:
        label_noise: ``kind``, ``rate``, ``seed`` and the number of labels
            that were ``flipped`` of how many ``images``; None: no noise.
        source_counts: How many images of each label there were to draw from.

    Raises:
        FileNotFoundError: If there is no ``draw_file``.
        ValueError: If ``shots`` < 1, if images have several labels, if no
            image is left to draw, if ``label_noise`` is not possible, or if
            ``draw_file`` is of other data.
    """

    def __init__(self,
                 dataset: Union[dict, MMEngineDataset],
                 shots: Optional[int] = 16,
                 seed: int = 1,
                 val_of: Union[dict, MMEngineDataset, None] = None,
                 class_subset: ClassSubset = None,
                 unreadable: str = 'stop',
                 label_noise: Optional[dict] = None,
                 draw_file: Optional[str] = None,
                 **kwargs) -> None:
        if shots is not None and (not isinstance(shots, int) or shots < 1):
            raise ValueError(
                f'shots={shots}: a whole number of at least 1 is needed; '
                'None takes all images.')
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f'seed={seed!r}: a whole number is needed; it '
                             'draws the images, the same in every process.')
        check_unreadable(unreadable)
        check_class_subset(class_subset)
        label_noise = dict(label_noise or {})
        check_label_noise(**label_noise)
        self.label_noise = None
        self.source_counts = {}
        if label_noise.get('rate'):
            self.label_noise = dict(dict(kind='symmetric'), **label_noise)
            if label_noise.get('seed') is None:
                self.label_noise['seed'] = seed
        self.class_subset = class_subset
        self.shots = shots
        self.draw_file = draw_file
        self.unreadable = unreadable
        self._val_of = val_of
        super().__init__(dataset, seed=seed, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Draw the images; the data set they come from is not kept."""
        rng = random.Random(self.seed)
        shots, source, taken = self.shots, None, set()
        if self._val_of is not None and self.draw_file is None:
            train = build_dataset(self._val_of)
            taken = {_identify(train.get_data_info(i))
                     for i in draw(get_labels(train), shots, rng)} - {None}
            shots = min(shots, MAX_VAL_SHOTS) if shots else None
            if self._val_of == self._source:
                source = train
        source = source or build_dataset(self._source)
        labels = get_labels(source)
        self.source_counts = dict(Counter(labels))
        # a published validation list holds no training images
        free = [i for i in range(len(source)) if not taken
                or _identify(source.get_data_info(i)) not in taken]
        labels = [labels[i] for i in free]
        drawn = draw(labels, shots, rng) if self.draw_file is None \
            else self._read_draw(source, free, labels)
        if not drawn:
            raise NoImageLeft(
                f'no image is left for validation: all {len(source)} are in '
                f'the training draw (shots={self.shots}). Take fewer shots.')
        self._metainfo = {**source.metainfo, **self._metainfo}
        if taken and self._metainfo.get('split') != 'val':
            self._metainfo['split'] = NOT_DRAWN
        if shots is not None and self.draw_file is None:
            _warn_if_few_images(labels, shots, self._metainfo.get('classes'))
        print_log(
            f'{len(drawn)} of {len(source)} images drawn '
            + (f'(shots={shots}, seed={self.seed})' if self.draw_file is None
               else f'(as in {self.draw_file})'), 'current', logging.INFO)
        data_list, self._metainfo = keep_classes(
            [dict(source.get_data_info(free[i])) for i in drawn],
            self._metainfo, self.class_subset)
        return data_list

    def _read_draw(self, source: MMEngineDataset, free: Sequence[int],
                   labels: Sequence[int]) -> List[int]:
        split = 'train' if self._val_of is None else 'val'
        images = read_draw_file(self.draw_file)[split]
        if not images:  # those of ImageNet
            raise ValueError(f'{self.draw_file} has no {split} images.')
        return find_drawn(
            images, [source.get_data_info(i)['img_path'] for i in free],
            labels, self.draw_file)

    def filter_data(self) -> List[dict]:
        data_list = check_images(super().filter_data(), self.unreadable)
        if self.label_noise:
            self._flip(data_list)
        return data_list

    def _flip(self, data_list: List[dict]) -> None:
        labels = [int(info['gt_label']) for info in data_list]
        noise = {key: self.label_noise[key] for key in ('kind', 'rate',
                                                        'seed')}
        classes = len(self._metainfo.get('classes') or ()) or max(labels) + 1
        noisy = flip_labels(labels, classes, **noise)
        for info, label in zip(data_list, noisy):
            info['gt_label'] = label
        flipped = sum(a != b for a, b in zip(labels, noisy))
        self.label_noise = dict(noise, flipped=flipped,
                                images=len(labels))
        print_log(
            f'{flipped} of {len(labels)} labels are wrong on purpose '
            f'(label noise: {noise})', 'current', logging.WARNING)

    def extra_repr(self) -> List[str]:
        return [f'Shots: \t{self.shots}', f'Seed: \t{self.seed}',
                f'Drawn from: \t{get_type_name(self._source)}']


def draw(labels: Sequence[int], shots: Optional[int],
         rng: random.Random) -> List[int]:
    """Draw ``shots`` items of each label as the published code does.

    Args:
        labels: The label of each item.
        shots: The number of items per label; None takes all. A label with
            fewer items gives all of them.
        rng: The generator.

    Returns:
        Indices into ``labels``; labels come in the order of first appearance.
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


def _identify(info: dict) -> Union[str, bytes, None]:
    """Path of an image, or a checksum if it is in memory (CIFAR)."""
    if info.get('img_path') is None and info.get('img') is not None:
        return hashlib.sha1(np.ascontiguousarray(info['img'])).digest()
    return info.get('img_path')


def _warn_if_few_images(labels: Sequence[int], shots: int,
                        classes: Optional[Sequence[str]]) -> None:
    few = [f'{classes[label] if classes else label} ({count})'
           for label, count in Counter(labels).items() if count < shots]
    if few:
        print_log(
            f'{len(few)} classes have fewer than {shots} images, all of '
            f'which are used: {", ".join(few[:10])}'
            + (', ...' if len(few) > 10 else ''), 'current', logging.WARNING)
