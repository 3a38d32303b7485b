"""Image loading as the published code does it."""
import io
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from ..registry import TRANSFORMS
from .images import read_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Load an image with Pillow as (H, W, 3), BGR, uint8.

    Pillow decodes as the published code does. Unlike OpenCV, it raises an
    error for a truncated file instead of filling in grey. If the data info
    has ``exif_rotation=True`` (see :class:`FolderDataset`), the image is
    rotated by its EXIF orientation, which the published code never does.

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
                raw = fileio.get(results['img_path'], self.backend_args)
                image = read_image(
                    io.BytesIO(raw), results.get('exif_rotation', False))
            except Exception as error:
                raise OSError(
                    f'cannot read the image {results["img_path"]} '
                    f'[{type(error).__name__}: {error}]. Mend or remove it, '
                    "or set unreadable='skip' on the data set to leave out "
                    'what cannot be read.') from error
            results['img'] = np.asarray(image)[..., ::-1].copy()
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results

    def __repr__(self) -> str:
        return f'LoadImage(backend_args={self.backend_args})'
