"""The embedded demo: CoOp learns what a generic prompt does not say."""
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmcoop.demo.world import CAPTIONS, CLASSES, HELD_OUT, TARGET, render

from .conftest import ROOT, nightly


def test_the_world_is_a_function_of_its_seeds():
    for medium in CAPTIONS:
        image = render('river', medium, HELD_OUT + 5)
        assert image.dtype == np.uint8 and image.shape == (48, 48, 3)
        assert (image == render('river', medium, HELD_OUT + 5)).all()
        assert (image != render('river', medium, HELD_OUT + 6)).any()
        assert (image != render('lake', medium, HELD_OUT + 5)).any()


def test_train_and_test_images_are_apart():
    from mmcoop.demo import DemoWorld
    paths = [{d.get_data_info(i)['img_path'] for i in range(len(d))}
             for d in (DemoWorld('train'), DemoWorld('test', 100))]
    assert not paths[0] & paths[1] and len(paths[1]) == 100 * len(CLASSES)
    seeds = {int(p.rsplit('/', 1)[1]) for part in paths for p in part}
    assert min(seeds) > HELD_OUT and TARGET in next(iter(paths[0]))


@pytest.mark.slow
@pytest.mark.parametrize('seed', [1, pytest.param(2, marks=nightly)])
def test_coop_learns(tmp_path, seed):
    """Held-out images, and zero-shot CLIP on the same ones."""
    cfg = Config.fromfile(ROOT / 'configs/coop/coop_demo.py')
    cfg.merge_from_dict(
        dict(work_dir=str(tmp_path), seed=seed, max_epochs=15))
    runner = RUNNERS.build(cfg)
    before = runner.model.head.prompt.ctx.detach().clone()
    runner.train()
    result = json.loads((tmp_path / 'result.json').read_text())
    zero_shot = result['zero_shot']['accuracy/top1']
    learned = result['metrics']['accuracy/top1']
    assert 20 < zero_shot < 60 and learned > zero_shot + 15, (zero_shot,
                                                              learned)
    assert not torch.equal(before, runner.model.head.prompt.ctx)
    assert f'{zero_shot:.1f} %' in (tmp_path / 'report.html').read_text()
