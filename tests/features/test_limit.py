"""The size of the feature cache: least recently used goes first."""
import os
import time

import pytest

from mmcoop.features.limit import VARIABLE, get_cache_limit, limit_cache
from mmcoop.features.store import FeatureStore

from .test_store import META, read, write


@pytest.fixture
def cache(tmp_path):
    """A cache of four parts, 0 to 3, each used a day after the one before."""
    stores = [FeatureStore(tmp_path / 'features' / (str(i) * 20), META)
              for i in range(2)]
    parts = []
    for i in range(4):
        write(stores[i % 2], range(100 * i, 100 * i + 100))
        parts.append(stores[i % 2].used[-1])
        used = time.time() - 86400 * (9 - i)
        os.utime(parts[-1], (used, used))
    return tmp_path, stores, parts


def limit_to(monkeypatch, parts, count):
    size = parts[0].stat().st_size
    monkeypatch.setenv(VARIABLE, str((count + 0.5) * size / 2**30))


def test_least_recently_used_goes_first(cache, monkeypatch, logged):
    root, stores, parts = cache
    read(stores[0], [0])  # the oldest part is used again
    limit_to(monkeypatch, parts, 2)
    removed = limit_cache(root)
    assert [part.exists() for part in parts] == [True, False, False, True]
    assert removed == 2 * parts[0].stat().st_size
    assert 'were used least recently were removed' in logged[-1]
    assert limit_cache(root) == 0  # it fits
    # what is gone is computed again, and the rest is whole
    assert not read(stores[1], range(100, 200))
    assert len(read(stores[1], range(300, 400))) == 100


def test_what_a_run_uses_stays(cache, monkeypatch, logged):
    root, stores, parts = cache
    limit_to(monkeypatch, parts, 0)
    os.utime(parts[2])  # another run, just now
    limit_cache(root, keep=[parts[0]])
    assert [part.exists() for part in parts] == [True, False, True, False]
    assert 'runs use all of it' in logged[0]


def test_no_limit_and_wrong_ones(cache, monkeypatch):
    root, _, parts = cache
    monkeypatch.setenv(VARIABLE, '0')
    assert get_cache_limit() is None and limit_cache(root) == 0
    monkeypatch.setenv(VARIABLE, '2.5')
    assert get_cache_limit() == 2.5 * 2**30
    monkeypatch.delenv(VARIABLE)
    assert get_cache_limit() == 20 * 2**30 and limit_cache(root) == 0
    for wrong in ('20G', '-1', 'nan', 'inf'):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(ValueError, match=f'{VARIABLE}={wrong}: give the'):
            get_cache_limit()
    assert all(part.exists() for part in parts)
