"""Image loading and views as the published code has them."""
import io
from typing import Any, Optional

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmpretrain.datasets import RandomResizedCrop

from ..registry import TRANSFORMS
from .images import check_is_file, explain, read_image

DEMO_SCHEME = 'demo://'


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image with Pillow as (H, W, 3), BGR, uint8.

    Pillow decodes as the published code does. Unlike OpenCV, it raises an
    error for a truncated file instead of filling in grey. Images of
    :class:`DemoWorld` are drawn.

    Args:
        backend_args: The file backend; see ``mmengine.fileio``.
        as_shown: Whether to load images as viewers show them, which one's own
            photos need and the published code never does: see
            :func:`read_image`.

    Raises:
        OSError: If the image cannot be read. The message names the file.
    """

    def __init__(self, backend_args: Optional[dict] = None,
                 as_shown: bool = False) -> None:
        self.backend_args = backend_args
        self.as_shown = as_shown

    def transform(self, results: dict) -> dict:
        if 'img' not in results:  # an inferencer has loaded it already
            try:
                image = self._read(results)
            except Exception as error:
                raise OSError(
                    f'cannot read the image {results["img_path"]}: '
                    f'{explain(error)}. Mend or remove it, '
                    "or set unreadable='skip' on the data set to leave out "
                    'what cannot be read.') from error
            results['img'] = np.asarray(image)[..., ::-1].copy()
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def _read(self, results: dict) -> Any:
        path = results['img_path']
        if path.startswith(DEMO_SCHEME):
            from ..demo.world import render
            medium, name, seed = path.rsplit('/', 3)[-3:]
            return render(name, medium, int(seed))
        if '://' not in path and self.backend_args is None:
            check_is_file(path)
        raw = fileio.get(path, self.backend_args)
        return read_image(io.BytesIO(raw), self.as_shown)

    def __repr__(self) -> str:
        return (f'LoadImage(backend_args={self.backend_args}, '
                f'as_shown={self.as_shown})')


@TRANSFORMS.register_module()
class RandomView(RandomResizedCrop):
    """The random view of a training image, by one of CoOp's two recipes.

    - ``crop``: RandomResizedCrop, as the shipped configs say.
    - ``translation``: the image is resized to ``scale`` without keeping its
      shape; with probability 1/2 it is enlarged by an eighth and cropped at a
      random place. The paper's runs are said to have had it
      (https://github.com/KaiyangZhou/CoOp/issues/8); as Dassl does it.

    Args:
        scale: Height and width of the view.
        views: ``crop`` or ``translation``.
        **kwargs: Arguments of mmpretrain's ``RandomResizedCrop``.

    Raises:
        ValueError: ``views`` is unknown.
    """

    def __init__(self, scale: int, views: str = 'crop', **kwargs) -> None:
        super().__init__(scale, **kwargs)
        if views not in ('crop', 'translation'):
            raise ValueError(f"views={views!r}: choose 'crop' or "
                             "'translation'.")
        self.views = views

    def transform(self, results: dict) -> dict:
        if self.views == 'crop':
            return super().transform(results)
        width, height = self.scale
        image = mmcv.imresize(results['img'], (width, height),
                              interpolation=self.interpolation,
                              backend=self.backend)
        if np.random.rand() < 0.5:
            sides = round(1.125 * width), round(1.125 * height)
            large = mmcv.imresize(image, sides, interpolation='bilinear',
                                  backend=self.backend)
            left = round(np.random.rand() * (sides[0] - width))
            top = round(np.random.rand() * (sides[1] - height))
            image = np.ascontiguousarray(
                large[top:top + height, left:left + width])
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, views={self.views})'
