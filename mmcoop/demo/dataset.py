"""The demo world as a data set: images are drawn when they are asked for."""
from typing import List, Optional

from mmpretrain.datasets import BaseDataset

from ..datasets.class_subset import ClassSubset, keep_classes
from ..registry import DATASETS
from .world import CLASSES, HELD_OUT, TARGET

# none of them was seen by the tiny CLIP
FIRST_SEED = {'train': HELD_OUT + 10_000_000, 'test': HELD_OUT + 20_000_000}
COUNTS = {'train': 50, 'test': 100}


@DATASETS.register_module()
class DemoWorld(BaseDataset):
    """Images of the generated world in one medium; a demo, nothing real.

    Args:
        split: ``train`` or ``test``: disjoint images.
        images_per_class: How many there are; 50 for training, 100 for testing
            by default.
        medium: How the world is drawn; see :mod:`mmcoop.demo.world`.
        class_subset: See :func:`keep_classes`.
        name: Ignored, as are ``unreadable``, ``ann_file`` and
            ``class_names``: other data sets have them.
        **kwargs: Of mmpretrain's ``BaseDataset``.
    """
    METAINFO = {'classes': CLASSES, 'dataset': 'demo'}

    def __init__(self, split: str, images_per_class: Optional[int] = None,
                 medium: str = TARGET, class_subset: ClassSubset = None,
                 name: Optional[str] = None,
                 unreadable: Optional[str] = None, ann_file: str = '',
                 class_names: Optional[str] = None, **kwargs) -> None:
        self.first_seed = FIRST_SEED[split]
        self.images_per_class = images_per_class or COUNTS[split]
        self.medium = medium
        self.class_subset = class_subset
        kwargs['data_root'] = ''  # there are no files
        super().__init__(ann_file='', test_mode=split == 'test', **kwargs)

    def load_data_list(self) -> List[dict]:
        data_list, self._metainfo = keep_classes([
            dict(
                img_path=f'demo://{self.medium}/{name}/{self.first_seed + i}',
                gt_label=label) for label, name in enumerate(CLASSES)
            for i in range(self.images_per_class)
        ], self._metainfo, self.class_subset)
        return data_list
