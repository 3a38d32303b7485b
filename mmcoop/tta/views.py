"""Views of a test image: the image as it is tested, and random ones."""
from typing import Any, Optional, Sequence

import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from ..datasets.seeding import get_image_seed, seeded
from ..registry import TRANSFORMS

EPOCH = -1  # no view of a training epoch


@TRANSFORMS.register_module()
class ImageViews(BaseTransform):
    """Load a test image, and pack several views of it.

    The first view is what the test pipeline gives. The others go through
    random transforms in the place of its own; they depend on the seed and the
    image alone, not on workers, ranks, the order or the number of views.

    Args:
        pipeline: The test pipeline; its first transform loads an image, the
            last one packs it. ``'${test_dataloader.dataset.pipeline}'`` in a
            config.
        transforms: The random transforms.
        views: Number of views V, the first included.
        seed: Seed of the views.

    Raises:
        ValueError: ``views`` is invalid, or the pipeline too short.
    """

    def __init__(self,
                 pipeline: Sequence[Any],
                 transforms: Sequence[Any],
                 views: int = 64,
                 seed: Optional[int] = 1) -> None:
        if type(views) is not int or views < 1:
            raise ValueError(f'views={views}: a whole number of at least 1 is '
                             'needed (tta_model.views).')
        if len(pipeline) < 2:
            raise ValueError(
                f'a test pipeline of {len(pipeline)} transforms cannot be '
                'divided: the first must load an image, the last pack it.')
        load, *plain, pack = pipeline
        self.load = Compose([load])
        self.plain = Compose([*plain, pack])
        self.random = Compose([*transforms, pack])
        self.views = views
        self.seed = seed

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` (V, 3, H, W) and the ``data_samples`` of the
        first view."""
        with seeded(get_image_seed(self.seed, EPOCH, results)):
            loaded = self.load(results)
            views = [
                # a copy: some transforms write into the image
                pipeline(dict(loaded, img=loaded['img'].copy()))
                for pipeline in [self.plain] + (self.views - 1) * [self.random]
            ]
        return dict(views[0], inputs=torch.stack(
            [view['inputs'] for view in views]))

    def __repr__(self) -> str:
        return (f'ImageViews(views={self.views}, seed={self.seed}, '
                f'load={self.load}, plain={self.plain}, '
                f'random={self.random})')
