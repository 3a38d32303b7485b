"""A place for a case of bad input, and its command lines."""
import contextlib
import io
import shutil
import socket
import sys
from functools import cached_property

import pytest

from mmcoop.errors import run_tool as door
from mmcoop.protocol.execute import tool_main

from ..conftest import ROOT
from ..datasets.trees import split_tree

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
    code, lines = end.value.code or 0, errors.getvalue().splitlines()
    if isinstance(code, str):  # as Python ends
        code, lines = 1, [*lines, ' '.join(code.split())]
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

    def set(self, **variables):
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
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
        return ['--cfg-options', *(
            f'{key}={value}' for key, value in given.items()), *options]

    def train(self, *options, flags=(), config=CONFIG):
        return ('train', config, '--work-dir', 'work', *flags,
                *self.options('max_epochs=1', *options))

    def test(self, checkpoint, *options, flags=(), config=CONFIG):
        return ('test', config, *([checkpoint] if checkpoint else []),
                '--work-dir', 'work', *flags, *self.options(*options))

    def predict(self, *paths, flags=(), run=None):
        return ('predict', run or self.run, *paths, *flags)
