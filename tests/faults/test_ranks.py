"""One of two processes of a distributed run is killed (gloo, on the CPU).

The other one must end with an error, and soon; the run is resumed by both,
and ends as a run that nobody disturbed. By default rank 1 is killed; in the
nightly setting (``MMCOOP_NIGHTLY=1``) rank 0, too, which writes the files.
"""
import os

import pytest
import torch

from mmcoop.checkpoints import find_last_checkpoint

from .conftest import check_files
from .server import DEAD

RANKS = [1, 0] if os.environ.get('MMCOOP_NIGHTLY') == '1' else [1]
SOON = 60  # seconds


@pytest.mark.slow
@pytest.mark.parametrize('rank', RANKS)
def test_a_rank_is_killed(make_run, rank):
    both = dict(ranks=2)
    words = '--launcher', 'pytorch'
    options = {'train_dataloader.batch_size': 2}
    whole = make_run(f'whole{rank}', **options)
    assert whole.train(*words, **both)['codes'] == [0, 0], \
        (whole.folder / 'output.txt.0').read_text()[-2000:]

    run = make_run(f'killed{rank}', **options)
    done = run.train(*words, step=6, rank=rank, **both)
    survivor = (run.folder / f'output.txt.{1 - rank}').read_text()
    assert done['codes'][rank] == DEAD
    assert done['codes'][1 - rank] == 1, survivor[-2000:]
    assert abs(done['seconds'][1 - rank] - done['seconds'][rank]) < SOON
    assert 'another process of this run has ended' in survivor.lower()
    check_files(run.folder)
    assert find_last_checkpoint(run.work)

    done = run.train('--resume', *words, **both)
    assert done['codes'] == [0, 0]
    check_files(run.folder, temporary=False)
    assert run.result() == whole.result()
    expected = whole.learned()
    for key, value in run.learned().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[key], rtol=0,
                                       atol=1e-5)
