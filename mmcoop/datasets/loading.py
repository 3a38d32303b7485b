"""Image loading as the published code does it."""
from typing import Optional

from mmcv.transforms import LoadImageFromFile

from ..registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """Load an image with Pillow, and name the file if that fails.

    Pillow, not OpenCV: it decodes as the published code does, and it refuses
    a file that is cut short instead of filling in grey.

    Args:
        exif_rotation: Turn photos as their EXIF tag says. The published code
            does not; photos from a telephone need it.
        **kwargs: Of mmcv's ``LoadImageFromFile``.

    Raises:
        OSError: The image cannot be read; the message names it.
    """

    def __init__(self, exif_rotation: bool = False, **kwargs) -> None:
        kwargs.setdefault('imdecode_backend', 'pillow')
        kwargs.setdefault(
            'color_type',
            'color' if exif_rotation else 'color_ignore_orientation')
        super().__init__(**kwargs)

    def transform(self, results: dict) -> Optional[dict]:
        if 'img' in results:  # an inferencer has loaded it already
            return results
        try:
            return super().transform(results)
        except Exception as error:
            raise OSError(
                f'cannot read the image {results["img_path"]} '
                f'[{type(error).__name__}: {error}]. Mend or remove it, or '
                "set unreadable='skip' on the data set to leave out what "
                'cannot be read.') from error
