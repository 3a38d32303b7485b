"""The resizing of test images, in open_clip's three modes."""
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from ..clip.preprocessing import INTERPOLATIONS, RESIZE_MODES
from ..registry import TRANSFORMS

# CLIPs want bicubic or bilinear; Pillow has more
KNOWN = (*INTERPOLATIONS, 'nearest', 'box', 'lanczos', 'hamming')


@TRANSFORMS.register_module()
class CLIPResize(BaseTransform):
    """Make an image square, as the CLIP was trained and tested.

    The pixels are those of ``open_clip.image_transform``.

    - ``shortest``: the shorter edge is resized and the middle cropped, which
      is ``ResizeEdge`` and ``CenterCrop``. OpenAI's CLIPs are tested so.
    - ``squash``: both edges are resized, without keeping the shape (SigLIP).
    - ``longest``: the longer edge is resized, and the rest is black.

    Args:
        scale: Height and width in pixels.
        resize_mode: One of the three.
        interpolation: Pillow's, which smooths: ``bicubic``, ``bilinear``, ...

    Raises:
        ValueError: ``resize_mode`` or ``interpolation`` is unknown.
    """

    def __init__(self, scale: int, resize_mode: str = 'shortest',
                 interpolation: str = 'bicubic') -> None:
        for value, known in ((resize_mode, RESIZE_MODES),
                             (interpolation, KNOWN)):
            if value not in known:
                raise ValueError(f'CLIPResize: {value!r} is unknown; choose '
                                 f'from {", ".join(known)}.')
        self.scale = scale
        self.resize_mode = resize_mode
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        image, size = results['img'], self.scale
        height, width = image.shape[:2]
        if self.resize_mode == 'squash':
            sides = size, size
        elif self.resize_mode == 'shortest':
            short = min(height, width)
            sides = int(size * width / short), int(size * height / short)
        else:
            ratio = max(height, width) / size
            # a line of 1000 x 1 pixels is still a line
            sides = tuple(max(1, round(side / ratio))
                          for side in (width, height))
        image = mmcv.imresize(image, sides, backend='pillow',
                              interpolation=self.interpolation)
        results['img'] = image = _crop_or_pad(image, size)
        results['img_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (f'CLIPResize(scale={self.scale}, '
                f'resize_mode={self.resize_mode}, '
                f'interpolation={self.interpolation})')


def _crop_or_pad(image: np.ndarray, size: int) -> np.ndarray:
    """The middle (size, size) of an image, with black where there is none."""
    height, width = image.shape[:2]
    top, left = (max(0, size - side) // 2 for side in (height, width))
    if height < size or width < size:
        padded = np.zeros((max(size, height), max(size, width), 3),
                          image.dtype)
        padded[top:top + height, left:left + width] = image
        image = padded
    top, left = (round((side - size) / 2) for side in image.shape[:2])
    return np.ascontiguousarray(image[top:top + size, left:left + size])
