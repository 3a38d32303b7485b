"""The benchmarks run (on a CLIP of milliseconds; no time is looked at)."""
import json
import subprocess
import sys

import pytest
import torch

from ..conftest import ROOT

SCRIPTS = {
    'text_step.py': ['--classes', '4', '--only', 'unified'],
    'tpt_step.py': ['--classes', '4'],
    'training_step.py': ['--plain-classes', '3'],
    'many_classes.py': ['--classes', '5', '300', '--text-memory', '0.001'],
    'precision.py': ['--classes', '5', '--batch', '2'],
    'multi_gpu.py': ['--classes', '5', '--port', '29617'],
    'heads.py': ['--classes', '5', '--shots', '4', '--width', '8',
                 '--images', '20000'],
    'loading.py': ['--images', '32', '--size', '40', '30', '--step', '0.1'],
}


@pytest.mark.slow
@pytest.mark.parametrize('script', SCRIPTS)
def test_runs(script, small_clip, tmp_path):
    out = tmp_path / 'out.json'
    subprocess.run([
        sys.executable, str(ROOT / 'tools/benchmarks' / script), '--model',
        small_clip['model_name'], '--repeats', '1', '--device', 'cpu',
        '--out', str(out), *SCRIPTS[script]
    ], check=True, timeout=300, stdout=subprocess.DEVNULL)
    written = json.loads(out.read_text())
    assert len(written['rows']) >= 2 and written['arguments']['repeats'] == 1
    for row in written['rows']:
        assert all(value > 0 for key, value in row.items()
                   if key.endswith(('(s)', 'seconds', 'times faster',
                                    'times smaller', 'images/s')))


@pytest.mark.slow
def test_on_gpu_without_one(tmp_path):
    """The script for a GPU machine works: two of its parts, made tiny."""
    out = tmp_path / 'table.md'
    script = str(ROOT / 'tools/benchmarks/on_gpu.py')
    subprocess.run([
        sys.executable, script, '--device', 'cpu', '--quick', '--only',
        'ImageNet-shaped', 'AMP', 'precision', '--out', str(out)
    ], check=True, timeout=300, stdout=subprocess.DEVNULL)
    table = out.read_text()
    assert '| ImageNet-shaped, 2 epochs | done | epoch 1: loss ' in table
    assert '| one epoch, AMP | not run | mixed precision needs' in table
    assert '| benchmarks/precision.py | fp32 |' in table
    if not torch.cuda.is_available():
        done = subprocess.run([sys.executable, script], capture_output=True,
                              text=True)
        assert done.returncode == 1 and 'PyTorch sees no GPU' in done.stderr
