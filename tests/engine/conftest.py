"""Runs on features, and on images."""
import pytest

from mmcoop.clip import ImageTower

from ..conftest import custom_config

UNCACHED = [dict(type='mmcoop.ClassNamesHook'), dict(type='mmcoop.EpochHook'),
            dict(type='mmcoop.SafeCheckpointHook'),
            dict(type='mmcoop.ResultHook')]


@pytest.fixture
def config(tmp_path, photos, small_clip, monkeypatch):
    """A config whose cache is empty at first."""
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'cache'))

    def make(**options):
        # they encode images too, which tests here do not count
        options = {'calibrate': False, 'report': False, **options}
        return custom_config(tmp_path, photos, small_clip, **options)

    return make


@pytest.fixture
def encoded(monkeypatch):
    """How many images the tower has encoded, batch by batch."""
    counts, forward = [], ImageTower.forward

    def count(self, images):
        counts.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(ImageTower, 'forward', count)
    return counts


def log(tmp_path):
    """The lines that runs have logged."""
    return [line for path in (tmp_path / 'work').rglob('*.log')
            for line in path.read_text().splitlines()]
