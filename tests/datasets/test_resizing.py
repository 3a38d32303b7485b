"""Test images are resized as open_clip does it."""
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from open_clip.transform import image_transform
from PIL import Image

from mmcoop.datasets import CLIPResize
from mmcoop.features.keys import get_transform_state


@pytest.mark.parametrize('interpolation', ['bicubic', 'bilinear'])
@pytest.mark.parametrize('mode', ['shortest', 'squash', 'longest'])
def test_equal_to_open_clip(mode, interpolation):
    theirs = image_transform(
        (64, 64), is_train=False, mean=(0, 0, 0), std=(1, 1, 1),
        resize_mode=mode, interpolation=interpolation)
    ours = CLIPResize(64, mode, interpolation)
    rng = np.random.default_rng(0)
    for size in ((64, 64), (63, 200), (201, 90), (31, 40), (65, 64), (9, 7)):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        result = Compose([ours])(dict(img=image))
        assert result['img_shape'] == (64, 64)
        expected = theirs(Image.fromarray(image))
        pixels = torch.from_numpy(result['img']).permute(2, 0, 1) / 255
        torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-6)


def test_a_line_has_no_row_lost():
    image = np.full((1, 500, 3), 200, np.uint8)
    found = CLIPResize(32, 'longest').transform(dict(img=image))['img']
    assert found.shape == (32, 32, 3)
    assert (found.max(axis=(1, 2)) == 200).sum() == 1


def test_unknown_and_cached_apart():
    for wrong in (dict(resize_mode='fit'), dict(interpolation='cubic')):
        with pytest.raises(ValueError, match='choose from'):
            CLIPResize(32, **wrong)
    states = [str(get_transform_state(CLIPResize(32, *settings)))
              for settings in ((), ('squash', ), ('shortest', 'bilinear'))]
    assert len(set(states)) == 3
