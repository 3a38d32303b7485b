"""Full disks and read-only folders: one sentence, and nothing is lost.

An error while a file is written out (``os.fsync``) stands for a full disk at
each place that writes. Where a tmpfs can be mounted (root on Linux), really
full and really read-only file systems are tried as well.
"""
import errno
import json
import os
import re
import subprocess

import pytest
import torch

import mmcoop
from mmcoop.apis.export import export
from mmcoop.engine import FewShotRunner
from mmcoop.files import check_writable, replacing
from mmcoop.protocol.execute import tool_main

from ..conftest import ROOT, custom_config
from .conftest import OPTIONS, check_files

FULL = errno.ENOSPC


@pytest.fixture
def no_room(monkeypatch):
    """``no_room(REGEX)``: files of this name cannot be written out."""
    fsync = os.fsync

    def set_pattern(pattern):

        def fail(fd):
            name = os.path.basename(os.readlink(f'/proc/self/fd/{fd}'))
            if re.search(pattern, name):
                raise OSError(FULL, os.strerror(FULL))
            fsync(fd)

        monkeypatch.setattr(os, 'fsync', fail)

    return set_pattern


@pytest.fixture
def train(tmp_path, photos, small_clip, monkeypatch):
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'cache'))

    def train(hook=None, **options):
        runner = FewShotRunner.from_cfg(custom_config(
            tmp_path, photos, small_clip,
            **{**OPTIONS, 'cached_views': 2, **options}))
        if hook is not None:
            runner.register_hook(hook, 'VERY_HIGH')
        runner.train()
        return runner

    return train


def pattern(path, *more):
    return f'cannot write .*{path}: No space left on device ' \
        r'\(\d+\.\d MiB free\)\. Free some space.*' + '.*'.join(more)


def log(folder):
    """What runs have logged below a folder."""
    return '\n'.join(path.read_text() for path in folder.rglob('*.log'))


@pytest.mark.slow
def test_no_room_in_a_run(train, no_room, tmp_path):
    """For a checkpoint, a result, a page and features, one after another."""
    work = tmp_path / 'work'
    no_room(r'\.part-')
    no_cache = train(max_epochs=1, work_dir=str(tmp_path / 'other'))
    assert no_cache.epoch == 1  # from memory
    assert 'new features are kept for this run only' in log(tmp_path)
    check_files(tmp_path, temporary=False)

    no_room(r'\.epoch_3\.pth')
    with pytest.raises(OSError, match=pattern(
            'epoch_3.pth', 'last whole checkpoint is .*epoch_2.pth',
            '--resume')) as error:
        train()
    assert error.value.errno == FULL
    assert {path.name for path in work.glob('*.pth')} == {
        'epoch_1.pth', 'epoch_2.pth'}
    check_files(work, temporary=False)

    no_room(r'\.result\.json')
    with pytest.raises(OSError, match=pattern('result.json', 'epoch_4.pth')):
        train(resume=True)
    assert not (work / 'result.json').exists()
    no_room('^$')
    train(resume=True)
    before = (work / 'result.json').read_text()
    no_room(r'\.result\.json')
    with pytest.raises(OSError, match=pattern('result.json')):
        train(resume=True)
    assert (work / 'result.json').read_text() == before

    no_room(r'report\.html')
    train(resume=True, report=True)
    assert 'The report is not written: cannot write' in log(tmp_path)
    assert json.loads((work / 'result.json').read_text())['metrics'] == \
        json.loads(before)['metrics']
    check_files(work, temporary=False)


def test_no_room_for_what_is_made_of_a_run(small_run, no_room, tmp_path,
                                           capsys):
    """Predictions, an export: what was there stays."""
    out = tmp_path / 'found.json'
    out.write_text('[]')
    predict = tool_main(ROOT / 'tools/predict.py')
    classifier = mmcoop.load(small_run)
    words = [str(small_run), str(small_run.parent / 'photos/snow'), '--out',
             str(out), '--device', 'cpu']
    # at the end, and before anything is computed
    for name, place in ((r'\.found\.json', out), (r'\.mmcoop\.', tmp_path)):
        no_room(name)
        with pytest.raises((OSError, SystemExit)) as error:
            predict(words)
        said = capsys.readouterr().err + str(error.value)
        assert re.search(pattern(re.escape(str(place))), said)
        assert out.read_text() == '[]'
    with pytest.raises(OSError, match=pattern(tmp_path.name)):
        export(classifier, 'torchscript', tmp_path / 'model.pt', ['a.png'])
    assert [path.name for path in tmp_path.iterdir()] == ['found.json']


def test_the_sentence(tmp_path):
    """The file, the reason and the remedy; of other errors nothing."""
    with pytest.raises(FileNotFoundError, match='cannot write .*none/x.json: '
                       f'there is no folder {tmp_path}/none. Make it first'):
        with replacing(tmp_path / 'none/x.json'):
            pass
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='cannot write .*file'):
        check_writable(tmp_path / 'file')
    with pytest.raises(FileNotFoundError, match='^.Errno 2.*photo.jpg'):
        with replacing(tmp_path / 'x.json'):
            open('photo.jpg')
    with pytest.raises(OSError, match='cannot write .*x.pth: torch could '
                       'not write all of it'):
        with replacing(tmp_path / 'x.pth'):
            raise RuntimeError('[enforce fail at inline_container.cc:672] . '
                               'unexpected pos 64 vs 0')
    assert [path.name for path in tmp_path.iterdir()] == ['file']


@pytest.fixture
def tmpfs(tmp_path):
    """A folder that is a file system of 1 MiB, and ``remount`` for it."""
    folder = tmp_path / 'tmpfs'
    folder.mkdir()
    if os.name != 'posix' or os.geteuid() or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder],
            capture_output=True).returncode:
        pytest.skip('mounting a tmpfs is not allowed here')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


def fill(folder):
    """Leave no room."""
    with open(folder / 'ballast', 'wb', buffering=0) as file:
        try:
            while True:
                file.write(b'0' * 4096)
        except OSError as error:
            assert error.errno == FULL


class Fill:
    """Fill the disk after an epoch."""

    @staticmethod
    def hook(folder, epoch):
        from mmengine.hooks import Hook

        class FillHook(Hook):

            def before_train_epoch(self, runner):
                if runner.epoch == epoch:
                    fill(folder)

        return FillHook()


@pytest.mark.slow
def test_a_disk_that_is_full(train, tmpfs):
    """In the middle of a run, then at its start, then no more."""
    work = str(tmpfs / 'work')
    with pytest.raises(OSError, match=pattern(
            '', 'last whole checkpoint is .*epoch_2.pth', '--resume')):
        train(Fill.hook(tmpfs, 2), work_dir=work)
    check_files(tmpfs / 'work', temporary=False)
    with pytest.raises(OSError, match=pattern('work')):
        train(work_dir=work, resume=True)
    (tmpfs / 'ballast').unlink()
    resumed = train(work_dir=work, resume=True)
    whole = train()
    assert torch.equal(resumed.model.head.prompt.ctx,
                       whole.model.head.prompt.ctx)


@pytest.mark.slow
def test_a_cache_that_is_full(train, tmpfs, tmp_path, monkeypatch):
    monkeypatch.setenv('MMCOOP_CACHE', str(tmpfs / 'cache'))
    fill(tmpfs)
    with pytest.raises(OSError, match=r'cannot write .*x.pth: .*0.0 MiB free'):
        with replacing(tmpfs / 'x.pth') as temporary:
            torch.save(torch.zeros(1 << 20), temporary)
    train(max_epochs=1)
    assert re.search('No space left.*for this run only', log(tmp_path))
    assert not [path for path in tmpfs.rglob('*') if path.suffix == '.tmp']


def test_a_read_only_folder(train, tmpfs, small_run):
    subprocess.run(['mount', '-o', 'remount,ro', tmpfs], check=True)
    match = 'cannot write .*: Read-only file system. Make it writable'
    with pytest.raises(OSError, match=match):
        train(work_dir=str(tmpfs / 'work'))
    with pytest.raises(OSError, match=match):
        export(mmcoop.load(small_run), 'torchscript', tmpfs / 'model.pt',
               ['a.png'])
    with pytest.raises(OSError, match=match):
        with replacing(tmpfs / 'result.json'):
            pass
