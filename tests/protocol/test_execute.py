"""Runs in one process: as their command lines do them."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmcoop.protocol.execute import result_of, run_all
from mmcoop.protocol.plan import Run

from ..conftest import DATA, ROOT


@pytest.fixture
def common(small_clip):
    return {'data_root': str(DATA), 'max_epochs': 2,
            'model.clip.pretrained': small_clip['pretrained'],
            'test_dataloader.num_workers': 0,
            'val_dataloader.num_workers': 0,
            'train_dataloader.num_workers': 0}


@pytest.fixture
def runs(small_clip):
    tower = small_clip['model_name']
    learned = Run('coop-m4-end', 'eurosat', tower, 1, 2, class_subset='base')
    return [Run('zeroshot-own', 'eurosat', tower), learned,
            Run('coop-m4-end', 'eurosat', tower, 1, 2, class_subset='new',
                trained=learned)]


@pytest.mark.slow
def test_as_the_command_lines(tmp_path, common, runs):
    """Same results, same learned vectors, whatever ran before."""
    here, there, logged = tmp_path / 'here', tmp_path / 'there', []
    assert run_all(runs, here, common, ROOT, logged.append) == {}
    assert len(logged) == 3 and 'about 0 min left' in logged[-1]
    for run in runs:
        words = run.command(there, common, ROOT)
        subprocess.run([sys.executable, *words], check=True, timeout=300,
                       env=dict(os.environ, OMP_NUM_THREADS=str(
                           torch.get_num_threads())),
                       stdout=subprocess.DEVNULL)
        results = [result_of(run, folder, common) for folder in (here, there)]
        for key in ('metrics', 'method', 'dataset', 'class_subset', 'shots',
                    'seed', 'num_classes', 'overrides', 'num_images'):
            expected = results[1][key]
            if key == 'metrics':  # calibration has digits that rounding moves
                expected = pytest.approx(expected, abs=1e-3)
            assert results[0][key] == expected, key
    vectors = [torch.load(folder / runs[1].folder / 'epoch_2.pth')
               ['state_dict']['head.prompt.ctx'] for folder in (here, there)]
    torch.testing.assert_close(*vectors, rtol=0, atol=1e-6)
    assert results[0]['trained_on']['class_subset'] == 'base'
    assert results[0]['num_classes'] == 5


@pytest.mark.slow
def test_failures_do_not_stop_the_others(tmp_path, common, runs):
    broken = dict(common, max_epochs='x')  # an option of trainings alone
    logged = []
    failed = run_all(runs, tmp_path, broken, ROOT, logged.append)
    assert set(failed) == set(runs[1:])
    assert 'max_epochs=x: a whole number' in failed[runs[1]]
    assert failed[runs[2]] == 'its training failed'
    log = tmp_path / runs[1].folder / 'console.log'
    assert 'Traceback' in log.read_text() and str(log) in logged[1]
    assert result_of(runs[0], tmp_path, broken) is not None
    # again, mended
    assert result_of(runs[1], tmp_path, common) is None
    assert not run_all(runs[1:], tmp_path, common, ROOT, logged.append)
    assert result_of(runs[2], tmp_path, common)['num_images'] == 25


def test_other_options_are_no_result(tmp_path, runs):
    run = runs[1]
    path = tmp_path / run.folder / 'result.json'
    path.parent.mkdir(parents=True)
    options = run.options(dict(data_root='/a', cached_views=16))
    path.write_text(json.dumps(dict(overrides=options)))
    same = dict(data_root='/moved', cached_views=16)
    assert result_of(run, tmp_path, same) is not None
    with pytest.raises(ValueError, match=r'cached_views=16 \(now None\)'):
        result_of(run, tmp_path, dict(data_root='/a'))


def test_an_interruption_passes(tmp_path, runs, common, monkeypatch):
    def stop(words):
        raise KeyboardInterrupt

    monkeypatch.setattr('mmcoop.protocol.execute.tool_main', lambda path: stop)
    with pytest.raises(KeyboardInterrupt):
        run_all(runs, Path(tmp_path), common, ROOT, print)


def test_a_test_of_an_older_checkpoint_is_to_do(tmp_path, runs):
    _, training, test = runs
    for run, finished in ((training, '2026-01-02'), (test, '2026-01-03')):
        path = tmp_path / run.folder / run.result
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(dict(
            overrides=run.options({}), finished=f'{finished}T00:00:00')))
    assert result_of(test, tmp_path, {}) is not None
    path = tmp_path / training.folder / training.result
    path.write_text(path.read_text().replace('01-02', '01-04'))
    assert result_of(test, tmp_path, {}) is None
    path.unlink()
    assert result_of(test, tmp_path, {}) is None


def test_a_broken_result_is_named(tmp_path, runs):
    path = tmp_path / runs[1].folder / 'result.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"metrics": ')
    with pytest.raises(ValueError, match='result.json is no JSON.*remove it'):
        result_of(runs[1], tmp_path, {})
