"""The demo world as a data set: images are drawn when they are asked for."""
from typing import List

from mmcv.transforms import BaseTransform
from mmpretrain.datasets import BaseDataset

from ..datasets.class_subset import ClassSubset, keep_classes
from ..registry import DATASETS, TRANSFORMS
from .world import CLASSES, HELD_OUT, TARGET, render

# none of them was seen by the tiny CLIP
FIRST_SEED = {'train': HELD_OUT + 10_000_000, 'test': HELD_OUT + 20_000_000}


@DATASETS.register_module()
class DemoWorld(BaseDataset):
    """Images of the generated world in one medium; a demo, nothing real.

    Args:
        split: ``train`` or ``test``: disjoint images.
        images_per_class: How many there are.
        medium: How the world is drawn; see :mod:`mmcoop.demo.world`.
        class_subset: See :func:`keep_classes`.
        **kwargs: Of mmpretrain's ``BaseDataset``.
    """
    METAINFO = {'classes': CLASSES}

    def __init__(self, split: str, images_per_class: int = 50,
                 medium: str = TARGET, class_subset: ClassSubset = None,
                 **kwargs) -> None:
        self.first_seed = FIRST_SEED[split]
        self.images_per_class = images_per_class
        self.medium = medium
        self.class_subset = class_subset
        super().__init__(ann_file='', test_mode=split == 'test', **kwargs)

    def load_data_list(self) -> List[dict]:
        data_list, self._metainfo = keep_classes([
            dict(
                img_path=f'demo://{self.medium}/{name}/{self.first_seed + i}',
                gt_label=label) for label, name in enumerate(CLASSES)
            for i in range(self.images_per_class)
        ], self._metainfo, self.class_subset)
        return data_list


@TRANSFORMS.register_module()
class RenderDemoImage(BaseTransform):
    """Draw the image that ``img_path`` names (BGR, as if loaded)."""

    def transform(self, results: dict) -> dict:
        if 'img' not in results:
            medium, name, seed = results['img_path'].rsplit('/', 3)[-3:]
            results['img'] = render(name, medium, int(seed))[..., ::-1].copy()
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results
