"""Recipes in steps for each shot."""
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from mmcoop.methods import get_method


class Record(Hook):
    """Learning rates of all steps."""
    priority = 'VERY_HIGH'

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates += runner.optim_wrapper.get_lr()['lr'][:1]


def make_runner(name, tmp_path, photos, clip, **options):
    """9 images in 3 batches, of a method that counts steps."""
    cfg = Config.fromfile(get_method(name).config)
    cfg.merge_from_dict({
        'model.clip': dict(_delete_=True, **clip), 'dataset': 'folder',
        'data_root': str(photos), 'shots': 3, 'steps_per_shot': 5,
        'num_workers': 0, 'train_dataloader.batch_size': 4,
        'work_dir': str(tmp_path / 'work'), **options})
    runner = RUNNERS.build(cfg)
    record = Record()
    runner.register_hook(record)
    return runner, record


def cosine(steps):
    """PyTorch's half a cosine, as the published code has it."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, steps, eta_min=1e-6)
    rates = []
    for _ in range(steps):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    return rates


def test_exactly_so_many_steps(tmp_path, photos, small_clip):
    runner, record = make_runner('clip-lora', tmp_path, photos, small_clip,
                                 steps_per_shot=3, shots=3)
    evaluated = []
    runner.val_loop.run = lambda run=runner.val_loop.run: evaluated.append(
        runner.iter) or run()
    runner.train()
    assert record.rates == pytest.approx(cosine(9), rel=1e-6)
    assert evaluated == [9]


def test_the_last_epoch_is_cut(tmp_path, photos, small_clip):
    runner, record = make_runner('clip-lora', tmp_path, photos, small_clip,
                                 steps_per_shot=4, shots=2,
                                 **{'train_dataloader.batch_size': 2})
    runner.train()  # 6 images, 3 batches, 8 steps
    assert record.rates == pytest.approx(cosine(8), rel=1e-6)
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert (result['epochs'], result['recipe_epochs']) == (3, 3)
    assert runner.iter == 8


def test_a_shorter_run(tmp_path, photos, small_clip):
    runner, record = make_runner('clip-lora', tmp_path, photos, small_clip,
                                 max_epochs=2)
    runner.train()
    assert record.rates == pytest.approx(cosine(6), rel=1e-6)
    result = json.loads((tmp_path / 'work/result.json').read_text())
    assert (result['epochs'], result['recipe_epochs']) == (2, 5)


def test_all_images_are_no_shots(tmp_path, photos, small_clip):
    runner, _ = make_runner('clip-lora', tmp_path, photos, small_clip,
                            shots=None)
    with pytest.raises(ValueError, match='5 steps for each shot.*max_epochs'):
        runner.train()
