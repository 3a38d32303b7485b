"""Features in the place of images: the same results, no stale ones."""
import os

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from PIL import Image

from mmcoop.clip import ImageTower

from .conftest import UNCACHED, log


class Scores(Hook):
    """Probabilities of the tested images, by path."""

    def __init__(self):
        self.scores = {}

    def after_test_iter(self, runner, batch_idx, data_batch=None,
                        outputs=None):
        for sample in outputs:
            self.scores[sample.img_path] = sample.pred_score


@pytest.fixture
def evaluate(config, encoded):
    """Test a prompt: (images encoded, probabilities)."""

    def run(change=None, **options):
        torch.manual_seed(0)  # of the prompt that is not learned
        runner = RUNNERS.build(config(**options))
        if change is not None:
            change(runner.model)
        seen = Scores()
        runner.register_hook(seen)
        encoded.clear()
        runner.test()
        return sum(encoded), seen.scores

    return run


def assert_equal(scores, others):
    assert set(scores) == set(others) and len(scores) == 5
    for path in scores:
        torch.testing.assert_close(scores[path], others[path], rtol=0,
                                   atol=1e-6)


def test_testing_is_exact_and_encodes_once(evaluate, tmp_path):
    _, images = evaluate(custom_hooks=UNCACHED)
    assert not (tmp_path / 'cache').exists()
    for count in (5, 0, 0):
        encoded, scores = evaluate()
        assert encoded == count
        assert_equal(scores, images)
    # other shots, seed and prompt: the same features
    assert evaluate(shots=2, seed=3)[0] == 0
    template = dict(_delete_=True, type='mmcoop.TemplatePrompt',
                    templates='a {}.')
    assert evaluate(**{'model.head.prompt': template})[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize('options,change', [
    ({'test_dataloader.dataset.pipeline.1.interpolation': 'nearest'}, None),
    ({'model.data_preprocessor': dict(mean=[0, 0, 0], std=[200] * 3)}, None),
    ({}, lambda model: model.backbone.visual.proj.data.mul_(-1)),
], ids=['pipeline', 'preprocessor', 'tower'])
def test_another_pipeline_or_tower_never_hits(evaluate, options, change):
    _, before = evaluate()
    count, scores = evaluate(change, **options)
    assert count == 5
    _, images = evaluate(change, custom_hooks=UNCACHED, **options)
    assert_equal(scores, images)
    assert any((scores[path] - before[path]).abs().max() > 1e-5
               for path in scores)


@pytest.mark.slow
def test_a_changed_file_never_hits(evaluate, photos):
    _, before = evaluate()
    tested = [photos / name for name in map(str, before)][:2]
    untested = [path for path in sorted(photos.rglob('*.png'))
                if str(path) not in before][:1]
    for path in tested + untested:
        stat = path.stat()
        image = Image.open(path).transpose(Image.Transpose.ROTATE_180)
        image.save(path)
        with open(path, 'ab') as file:  # of the same length and date
            file.write(bytes(max(0, stat.st_size - path.stat().st_size)))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        count, scores = evaluate()
        assert count == (path in tested)
    _, images = evaluate(custom_hooks=UNCACHED)
    assert_equal(scores, images)


def test_an_interrupted_run_goes_on_where_it_was(evaluate, encoded,
                                                 monkeypatch):
    by_two = {'test_dataloader.batch_size': 2}
    counting = ImageTower.forward

    def stop(self, images):
        if len(encoded) == 2:
            raise KeyboardInterrupt
        return counting(self, images)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ImageTower, 'forward', stop)
        evaluate(**by_two)
    assert evaluate(**by_two)[0] == 1


def test_a_file_changed_while_it_is_encoded(evaluate, photos, monkeypatch,
                                            tmp_path):
    """Its features are not kept under the name of what it was."""
    counting = ImageTower.forward

    def swap(self, images):
        for path in photos.rglob('*.png'):
            Image.open(path).rotate(90).save(path)
        return counting(self, images)

    with monkeypatch.context() as patch, pytest.raises(
            RuntimeError, match='png was changed while its features'):
        patch.setattr(ImageTower, 'forward', swap)
        evaluate()
    assert not list((tmp_path / 'cache').rglob('part*'))


@pytest.mark.slow
def test_evaluation_in_half_precision(config):
    """val_cfg.fp16 (bf16 on a CPU): features of that precision."""
    scores = []
    for hooks, half in ((UNCACHED, True), (config().custom_hooks, False),
                        (config().custom_hooks, True)):
        runner = RUNNERS.build(config(**{
            'max_epochs': 1, 'custom_hooks': hooks, 'val_cfg.fp16': half}))
        seen = Scores()
        seen.after_val_iter = seen.after_test_iter
        runner.register_hook(seen)
        runner.train()
        scores.append(seen.scores)
    uncached, whole, half = scores
    assert_equal(half, uncached)
    assert any((half[path] - whole[path]).abs().max() > 1e-4
               for path in half)


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_stops_nothing(evaluate, tmp_path,
                                                      monkeypatch):
    _, images = evaluate(custom_hooks=UNCACHED)
    (tmp_path / 'file').touch()
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'file'))
    for _ in range(2):
        count, scores = evaluate()
        assert count == 5
        assert_equal(scores, images)


def random_pipeline(cfg):
    steps = [dict(step) for step in cfg.test_dataloader.dataset.pipeline]
    steps[1] = dict(type='RandomResizedCrop', scale=32)
    return {'test_dataloader.dataset.pipeline': steps}


def drawn_images(cfg):
    return {'default_hooks.visualization.enable': True,
            'default_hooks.visualization.out_dir': cfg.work_dir}


def other_preprocessor(cfg):
    return {'model.data_preprocessor.type': 'mmpretrain.ClsDataPreprocessor'}


def wrapped_data(cfg):
    dataset = dict(cfg.test_dataloader.dataset, data_root=cfg.data_root)
    return {'test_dataloader.dataset': dict(
        _delete_=True, type='RepeatDataset', times=1, dataset=dataset)}


@pytest.mark.slow
@pytest.mark.parametrize('change,why', [
    (random_pipeline, 'random or not known, RandomResizedCrop'),
    (drawn_images, 'images are to be drawn'),
    (other_preprocessor, 'not a mmcoop.DataPreprocessor'),
    (wrapped_data, 'RepeatDataset prepares its images in its own way'),
])
def test_what_cannot_be_cached_runs_on_images(config, encoded, tmp_path,
                                              change, why):
    runner = RUNNERS.build(config(**change(config())))
    for _ in range(2):
        runner.test()
    assert sum(encoded) == 10
    assert len([line for line in log(tmp_path) if why in line]) == 1
