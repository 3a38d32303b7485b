"""tools/feature_cache.py as a person runs it."""
import subprocess
import sys

import pytest
import torch

from mmcoop.features.store import FeatureStore

from ..conftest import ROOT


def tool(*args, check=True):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', str(ROOT / 'tools/feature_cache.py'),
         *map(str, args)], cwd=ROOT, capture_output=True, text=True,
        check=check)


@pytest.mark.slow
def test_show_and_clear(tmp_path, monkeypatch):
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path))
    assert 'no features in' in tool().stdout
    for name, count in (('a' * 20, 3), ('b' * 20, 500)):
        FeatureStore(
            tmp_path / 'features' / name,
            dict(tower_name='ViT-B-16', pipeline_short='CenterCrop 224')
        ).write([bytes([i % 256, i // 256] * 16) for i in range(count)],
                torch.zeros(count, 512))
    (tmp_path / 'mine.txt').touch()
    shown = tool().stdout
    for words in ('a' * 20, 'b' * 20, 'ViT-B-16', 'CenterCrop 224', ' 500 ',
                  '1.0 MB in'):
        assert words in shown
    gone = tool('--clear', 'c' * 20, check=False)
    assert gone.returncode != 0 and 'there is: ' in gone.stderr
    assert 'a' * 20 in tool('--clear', 'a' * 20).stdout
    left = tool().stdout
    assert 'a' * 20 not in left and 'b' * 20 in left
    elsewhere = tool('--folder', tmp_path / 'elsewhere', '--clear')
    assert 'no features' in elsewhere.stdout
    tool('--clear')
    assert sorted(p.name for p in tmp_path.rglob('*')) == ['features',
                                                           'mine.txt']
