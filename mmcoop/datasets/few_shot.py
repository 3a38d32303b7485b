"""Few-shot draws, equal to the published ones, from any data set."""
import logging
import random
from typing import List, Optional, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from ..registry import DATASETS
from .images import check_images
from .seeding import SharedInt, image_seed, seeded

VAL_SHOTS = 4  # the published code draws at most four validation images


@DATASETS.register_module()
class FewShotDataset(BaseDataset):
    """``shots`` images of each class of another data set.

    The draw is that of the published code: classes in the order of their
    first appearance, ``random.Random(seed).sample`` for each. It depends on
    nothing else, so every rank draws the same images.

    Random views are a function of (seed, epoch, image) alone once
    :class:`mmcoop.EpochHook` tells the epoch: not of the number of workers,
    the rank, or a restart. (So ``RepeatDataset`` repeats the views as well.)

    Args:
        dataset: The data set to draw from, or its config: any mmengine or
            mmpretrain data set or wrapper with one ``gt_label`` an image.
        shots: Images a class; None keeps all.
        seed: Seed of the draw and of the views.
        val_of: The training data set, to draw its validation images: the
            generator first repeats the training draw, then ``dataset`` gives
            min(shots, 4) images a class.
        pipeline: Transforms; None takes those of ``dataset``.
        unreadable: What to do with an image that cannot be read: ``stop``
            names it in an error, ``skip`` leaves it out and names it.
        **kwargs: ``test_mode``, ``lazy_init``, ``indices`` and the like of
            mmpretrain's ``BaseDataset``.

    Raises:
        ValueError: ``shots`` < 1, a multi-label data set, or no pipeline.
    """

    def __init__(self,
                 dataset: Union[dict, MMEngineDataset],
                 shots: Optional[int] = 16,
                 seed: int = 1,
                 val_of: Union[dict, MMEngineDataset, None] = None,
                 pipeline: Optional[Sequence] = None,
                 unreadable: str = 'stop',
                 **kwargs) -> None:
        if shots is not None and (not isinstance(shots, int) or shots < 1):
            raise ValueError(
                f'shots={shots}: a whole number of at least 1 is needed; '
                'None takes all images.')
        if unreadable not in ('stop', 'skip'):
            raise ValueError(
                f"unreadable={unreadable!r}: choose 'stop' or 'skip'.")
        self.shots = shots
        self.seed = seed
        self.unreadable = unreadable
        self._epoch = SharedInt(-1)  # not told yet
        self._source = dataset
        self._val_of = val_of
        if isinstance(dataset, dict) and pipeline is None:
            pipeline = dataset.get('pipeline')
        elif pipeline is None:
            wrapped = getattr(dataset, 'pipeline', None)
            pipeline = getattr(wrapped, 'transforms', wrapped)
        if pipeline is None:
            raise ValueError(
                f'{_kind(dataset)} has no pipeline of its own: give '
                'FewShotDataset(pipeline=[...]).')
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            ann_file='', pipeline=pipeline, lazy_init=True, **kwargs)
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> List[dict]:
        """Draw; the data set that was drawn from is not kept."""
        rng = random.Random(self.seed)
        shots = self.shots
        if self._val_of is not None:
            draw(_labels(_build(self._val_of)), shots, rng)
            shots = min(shots, VAL_SHOTS) if shots else None
        source = _build(self._source)
        labels = _labels(source)
        drawn = draw(labels, shots, rng)
        self._metainfo = {**source.metainfo, **self._metainfo}
        if shots is not None:
            _say_if_short(labels, shots, self._metainfo.get('classes'))
        print_log(
            f'{len(drawn)} of {len(labels)} images drawn '
            f'(shots={shots}, seed={self.seed})', 'current', logging.INFO)
        return [dict(source.get_data_info(i)) for i in drawn]

    def filter_data(self) -> List[dict]:
        return check_images(super().filter_data(), self.unreadable)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's views to give; see :class:`mmcoop.EpochHook`."""
        self._epoch.set(epoch)

    def __getitem__(self, idx: int):
        epoch = self._epoch.get()
        if not self._fully_initialized or epoch < 0:
            return super().__getitem__(idx)
        return self.view(idx, epoch)

    def view(self, idx: int, epoch: int):
        """The item as it is in an epoch, whichever epoch it is now."""
        with seeded(self.view_seed(idx, epoch)):
            return super().__getitem__(idx)

    def view_seed(self, idx: int, epoch: int) -> int:
        """All that is random in :meth:`view`."""
        return image_seed(self.seed, epoch, self.get_data_info(idx))

    def extra_repr(self) -> List[str]:
        return [f'Shots: \t{self.shots}', f'Seed: \t{self.seed}',
                f'Drawn from: \t{_kind(self._source)}']


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


def _build(dataset: Union[dict, MMEngineDataset]) -> MMEngineDataset:
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    dataset.full_init()
    return dataset


def _labels(dataset: MMEngineDataset) -> List[int]:
    labels = [
        dataset.get_data_info(i).get('gt_label')
        for i in range(len(dataset))
    ]
    if any(label is None or isinstance(label, (list, tuple))
           for label in labels):
        raise ValueError(
            f'{type(dataset).__name__} has no single gt_label for every '
            'image: a few-shot draw needs one.')
    return [int(label) for label in labels]


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


def _kind(dataset: Union[dict, MMEngineDataset]) -> str:
    return str(dataset.get('type')) if isinstance(dataset, dict) \
        else type(dataset).__name__
