"""Image loading and views as the published code has them."""
import io
from typing import Any, Optional

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from ..registry import TRANSFORMS
from .images import read_image

DEMO_SCHEME = 'demo://'


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image with Pillow as (H, W, 3), BGR, uint8.

    Pillow decodes as the published code does. Unlike OpenCV, it raises an
    error for a truncated file instead of filling in grey. If the data info
    has ``exif_rotation=True`` (see :class:`FolderDataset`), the image is
    rotated by its EXIF orientation, which the published code never does.
    Images of :class:`DemoWorld` are drawn.

    Args:
        backend_args: The file backend; see ``mmengine.fileio``.

    Raises:
        OSError: If the image cannot be read. The message names the file.
    """

    def __init__(self, backend_args: Optional[dict] = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        if 'img' not in results:  # an inferencer has loaded it already
            try:
                image = self._read(results)
            except Exception as error:
                raise OSError(
                    f'cannot read the image {results["img_path"]} '
                    f'[{type(error).__name__}: {error}]. Mend or remove it, '
                    "or set unreadable='skip' on the data set to leave out "
                    'what cannot be read.') from error
            results['img'] = np.asarray(image)[..., ::-1].copy()
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def _read(self, results: dict) -> Any:
        path = results['img_path']
        if path.startswith(DEMO_SCHEME):
            from ..demo.world import draw  # needs Pillow's drawing alone
            return draw(path)
        raw = fileio.get(path, self.backend_args)
        return read_image(
            io.BytesIO(raw), results.get('exif_rotation', False))

    def __repr__(self) -> str:
        return f'LoadImage(backend_args={self.backend_args})'


@TRANSFORMS.register_module()
class RandomTranslation(BaseTransform):
    """Enlarge an image and crop it to its size again, at a random place.

    A shift by up to an eighth of the image, of the views that CoOp's paper is
    said to have trained on (``views=translation``); as Dassl does it.

    Args:
        prob: Probability; other images stay as they are.
        enlarge: Factor of height and width.
    """

    def __init__(self, prob: float = 0.5, enlarge: float = 1.125) -> None:
        self.prob = prob
        self.enlarge = enlarge

    def transform(self, results: dict) -> dict:
        if np.random.rand() < self.prob:
            image = results['img']
            height, width = image.shape[:2]
            sizes = [round(self.enlarge * side) for side in (width, height)]
            large = mmcv.imresize(image, tuple(sizes), backend='pillow',
                                  interpolation='bilinear')
            left, top = (round(np.random.rand() * (size - side))
                         for size, side in zip(sizes, (width, height)))
            results['img'] = np.ascontiguousarray(
                large[top:top + height, left:left + width])
        return results

    def __repr__(self) -> str:
        return (f'RandomTranslation(prob={self.prob}, '
                f'enlarge={self.enlarge})')
