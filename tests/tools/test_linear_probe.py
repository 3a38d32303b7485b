"""tools/linear_probe.py as a person runs it."""
import json
import subprocess
import sys

import pytest

from ..conftest import ROOT

pytestmark = pytest.mark.slow
CONFIG = 'configs/coop/coop_vit-b16_16shot_custom.py'
TOOL = str(ROOT / 'tools/linear_probe.py')
WITHOUT = ('import runpy, sys; sys.modules["sklearn"] = None; '
           f'runpy.run_path({TOOL!r}, run_name="__main__")')


def tool(*args, start=(TOOL, )):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', *start, *map(str, args)], cwd=ROOT,
        capture_output=True, text=True)


def test_one_command(tmp_path, photos, small_clip):
    pytest.importorskip('sklearn')
    options = [
        f'data_root={photos}', 'shots=2', 'seed=3',
        f'model.clip.model_name={small_clip["model_name"]}',
        f'model.clip.pretrained={small_clip["pretrained"]}',
    ]
    work = tmp_path / 'work'
    done = tool(CONFIG, '--work-dir', work, '--cfg-options', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((work / 'result.json').read_text())
    assert (result['shots'], result['seed']) == (2, 3)
    assert 'Fit 15: C=' in done.stdout
    top1 = result['metrics']['accuracy/top1']
    assert f'Linear probe: {top1:.2f} % on 5 test images' in done.stdout
    # the config that lies beside the result runs again, elsewhere
    done = tool(work / 'coop_vit-b16_16shot_custom.py', '--work-dir',
                tmp_path / 'again')
    assert done.returncode == 0, done.stderr[-3000:]
    again = json.loads((tmp_path / 'again/result.json').read_text())
    assert (again['metrics'], again['C']) == (result['metrics'], result['C'])


def test_without_scikit_learn(tmp_path):
    done = tool(CONFIG, '--work-dir', tmp_path / 'work',
                start=('-c', WITHOUT))
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(
        "scikit-learn: pip install -e '.[linear_probe]'")
    assert not (tmp_path / 'work').exists()
