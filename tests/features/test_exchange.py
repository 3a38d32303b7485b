"""Ranks that share the computing of features."""
import json
import os
import subprocess
import sys

import pytest
import torch
from mmengine.registry import RUNNERS

from ..conftest import ROOT, custom_config, make_photos


def torchrun(folder, ranks, *args):
    env = dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1',
               PYTHONPATH=str(ROOT), MMCOOP_OUT=str(folder))
    subprocess.run([
        sys.executable, '-m', 'torch.distributed.run',
        f'--nproc-per-node={ranks}', '--rdzv-backend=c10d',
        '--rdzv-endpoint=localhost:0', *map(str, args)
    ], check=True, env=env, timeout=300, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_exchange(tmp_path):
    torchrun(tmp_path, 3, ROOT / 'tests/features/rank.py')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['0', '1', '2']


@pytest.mark.slow
def test_two_ranks_are_one_process(tmp_path, small_clip, monkeypatch):
    """Both with cached views; each rank encodes half of them."""
    photos = make_photos(tmp_path / 'photos',
                         {'red_fox': 7, 'snow': 7, 'grass': 8})
    # few steps: rounding grows a thousandfold in six epochs on this CLIP
    options = dict(cached_views=2, max_epochs=3, shots=4, calibrate=False)
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'one'))
    runner = RUNNERS.build(custom_config(
        tmp_path, photos, small_clip, **options,
        **{'train_dataloader.batch_size': 6}))
    runner.model.head.text_tower.double()  # as ddp_worker.py does
    runner.train()
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'two'))
    cfg = custom_config(
        tmp_path / 'ddp', photos, small_clip, **options,
        launcher='pytorch', **{'train_dataloader.batch_size': 3})
    cfg.dump(tmp_path / 'ddp.py')
    torchrun(tmp_path, 2, ROOT / 'tests/engine/ddp_worker.py',
             tmp_path / 'ddp.py')
    for rank in range(2):
        torch.testing.assert_close(
            torch.load(tmp_path / f'rank{rank}.pt')['ctx'],
            runner.model.head.prompt.ctx.detach(), rtol=0, atol=1e-5)
    results = [
        json.loads((tmp_path / name / 'result.json').read_text())
        for name in ('work', 'ddp/work')
    ]
    assert results[0]['metrics'] == pytest.approx(results[1]['metrics'],
                                                  abs=1e-3)
    parts = [
        sorted(p.stat().st_size for p in (tmp_path / name).rglob('part*'))
        for name in ('one', 'two')
    ]
    # validation and training: one part each, and two of half the features
    assert len(parts[0]) == 2 and len(parts[1]) == 4
    assert parts[1][-1] == parts[1][-2] < .6 * parts[0][-1]
