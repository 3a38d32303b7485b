"""Files are whole or not there."""
import os
import signal
import subprocess
import sys

import pytest

from mmcoop.files import holding, remove_leftovers, replacing

from .conftest import ROOT

KILLED = '''
import os, signal, sys
from mmcoop.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text('half of it')
    os.kill(os.getpid(), signal.SIGKILL)
'''


def test_replaces(tmp_path):
    path = tmp_path / 'result.json'
    for text in ('first', 'second'):
        with replacing(str(path)) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert os.listdir(tmp_path) == ['result.json']


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / 'result.json'
    path.write_text('first')
    with pytest.raises(OSError, match='no space'):
        with replacing(path) as temporary:
            temporary.write_text('half of it')
            raise OSError('no space')
    assert path.read_text() == 'first'
    assert os.listdir(tmp_path) == ['result.json']


def test_killed_in_between(tmp_path):
    path = tmp_path / 'result.json'
    path.write_text('first')
    done = subprocess.run([sys.executable, '-c', KILLED, str(path)],
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == 'first' and len(os.listdir(tmp_path)) == 2
    (tmp_path / '.someone.tmp').touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ['.someone.tmp', 'result.json']


def test_one_run_at_a_time(tmp_path):
    """A loader process that outlives a killed run holds nothing."""
    with holding(tmp_path):
        with pytest.raises(RuntimeError, match='another run .* --work-dir'):
            with holding(tmp_path):
                pass
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, b'.')
            signal.pause()
        os.read(reading, 1)  # it has begun
    try:
        with holding(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not os.listdir(tmp_path)
