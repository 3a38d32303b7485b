"""Names of towers, pipelines and images: equal only for what is equal."""
import os

import pytest
import torch
from mmpretrain.registry import TRANSFORMS

from mmcoop.clip import load_clip
from mmcoop.features.keys import (HashCache, NotCacheable, get_precision_state,
                                  get_transform_state, hash_tower,
                                  make_image_keys)


def flip_a_bit(tower):
    weight = tower.visual.class_embedding.data
    weight.view(torch.int32)[-1] ^= 1


def change_a_setting(tower):
    layer = next(m for m in tower.modules()
                 if isinstance(m, torch.nn.LayerNorm))
    layer.eps *= 2


@pytest.mark.parametrize('change', [
    flip_a_bit, change_a_setting, lambda tower: tower.bfloat16(),
    lambda tower: tower.register_buffer('scale', torch.ones(1), False)
], ids=['a bit', 'a setting', 'precision', 'a buffer'])
def test_towers(small_clip, change):
    tower, same = (load_clip(**small_clip).image_tower for _ in range(2))
    before = hash_tower(tower)
    assert before == hash_tower(same)
    change(tower)
    assert before != hash_tower(tower)


def test_a_tower_that_changes_during_a_run(small_clip):
    tower, hashes = load_clip(**small_clip).image_tower, HashCache()
    before = hashes.hash_tower(tower)
    assert hashes.hash_tower(tower) == before
    with torch.no_grad():
        next(tower.parameters()).mul_(2)
    assert hashes.hash_tower(tower) == hash_tower(tower) != before


def state(**transform):
    return get_transform_state(TRANSFORMS.build(transform))


def test_pipelines():
    crop = dict(type='CenterCrop', crop_size=32)
    assert state(**crop) == state(**crop)
    assert state(**crop) != state(**dict(crop, crop_size=30))
    assert state(type='Resize', scale=32) != \
        state(type='Resize', scale=32, backend='pillow')
    assert state(type='Normalize', mean=[0], std=[1]) != \
        state(type='Normalize', mean=[0], std=[2])
    odd = TRANSFORMS.build(crop)
    odd.rule = len
    with pytest.raises(NotCacheable, match='CenterCrop holds a builtin'):
        get_transform_state(odd)


def test_images(tmp_path):
    one, two = tmp_path / '1.png', tmp_path / '2.png'
    for path in (one, two):
        path.write_bytes(b'pixels')
    infos = [dict(img_path=str(path), gt_label=i, sample_idx=i)
             for i, path in enumerate((one, two))]

    def keys(*infos, seeds=None):
        return make_image_keys(infos, seeds, HashCache())

    first, second = keys(*infos)
    assert first == second  # neither place nor label matter
    assert keys(dict(infos[0], exif_rotation=True)) != [first]
    views = keys(*infos, seeds=[[1, 2], [3, 2]])
    assert len(views) == 4 and views[1] == views[3]
    assert len({first, *views}) == 4
    with pytest.raises(NotCacheable, match='not plain'):
        keys(dict(infos[0], box=torch.ones(4)))
    # another content of the same length and date
    stat = one.stat()
    one.write_bytes(b'pixelz')
    os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert keys(infos[0]) != [first]


def test_a_file_that_changes_during_a_run(tmp_path):
    path, hashes = tmp_path / '1.png', HashCache()
    path.write_bytes(b'pixels')
    before = hashes.hash_file(str(path))
    assert hashes.hash_file(str(path)) == before
    path.write_bytes(b'other pixels')
    assert hashes.hash_file(str(path)) != before


def test_precision_of_a_gpu(monkeypatch):
    """Convolutions are as exact as matrix products, whatever cuDNN is told;
    features that were rounded to TF32 before have another key."""
    gpu = torch.device('cuda')
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    exact = get_precision_state(gpu)
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    assert get_precision_state(gpu) == exact and not exact['tf32']
    matmul = torch.backends.cuda.matmul  # has no attribute to be deleted
    try:
        matmul.allow_tf32 = True
        assert get_precision_state(gpu)['tf32']
    finally:
        matmul.allow_tf32 = False
