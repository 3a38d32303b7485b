"""Bad input through the command lines: a sentence, and nothing lost.

The cases are rows of ``bad_data`` and ``bad_runs``: (kind, name, the command
line, what the sentence says). A row with ``LATE`` at its end is about
something that is seen once the CLIP is loaded.
"""
import hashlib
import io
import json
import os
import shutil
import socket
import struct
import sys
import traceback
import zlib
from functools import cached_property
from pathlib import Path

import pytest

from mmcoop.errors import run_tool as door
from mmcoop.protocol.execute import free_runs, tool_main

from ..conftest import ROOT, make_photos
from ..datasets.trees import split_tree
from . import bad_data, bad_runs

CONFIG = ROOT / 'configs/coop/coop_vit-b16_16shot_custom.py'
MAINS = {}


def run_tool(tool, *args):
    """Run a command line in this process as its user does.

    Returns:
        The exit code, all lines on stderr and what is on stdout.
    """
    path = next((ROOT / 'tools').rglob(f'{tool}.py'))
    if tool not in MAINS:
        MAINS[tool] = tool_main(path)
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [str(path), *map(str, args)])
        with contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(errors), \
                pytest.raises(SystemExit) as end:
            door(MAINS[tool])
    free_runs()
    code, lines = end.value.code or 0, errors.getvalue().splitlines()
    if isinstance(code, str):  # as Python ends
        code, lines = 1, [*lines, *code.splitlines()]
    return code, lines, out.getvalue()


class Box:
    """A folder of its own for a case, and the command lines in it."""

    socket = None
    config, configs = CONFIG, ROOT / 'configs'

    def __init__(self, root, photos, clip, run, other_clip, monkeypatch):
        self.root, self.clip, self.run = root, clip, run
        self.other_clip, self.monkeypatch = other_clip, monkeypatch
        self.photos = root / 'photos'
        shutil.copytree(photos, self.photos)

    def write(self, path, content):
        """Write a text or bytes; returns the path."""
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        path.write_bytes(content)
        return path

    @cached_property
    def eurosat(self):
        """The folder of a small EuroSAT."""
        return split_tree(self.root / 'data', 'eurosat') / 'eurosat'

    def take_port(self):
        """The variables that torchrun sets, and a port that is taken."""
        self.socket = socket.socket()
        self.socket.bind(('127.0.0.1', 0))
        self.socket.listen()
        for name, value in dict(
                RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1',
                MASTER_PORT=self.socket.getsockname()[1]).items():
            self.monkeypatch.setenv(name, str(value))
        return True

    def close(self):
        if self.socket is not None:
            self.socket.close()

    def options(self, *options, **others):
        given = {'data_root': self.photos,
                 'model.clip.model_name': self.clip['model_name'],
                 'model.clip.pretrained': self.clip['pretrained'],
                 'num_workers': 0, 'train_dataloader.batch_size': 4,
                 'shots': 2, **others}
        given.update(option.split('=', 1) for option in options)
        return ['--cfg-options',
                *(f'{key}={value}' for key, value in given.items())]

    def train(self, *options, flags=(), config=CONFIG):
        return ('train', config, '--work-dir', 'work', *flags,
                *self.options('max_epochs=1', *options))

    def test(self, checkpoint, *options, flags=(), config=CONFIG):
        return ('test', config, *([checkpoint] if checkpoint else []),
                '--work-dir', 'work', *flags, *self.options(*options))

    def predict(self, *paths, flags=(), run=None):
        return ('predict', run or self.run, *paths, *flags)


@pytest.fixture
def box(tmp_path, monkeypatch, shared_photos, small_clip, small_run, vit_file):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
    box = Box(tmp_path, shared_photos, small_clip, small_run, vit_file,
              monkeypatch)
    yield box
    box.close()


@pytest.fixture(scope='module')
def shared_photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp('shared') / 'photos',
                       dict(red_fox=4, snow=4, grass=4))


@pytest.fixture
def built(monkeypatch):
    """The CLIPs that were built: expensive."""
    from mmcoop.clip import loading
    clips, build = [], loading._build
    monkeypatch.setattr(loading, '_build', lambda *args: (
        clips.append(args[1]), build(*args))[1])
    return clips


def snapshot(*folders):
    """A checksum of every file, by path."""
    found = {}
    for folder in folders:
        for path in Path(folder).rglob('*'):
            if path.is_file() and not path.is_symlink():
                found[path] = hashlib.sha1(path.read_bytes()).hexdigest()
    return found


def is_log(path, work):
    """Whether it is a log of a run, or the config beside it."""
    return work in path.parents and (
        path.suffix == '.py' or path.parents[1] == work
        or path.parent.name == 'vis_data')


@pytest.mark.parametrize('case', [
    pytest.param(case, id=f'{case[0]}: {case[1]}')
    for case in (*bad_data.CASES, *bad_runs.CASES)])
def test_bad(case, box, built, feature_cache):
    _, _, make, *said = case
    late = 'LATE' in said
    said = [words for words in said if words != 'LATE']
    box.write('work/result.json', '{"of": "an earlier run"}')
    box.write('work/epoch_9.txt', 'kept')
    line = make(box)
    places = box.root, feature_cache, box.run.parent, Path(
        box.clip['pretrained']).parent
    before = snapshot(*places)
    code, lines, out = run_tool(*line)
    if 'SURVEY' in os.environ:
        with open('/tmp/w/input/survey.txt', 'a') as file:
            print('###', *case[:2], code, len(built), *lines[-2:], sep='\n  ',
                  file=file)
    after = snapshot(*places)
    assert code in (1, 2)
    assert {path: after.get(path) for path in before} == before
    assert not [path for path in after if path not in before
                and not is_log(path, box.root / 'work')]
    message = lines[-1] if lines else out.splitlines()[-1]
    for words in said:
        assert words in message
    text = '\n'.join([*lines, out])
    assert 'Traceback' not in text and 'weights_only' not in text
    assert late or not built
    if 'hostile' in case[1]:
        assert 'damaged' not in message
