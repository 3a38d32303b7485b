"""A loop that fits: hooks, several processes, heads that cannot be fitted."""
import json
import os
import subprocess
import sys

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from mmcoop.heads import LinearProbeHead

from ..conftest import ROOT, custom_config

pytest.importorskip('sklearn')


class Calls(Hook):
    """The names of the hooks that the loop calls, in order."""

    def __init__(self):
        self.names = []

    def before_train(self, runner):
        self.names.append('before_train')

    def before_train_epoch(self, runner):
        self.names.append('before_train_epoch')

    def after_train_epoch(self, runner):
        self.names.append('after_train_epoch')

    def after_val_epoch(self, runner, metrics=None):
        self.names.append('after_val_epoch')

    def after_train(self, runner):
        self.names.append('after_train')


@pytest.fixture
def config(tmp_path, photos, small_clip):

    def make(method='linear_probe', **options):
        return custom_config(tmp_path, photos, small_clip, method=method,
                             **{'shots': 2, **options})

    return make


def test_hooks_are_called_as_in_any_loop(config):
    runner, calls = RUNNERS.build(config()), Calls()
    runner.register_hook(calls)
    runner.train()
    assert calls.names == ['before_train', 'before_train_epoch',
                           'after_train_epoch', 'after_val_epoch',
                           'after_train']
    assert (runner.epoch, runner.max_epochs, runner.iter) == (1, 1, 1)


def test_a_head_that_is_trained_in_epochs(config):
    head = dict(_delete_=True, type='mmpretrain.LinearClsHead', num_classes=3,
                loss=dict(type='mmpretrain.CrossEntropyLoss'))
    with pytest.raises(TypeError, match='LinearClsHead is no FittedHead'):
        RUNNERS.build(config(**{'model.head': head})).train()


def test_a_head_that_fails(config, monkeypatch):
    def fail(head, train, C):
        raise ArithmeticError('singular')

    monkeypatch.setattr(LinearProbeHead, 'learn', fail)
    with pytest.raises(ArithmeticError, match='singular'):
        RUNNERS.build(config()).train()


AT_EXIT = """
import atexit, glob
atexit.register(lambda: print('at exit:', sorted(
    open(name).read().strip() for name in glob.glob('/proc/self/task/*/comm'))
))
"""


def train(cfg, folder, ranks):
    folder.mkdir()
    (folder / 'say_threads.py').write_text(AT_EXIT)
    cfg.custom_imports = dict(imports=['say_threads'])
    cfg.work_dir = str(folder / 'work')
    cfg.dump(folder / 'fit.py')
    return subprocess.run([
        sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run',
        f'--nproc-per-node={ranks}', '--rdzv-backend=c10d',
        '--rdzv-endpoint=localhost:0', str(ROOT / 'tools/train.py'),
        str(folder / 'fit.py'), '--launcher', 'pytorch'
    ], timeout=300, capture_output=True, text=True, env=dict(
        os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1',
        PYTHONPATH=f'{ROOT}:{folder}', MMCOOP_CACHE=str(folder / 'cache')))


@pytest.mark.slow
def test_two_ranks_are_one_process(config, tmp_path):
    """The first fits, both evaluate; each encodes a part of the views.

    What is learned has the size of the training draw (Tip-Adapter's cache).
    """
    results, weights = [], []
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        done = train(config('custom', head='tip-adapter', selection='val'),
                     folder, ranks)
        assert done.returncode == 0, done.stderr[-3000:]
        # a thread of gloo that outlives the interpreter may abort it
        assert 'at exit:' in done.stdout and 'gloo' not in done.stdout
        results.append(json.loads((folder / 'work/result.json').read_text()))
        assert results[-1]['method'] == 'tip-adapter'
        weights.append(torch.load(folder / 'work/epoch_1.pth')['state_dict'])
    assert [result['world_size'] for result in results] == [1, 2]
    assert results[0]['metrics'] == pytest.approx(results[1]['metrics'],
                                                  abs=1e-3)
    for key in ('selected', 'val_accuracy', 'selected_on'):
        assert results[0][key] == results[1][key], key
    # features of other batches differ in their last bits
    assert weights[1]['head.keys'].shape == (6, 32)
    torch.testing.assert_close(*(w['head.keys'] for w in weights), rtol=0,
                               atol=1e-5)
    assert torch.equal(*(w['head.labels'] for w in weights))
    log, = (tmp_path / '2/work').rglob('*.log')
    assert 'Features of 6 images in 10 views: 0 from the cache, 30 computed' \
        in log.read_text()


@pytest.mark.slow
def test_an_error_of_the_first_rank_ends_all(config, tmp_path):
    cfg = config(**{'train_dataloader.dataset.class_subset': ['snow'],
                    'test_dataloader.dataset.class_subset': ['snow']})
    done = train(cfg, tmp_path / 'two', 2)  # one class cannot be fitted
    assert done.returncode != 0
    assert 'at least 2 classes' in done.stderr
    assert 'rank 0 could not fit: ValueError' in done.stderr


def test_numbers_that_are_none_are_not_saved(config, monkeypatch, tmp_path):
    """NaN in the features, in a step, in what is learned."""
    from mmcoop.engine import fit_loop

    def learn(self, train, C):
        raise FloatingPointError('the loss is nan in step 3 of 5')

    def spoil(self, train, C):
        self.assign('weight', torch.full((3, 32), torch.nan))
        self.converged = True

    def gather(*args):
        images = found(*args)
        images.views[0, 0, 0] = torch.inf
        return images

    found = fit_loop.gather_labelled
    for name, place, replacement, message in (
            ('learn', LinearProbeHead, learn,
             'LinearProbeHead: the loss is nan in step 3 of 5'),
            ('learn', LinearProbeHead, spoil,
             'LinearProbeHead: weight not finite'),
            ('gather_labelled', fit_loop, gather,
             'image features are not finite.*weights of the CLIP')):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, replacement)
            with pytest.raises(FloatingPointError, match=message):
                RUNNERS.build(config()).train()
        assert not list((tmp_path / 'work').glob('*.pth'))
