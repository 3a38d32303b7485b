"""The shell launchers hand every argument on; no GPU or Slurm needed."""
import os
import subprocess
import sys

import pytest

from ..conftest import ROOT


@pytest.fixture
def launch(tmp_path):
    """Run a script with torchrun and srun replaced by an echo."""
    for name in ('torchrun', 'srun'):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)

    def run(script, *args, **env):
        done = subprocess.run(
            [str(ROOT / 'tools' / script), *args], check=True, text=True,
            capture_output=True,
            env={**os.environ, **env,
                 'PATH': f'{tmp_path}:{os.environ["PATH"]}'})
        return done.stdout.splitlines()

    return run


def test_dist(launch):
    args = launch('dist_train.sh', 'a b.py', '8', '--cfg-options', 'x=[1, 2]',
                  NNODES='2', NODE_RANK='1', MASTER_ADDR='host')
    assert args[:3] == ['--nnodes=2', '--node-rank=1', '--master-addr=host']
    assert '--nproc-per-node=8' in args
    assert args[-6:] == [f'{ROOT}/tools/train.py', 'a b.py', '--launcher',
                         'pytorch', '--cfg-options', 'x=[1, 2]']
    args = launch('dist_test.sh', 'a.py', 'c.pth', '2', '--tta')
    assert args[-6:] == [f'{ROOT}/tools/test.py', 'a.py', 'c.pth',
                         '--launcher', 'pytorch', '--tta']


def test_slurm(launch):
    args = launch('slurm_train.sh', 'part', 'job', 'a.py', 'work', '--amp',
                  GPUS='16')
    assert '--ntasks=16' in args and '--gres=gpu:8' in args
    assert args[-5:] == [f'{ROOT}/tools/train.py', 'a.py', '--work-dir=work',
                         '--launcher=slurm', '--amp']
    args = launch('slurm_test.sh', 'part', 'job', 'a.py', 'c.pth', '--tta')
    assert args[-5:] == [f'{ROOT}/tools/test.py', 'a.py', 'c.pth',
                         '--launcher=slurm', '--tta']


def test_without_mmcv_the_remedy_is_named():
    code = "import sys; sys.modules['mmcv'] = None; import mmcoop"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True,
                          text=True)
    assert 'pip install "mmcv-lite>=2.2.0"' in done.stderr
