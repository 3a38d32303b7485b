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

    Where the data info says ``exif_rotation=True`` (:class:`FolderDataset`), a
    photo is turned as its EXIF tag says; the published code never does that.

    Args:
        backend_args: Storage of the files; see ``mmengine.fileio``.

    Raises:
        OSError: The image cannot be read; the message names it.
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
