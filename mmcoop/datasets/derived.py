"""What data sets made from another data set have in common."""
from typing import List, Optional, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset
from mmpretrain.datasets import BaseDataset

from ..registry import DATASETS
from .seeding import SharedInt, image_seed, seeded


class DerivedDataset(BaseDataset):
    """Some images of another data set.

    Random views are a function of (seed, epoch, image) alone once
    :class:`mmcoop.EpochHook` tells the epoch: not of the number of workers,
    the rank, or a restart. (So ``RepeatDataset`` repeats the views as well.)

    Args:
        dataset: The other data set, or its config: any mmengine or mmpretrain
            data set or wrapper with one ``gt_label`` an image.
        seed: Seed of the views.
        pipeline: Transforms; None takes those of ``dataset``.
        **kwargs: ``test_mode``, ``lazy_init``, ``indices`` and the like of
            mmpretrain's ``BaseDataset``.

    Raises:
        ValueError: No pipeline.
    """

    def __init__(self,
                 dataset: Union[dict, MMEngineDataset],
                 seed: int = 1,
                 pipeline: Optional[Sequence] = None,
                 **kwargs) -> None:
        self.seed = seed
        self._epoch = SharedInt(-1)  # not told yet
        self._source = dataset
        if pipeline is None:
            pipeline = _pipeline_of(dataset)
        if pipeline is None:
            raise ValueError(
                f'{kind_of(dataset)} has no pipeline of its own: give '
                f'{type(self).__name__}(pipeline=[...]).')
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            ann_file='', pipeline=pipeline, lazy_init=True, **kwargs)
        if not lazy_init:
            self.full_init()

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


def build(dataset: Union[dict, MMEngineDataset]) -> MMEngineDataset:
    """A data set from its config, or as it is, with its list loaded."""
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    dataset.full_init()
    return dataset


def labels_of(dataset: MMEngineDataset) -> List[int]:
    """The label of every image.

    Raises:
        ValueError: There is none, or several.
    """
    labels = [
        dataset.get_data_info(i).get('gt_label')
        for i in range(len(dataset))
    ]
    if any(label is None or isinstance(label, (list, tuple))
           for label in labels):
        raise ValueError(
            f'{type(dataset).__name__} has no single gt_label for every '
            'image, which is needed here.')
    return [int(label) for label in labels]


def kind_of(dataset: Union[dict, MMEngineDataset]) -> str:
    return str(dataset.get('type')) if isinstance(dataset, dict) \
        else type(dataset).__name__


def _pipeline_of(dataset: Union[dict, MMEngineDataset]):
    while isinstance(dataset, dict):
        if dataset.get('pipeline') is not None:
            return dataset['pipeline']
        dataset = dataset.get('dataset')
    wrapped = getattr(dataset, 'pipeline', None)
    return getattr(wrapped, 'transforms', wrapped)
