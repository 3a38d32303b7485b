"""What a result says, and what is refused before it could mislead."""
import json
import subprocess
import sys

import pytest
import torch
from mmengine.registry import RUNNERS

from mmcoop.registry import DATASETS

from ..conftest import ROOT, custom_config


@pytest.mark.slow
def test_selection_is_on_validation_images_and_said(tmp_path, photos,
                                                    small_clip):
    cfg = custom_config(tmp_path, photos, small_clip, **{
        'shots': 2, 'val_split': 'val', 'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.save_best': 'auto'})
    runner = RUNNERS.build(cfg)
    runner.train()
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert result['evaluated_on'] == 'training images not drawn'
    assert result['selected_on'] is None  # it is of the last epoch
    train, val = (
        {loader.dataset.get_data_info(i)['img_path']
         for i in range(len(loader.dataset))}
        for loader in (runner.train_dataloader, runner.val_dataloader))
    assert len(train) == 6 and len(val) == 5 and not train & val
    test = DATASETS.build(runner.cfg.test_dataloader.dataset)
    tested = {test.get_data_info(i)['img_path'] for i in range(len(test))}
    assert not tested & (train | val)
    best, = (tmp_path / 'work').glob('best_*.pth')
    for checkpoint, how in ((best, 'save_best, on validation images'),
                            (tmp_path / 'work/epoch_6.pth', None)):
        RUNNERS.build(custom_config(
            tmp_path, photos, small_clip, load_from=str(checkpoint))).test()
        result = json.loads(
            (tmp_path / 'work/result_test.json').read_text())
        assert result['selected_on'] == how
        assert result['evaluated_on'] == 'test'


PEAKS = '''
import numpy as np
from mmcoop.engine.result_hook import peak_memory_mib, reset_peak_memory
before = peak_memory_mib()['host']
large = np.ones(100 * 2**20 // 8)
after = peak_memory_mib()['host']
assert after > before + 50 and large.all(), (before, after)
del large
reset_peak_memory()
assert peak_memory_mib()['host'] < after - 50
'''


def test_peak_memory_is_that_of_the_run():
    """Many runs in one process: a large one leaves no mark on the next.

    In a process of its own: what other tests free would hide it.
    """
    subprocess.run([sys.executable, '-W', 'ignore', '-c', PEAKS], check=True,
                   cwd=ROOT)


def test_what_was_learned_in_another_shape(tmp_path, photos, small_clip):
    """mmengine would say so and test random vectors."""
    runner = RUNNERS.build(custom_config(tmp_path, photos, small_clip))
    ctx = runner.model.head.prompt.ctx
    torch.save(dict(state_dict={'head.prompt.ctx': ctx.new_zeros(5, 64)}),
               tmp_path / 'other.pth')
    runner = RUNNERS.build(custom_config(
        tmp_path, photos, small_clip, load_from=str(tmp_path / 'other.pth')))
    with pytest.raises(ValueError, match=r'other.pth does not fit: '
                       r'head.prompt.ctx \(\[5, 64\] in the file'):
        runner.test()


def test_a_run_is_resumed_with_the_same_optimiser(tmp_path, photos,
                                                  small_clip):
    RUNNERS.build(custom_config(tmp_path, photos, small_clip)).train()
    lr = {'optim_wrapper.optimizer.lr': 0.1, 'resume': True}
    runner = RUNNERS.build(custom_config(tmp_path, photos, small_clip, **lr))
    with pytest.raises(ValueError, match='optimizer=.*0.002.*now.*0.1'):
        runner.train()


def test_nothing_to_learn(tmp_path, photos, small_clip):
    runner = RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                         method='zeroshot'))
    with pytest.raises(ValueError, match='nothing to learn.*tools/test.py'):
        runner.train()


def test_runs_of_one_second_have_their_own_logs(tmp_path, photos,
                                                small_clip):
    """mmengine names loggers and message hubs by the second."""
    runners = [
        RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                    work_dir=str(tmp_path / name)))
        for name in 'ab']
    first, second = runners
    assert first.experiment_name != second.experiment_name
    assert first.logger is not second.logger
    assert first.message_hub is not second.message_hub
