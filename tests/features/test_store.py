"""The folder of features: exact, whole or not there, for many processes."""
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from mmcoop.features.keys import hash_parts
from mmcoop.features.store import FeatureStore, clear_store, list_stores

from ..conftest import ROOT

META = dict(tower_name='a tower', pipeline_short='a pipeline')
# writes parts of 10 features, whose values follow from the key, for ever
WRITER = '''
import sys
from pathlib import Path
from tests.features.test_store import META, key, value
from mmcoop.features.store import FeatureStore
import torch
store = FeatureStore(Path(sys.argv[1]), META)
print('ready', flush=True)
for start in range(int(sys.argv[2])):
    ids = range(start % 50, start % 50 + 10)
    store.write([key(i) for i in ids], torch.stack([value(i) for i in ids]))
'''


def key(i):
    return hash_parts(str(i).encode())


def value(i):
    return torch.arange(64.) * i


def read(store, ids):
    """{i: feature} of what is there."""
    ids = list(ids)
    return {
        ids[position]: feature
        for positions, features in store.read([key(i) for i in ids])
        for position, feature in zip(positions, features)
    }


def write(store, ids):
    store.write([key(i) for i in ids], torch.stack([value(i) for i in ids]))


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / 'features' / ('0' * 20), META)


def test_what_is_written_is_read(store):
    write(store, range(5))
    write(store, range(3, 8))
    again = FeatureStore(store.folder, META)
    found = read(again, [7, 0, 99, 4])
    assert set(found) == {7, 0, 4}
    for i, feature in found.items():
        assert torch.equal(feature, value(i))
    # equal images are asked for with equal keys
    (positions, features), = again.read([key(2), key(99), key(2)])
    assert positions == [0, 2]
    assert torch.equal(features, torch.stack([value(2)] * 2))


@pytest.mark.parametrize('size', [0, 3, 200, -1], ids=str)
def test_a_part_cut_short_is_named_and_left_out(store, logged, size):
    write(store, range(5))
    broken, = store.folder.glob('part-*')
    write(store, range(5, 8))
    whole = broken.read_bytes()
    broken.write_bytes(whole[:size])
    assert set(read(store, range(8))) == {5, 6, 7}
    warning, = [line for line in logged if 'cannot be read' in line]
    assert str(broken) in warning


def test_a_part_with_something_else(store, logged):
    from safetensors.torch import save_file
    path = store.folder / f'part-{"0" * 32}.safetensors'
    save_file(dict(keys=torch.zeros(2, 32, dtype=torch.uint8),
                   features=torch.zeros(3, 64)), path)
    assert not read(store, range(3))
    assert any(str(path) in line for line in logged)


def test_a_write_that_fails_leaves_nothing(store, logged, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        write(store, range(5))
        write(store, range(5))
    assert [p.name for p in store.folder.iterdir()] == ['meta.json']
    warning, = [line for line in logged if 'cannot be written' in line]
    assert 'No space left' in warning and 'MMCOOP_CACHE' in warning


def test_a_folder_that_cannot_be_made(tmp_path, logged):
    (tmp_path / 'file').touch()
    store = FeatureStore(tmp_path / 'file' / 'features', META)
    write(store, range(3))
    assert not read(store, range(3))
    assert len([line for line in logged if 'cannot be written' in line]) == 1


def writer(folder, rounds):
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', WRITER, str(folder),
         str(rounds)], cwd=ROOT, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


@pytest.mark.slow
def test_two_processes_at_once(store):
    """They write the same features; a reader never sees anything wrong."""
    processes = [writer(store.folder, 60) for _ in range(2)]
    while any(process.poll() is None for process in processes):
        for i, feature in read(store, range(60)).items():
            assert torch.equal(feature, value(i))
    assert [process.returncode for process in processes] == [0, 0]
    assert set(read(store, range(60))) == set(range(59))
    assert not list(store.folder.glob('*.tmp'))


@pytest.mark.slow
def test_a_killed_writer(store, logged):
    process = writer(store.folder, 10**6)
    time.sleep(.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (store.folder / f'.{"0" * 32}.tmp').write_bytes(b'half a part')
    found = read(FeatureStore(store.folder, META), range(60))
    assert found and not any('cannot be read' in line for line in logged)
    for i, feature in found.items():
        assert torch.equal(feature, value(i))


def test_clearing_takes_its_own_files_only(store, tmp_path):
    write(store, range(5))
    (store.folder / f'.{"0" * 32}.tmp').write_bytes(b'half a part')
    mine = store.folder / 'notes.txt'
    mine.touch()
    other = tmp_path / 'features' / 'photos'
    other.mkdir()
    entry, = list_stores(tmp_path)
    assert (entry.num_features, entry.tower) == (5, 'a tower')
    assert clear_store(entry.folder) == [mine]
    assert [p.name for p in store.folder.iterdir()] == ['notes.txt']
    mine.unlink()
    assert clear_store(entry.folder) == []
    assert [p.name for p in (tmp_path / 'features').iterdir()] == ['photos']
