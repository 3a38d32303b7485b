"""Several processes: the run of one process, with the text work shared."""
import json
import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from mmcoop.methods import get_method

from ..conftest import ROOT, custom_config, make_photos, nightly

CLASSES = {'red_fox': 9, 'snow': 9, 'grass': 9, 'jack-o-lantern': 9,
           'a very old steam engine': 9}


def run(folder, world_size, photos, clip, class_specific):
    """20 steps of 6 images; what each rank ends with."""
    return launch(folder, world_size, custom_config(
        folder, photos, clip, **{
            'model.head.prompt.class_specific': class_specific,
            'train_dataloader.batch_size': 6 // world_size,
            'shots': 6,
            'max_epochs': 4,
            'launcher': 'pytorch'
        }))


def launch(folder, world_size, cfg):
    folder.mkdir()
    cfg.dump(folder / 'ddp.py')
    env = dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1',
               PYTHONPATH=str(ROOT), MMCOOP_OUT=str(folder))
    subprocess.run([
        sys.executable, '-m', 'torch.distributed.run',
        f'--nproc-per-node={world_size}', '--rdzv-backend=c10d',
        '--rdzv-endpoint=localhost:0',
        str(ROOT / 'tests/engine/ddp_worker.py'),
        str(folder / 'ddp.py')
    ], check=True, env=env, timeout=300, stdout=subprocess.DEVNULL)
    return [torch.load(folder / f'rank{r}.pt') for r in range(world_size)]


@pytest.mark.slow
@pytest.mark.parametrize('class_specific', [False, True])
def test_equals_one_process(tmp_path, small_clip, class_specific):
    """2 and 3 ranks, which do not divide 5 classes, equal one process."""
    photos = make_photos(tmp_path / 'photos', CLASSES)
    one, = run(tmp_path / '1', 1, photos, small_clip, class_specific)
    assert one['steps'] == 20
    assert (one['ctx'] - one['start']).abs().max() > 1e-3
    for world_size in (2, 3):
        ranks = run(tmp_path / str(world_size), world_size, photos,
                    small_clip, class_specific)
        for rank in ranks:
            assert torch.equal(rank['ctx'], ranks[0]['ctx'])
            assert torch.equal(rank['start'], one['start'])
            torch.testing.assert_close(
                rank['ctx'], one['ctx'], rtol=0, atol=1e-5)
            assert rank['drawn'] == one['drawn']
            assert rank['steps'] == 20
        # the classes were divided, and the images
        assert sum(rank['encoded'] for rank in ranks) == 5
        assert all(rank['encoded'] for rank in ranks)
        assert set().union(*(rank['seen'] for rank in ranks)) == one['seen']
        folder = tmp_path / str(world_size) / 'work'
        result = json.loads((folder / 'result.json').read_text())
        assert result['world_size'] == world_size
        assert result['metrics'] == pytest.approx(json.loads(
            (tmp_path / '1/work/result.json').read_text())['metrics'],
            abs=1e-3)
        assert len(list(folder.glob('epoch_4.pth'))) == 1


@pytest.mark.slow
@pytest.mark.parametrize('name,options', [
    ('cocoop', {'model.head.text_memory': 1e-3}),
    pytest.param('prograd', {}, marks=nightly),
    pytest.param('promptsrc', {'model.head.prompt.depth': 2,
                               'model.head.prompt.visual_depth': 1},
                 marks=nightly),
    pytest.param('clip-lora', {'model.tower_adapter.dropout': 0.},
                 marks=nightly),
    ('2sfs', {})])
def test_other_methods_equal_one_process(tmp_path, deep_clip, name, options):
    photos, ends = make_photos(tmp_path / 'photos', CLASSES), []
    for world_size in (1, 2):
        folder = tmp_path / str(world_size)
        cfg = Config.fromfile(get_method(name).config)
        cfg.merge_from_dict({
            'model.clip': dict(_delete_=True, **deep_clip),
            'dataset': 'folder', 'data_root': str(photos), 'shots': 6,
            'max_epochs': 3, 'num_workers': 0, 'launcher': 'pytorch',
            'work_dir': str(folder / 'work'),
            'train_dataloader.batch_size': 6 // world_size, **options})
        ranks = launch(folder, world_size, cfg)
        assert all(torch.equal(rank['ctx'], ranks[0]['ctx'])
                   for rank in ranks)
        ends.append(ranks[0])
    one, two = ends
    assert (one['ctx'] - one['start']).abs().max() > 1e-3
    torch.testing.assert_close(two['ctx'], one['ctx'], rtol=0, atol=2e-4)
