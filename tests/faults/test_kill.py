"""A run that is killed (kill -9) anywhere goes on as if nothing had happened.

A process of its own (``server.py``) runs ``tools/train.py`` in forked
children and kills them: before a certain step, between writing a file and
giving it its name, in the middle of a file, at a random file operation, or
after a random time. Then files are looked at, ``--resume`` is run, and what
it ends with is compared, bit by bit, with a run that nobody disturbed.

Each kill takes about two short runs. Six are made by default; thirty, drawn
anew each day, in the nightly setting::

    MMCOOP_NIGHTLY=1 python -m pytest tests/faults

``MMCOOP_SEED=N`` repeats a drawing, which a failure names.
"""
import os
import random
import shutil
import time

import pytest
import torch

from mmcoop.checkpoints import find_last_checkpoint

from .conftest import check_files
from .server import DEAD

NIGHTLY = os.environ.get('MMCOOP_NIGHTLY') == '1'
SEED = int(os.environ.get('MMCOOP_SEED', time.time() // 86400 if NIGHTLY
                          else 0))
KINDS = {  # method of the run: its places to die
    'coop': [
        dict(step=4),  # the second of epoch 2
        dict(half=r'\.epoch_3.pth.*'),
        dict(event='open', name='last_checkpoint'),  # it is empty then
        dict(event='rename', name=r'part-.*'),
        dict(event='rename', name='result.json'),
    ],
    'taskres': [dict(step=3)],  # before any checkpoint
}
MORE = {
    'coop': [
        dict(step=1), dict(step=2), dict(step=7),
        dict(half=r'\.part-.*'), dict(half=r'\.result.json.*'),
        dict(event='rename', name='epoch_1.pth'),
        dict(event='rename', name='epoch_4.pth'),
        dict(event='rename', name='run.py'),
        dict(event='rename', name='meta.json'),
        dict(event='remove', name='epoch_1.pth'),
    ],
    'taskres': [dict(step=15), dict(half=r'\.epoch_1.pth.*'),
                dict(event='rename', name='result.json')],
}


def draw_kills(method, events, seconds):
    """The chosen places, and in the nightly setting others at random."""
    kills = list(KINDS[method])
    if NIGHTLY:
        rng = random.Random(SEED)
        kills += MORE[method]
        count = 30 - sum(len(part) for kinds in (KINDS, MORE)
                         for part in kinds.values())
        if method == 'coop':
            kills += [dict(index=rng.randrange(1, len(events)))
                      if i % 2 else
                      dict(delay=rng.uniform(0, seconds))
                      for i in range(count)]
    return kills


@pytest.mark.slow
@pytest.mark.parametrize('method', ['coop', 'taskres'])
def test_killed_and_resumed(make_run, method):
    whole = make_run(f'{method}-whole', method)
    done = whole.train()
    assert done['codes'] == [0], whole.log.read_text()[-2000:]
    check_files(whole.work, whole.cache, temporary=False)
    for i, kill in enumerate(draw_kills(method, done['events'],
                                        done['seconds'][0])):
        run = make_run(f'{method}-{i}', method)
        where = f'kill {kill}, MMCOOP_SEED={SEED}, {run.folder}'
        code = run.train(**kill)['codes'][0]
        if 'delay' not in kill:  # else it may have been quicker
            assert code < 0, where
        check_files(run.folder)
        done = run.train('--resume')
        assert done['codes'] == [0], f'{where}\n{run.log.read_text()[-2000:]}'
        check_files(run.folder, temporary=False)
        assert run.result() == whole.result(), where
        expected = whole.learned()
        assert run.learned().keys() == expected.keys()
        for key, value in run.learned().items():
            assert torch.equal(value, expected[key]), f'{where}: {key}'
        assert set(whole.names()) <= set(run.names()), where
        shutil.rmtree(run.folder)


@pytest.mark.slow
def test_what_is_finished_stays(make_run):
    """A finished run is not hurt by a later one that is killed in it."""
    run = make_run('finished', **{
        'default_hooks.checkpoint.max_keep_ckpts': 1})
    # a single checkpoint is kept, and there always is one
    assert run.train(event='rename', name='epoch_3.pth')['codes'] == [DEAD]
    assert find_last_checkpoint(run.work) == str(run.work / 'epoch_2.pth')
    assert run.train('--resume')['codes'] == [0]
    before = (run.work / 'result.json').read_text()
    # resumed and killed while it writes the result again
    assert run.train('--resume', half=r'\.result.json.*')['codes'][0] < 0
    assert (run.work / 'result.json').read_text() == before
    # tested, and killed there
    test = [run.config, run.work, '--work-dir', run.work / 'test']
    kwargs = dict(log=run.log, roots=[run.work],
                  env={'MMCOOP_CACHE': str(run.cache)})
    assert run.server.run('test', *test, **kwargs)['codes'] == [0]
    tested = (run.work / 'test/result_test.json').read_text()
    killed = run.server.run('test', *test, event='rename',
                            name='result_test.json', **kwargs)
    assert killed['codes'] == [DEAD]
    assert (run.work / 'test/result_test.json').read_text() == tested
    assert (run.work / 'result.json').read_text() == before
    check_files(run.folder)
    # moved, it is tested and resumed where it is now
    run.work = run.work.rename(run.folder / 'moved')
    test = [run.config, run.work, '--work-dir', run.work / 'test']
    assert run.server.run('test', *test, **kwargs)['codes'] == [0]
    assert run.train('--resume')['codes'] == [0]
    check_files(run.folder, temporary=False)


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy of a run's checkpoints; the original is still there."""
    folder = tmp_path / 'copy'
    shutil.copytree(small_run, folder)
    assert (folder / 'last_checkpoint').read_text() == str(
        small_run / 'epoch_2.pth')
    return folder


def test_find_last_checkpoint(folder, small_run, logged):
    """Whatever the note says, the last whole checkpoint of the folder."""
    note, last = folder / 'last_checkpoint', str(folder / 'epoch_2.pth')
    first = str(folder / 'epoch_1.pth')
    assert find_last_checkpoint(folder) == last  # not the original's
    for text in ('', 'gone/epoch_7.pth', '\n'):
        note.write_text(text)
        assert find_last_checkpoint(folder) == last
    note.write_bytes(b'\xff\x00')
    assert find_last_checkpoint(str(folder)) == last
    note.write_text(first)  # as somebody may write who wants to go back
    assert find_last_checkpoint(folder) == first
    # checkpoints in another folder, as CheckpointHook.out_dir makes them
    note.write_text(str(shutil.copy(first, folder.parent / 'epoch_8.pth')))
    assert find_last_checkpoint(folder) == str(folder.parent / 'epoch_8.pth')
    note.unlink()
    os.utime(first)  # the order of copying says nothing
    assert find_last_checkpoint(folder) == last
    assert not logged

    content = (folder / 'epoch_2.pth').read_bytes()
    note.write_text(last)
    for damaged in (content[:len(content) // 2], b'', b'text'):
        (folder / 'epoch_2.pth').write_bytes(damaged)
        assert find_last_checkpoint(folder) == first
        assert last in logged[-1] and f'{first} is taken' in logged[-1]
    (folder / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='no checkpoint in .* can be read: '
                       '.*epoch_2.pth.*epoch_1.pth.*Remove them'):
        find_last_checkpoint(folder)
    for path in folder.glob('*.pth'):
        path.unlink()
    assert find_last_checkpoint(folder) is None
    assert find_last_checkpoint(folder / 'none') is None
