"""The benchmarks run (on a CLIP of milliseconds; no time is looked at)."""
import json
import subprocess
import sys

import pytest

from ..conftest import ROOT

SCRIPTS = {
    'text_step.py': ['--classes', '4'],
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
