"""The base class of data sets that are made from another data set."""
from typing import List, Optional, Sequence, Union

from mmengine.dataset import BaseDataset as MMEngineDataset
from mmpretrain.datasets import BaseDataset

from ..registry import DATASETS
from .seeding import SharedInt, get_image_seed, seeded


class DerivedDataset(BaseDataset):
    """Some images of another data set, with reproducible random views.

    A view is an image as the random transforms of the pipeline return it.
    Once :class:`mmcoop.EpochHook` has set the epoch, a view depends on (seed,
    epoch, image) only, not on the number of workers, the rank or a restart.
    (Hence ``RepeatDataset`` repeats the views as well.)

    Args:
        dataset: The other data set or its config: any data set or wrapper of
            mmengine or mmpretrain with one ``gt_label`` per image.
        seed: The seed of the views.
        pipeline: The transforms; None takes those of ``dataset``.
        **kwargs: Arguments of mmpretrain's ``BaseDataset``, such as
            ``test_mode``, ``lazy_init`` or ``indices``.

    Raises:
        ValueError: If there is no pipeline.
    """

    def __init__(self,
                 dataset: Union[dict, MMEngineDataset],
                 seed: int = 1,
                 pipeline: Optional[Sequence] = None,
                 **kwargs) -> None:
        self.seed = seed
        self._epoch = SharedInt(-1)  # not set yet
        self._source = dataset
        if pipeline is None:
            pipeline = _get_pipeline(dataset)
        if pipeline is None:
            raise ValueError(
                f'{get_type_name(dataset)} has no pipeline of its own: give '
                f'{type(self).__name__}(pipeline=[...]).')
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            ann_file='', pipeline=pipeline, lazy_init=True, **kwargs)
        if not lazy_init:
            self.full_init()

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the views; :class:`mmcoop.EpochHook` calls it."""
        self._epoch.set(epoch)

    def __getitem__(self, idx: int) -> dict:
        epoch = self._epoch.get()
        if not self._fully_initialized or epoch < 0:
            return super().__getitem__(idx)
        return self.get_view(idx, epoch)

    def get_view(self, idx: int, epoch: int) -> dict:
        """Return an item as it is in a given epoch."""
        with seeded(self.get_view_seed(idx, epoch)):
            return super().__getitem__(idx)

    def get_view_seed(self, idx: int, epoch: int) -> int:
        """Return the seed that determines :meth:`get_view`."""
        return get_image_seed(self.seed, epoch, self.get_data_info(idx))


def build_dataset(dataset: Union[dict, MMEngineDataset]) -> MMEngineDataset:
    """Build a data set if a config is given, and load its list."""
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    dataset.full_init()
    return dataset


def get_labels(dataset: MMEngineDataset) -> List[int]:
    """Return the label of every image.

    Raises:
        ValueError: If an image has no label or a list of labels.
    """
    labels = [
        dataset.get_data_info(i).get('gt_label') for i in range(len(dataset))
    ]
    if any(label is None or isinstance(label, (list, tuple))
           for label in labels):
        raise ValueError(
            f'{type(dataset).__name__} has no single gt_label for every '
            'image, which is needed here.')
    return [int(label) for label in labels]


def get_type_name(dataset: Union[dict, MMEngineDataset]) -> str:
    """Return the type of a data set or of its config, for messages."""
    return str(dataset.get('type')) if isinstance(dataset, dict) \
        else type(dataset).__name__


def _get_pipeline(dataset: Union[dict, MMEngineDataset]):
    while isinstance(dataset, dict):
        if dataset.get('pipeline') is not None:
            return dataset['pipeline']
        dataset = dataset.get('dataset')
    pipeline = getattr(dataset, 'pipeline', None)
    return getattr(pipeline, 'transforms', pipeline)
