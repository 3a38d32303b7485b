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
    """Load an image with Pillow (BGR, uint8), and name the file if that fails.

    Pillow, not OpenCV: it decodes as the published code does, and it refuses
    a file that is cut short instead of filling in grey.

    Args:
        exif_rotation: Turn photos as their EXIF tag says. The published code
            does not; photos from a telephone need it.
        backend_args: Storage of the files; see ``mmengine.fileio``.

    Raises:
        OSError: The image cannot be read; the message names it.
    """

    def __init__(self, exif_rotation: bool = False,
                 backend_args: Optional[dict] = None) -> None:
        self.exif_rotation = exif_rotation
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        if 'img' not in results:  # an inferencer has loaded it already
            try:
                raw = fileio.get(results['img_path'], self.backend_args)
                image = read_image(io.BytesIO(raw), self.exif_rotation)
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
        return f'LoadImage(exif_rotation={self.exif_rotation})'
