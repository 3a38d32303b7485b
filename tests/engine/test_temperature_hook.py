"""A temperature is fitted on validation images, and changes nothing else."""
import csv
import json

import pytest
import torch
from mmengine.registry import RUNNERS

from mmcoop.engine import temperature_hook
from mmcoop.evaluation.calibration import expected_calibration_error
from mmcoop.evaluation.temperature import fit_temperature
from mmcoop.features.keys import NotCacheable

from ..conftest import make_photos


def train(cfg):
    runner = RUNNERS.build(cfg)
    runner.train()
    with open(f'{cfg.work_dir}/result.json') as file:
        return runner, json.load(file)


@pytest.fixture
def photos(tmp_path):
    """Colours that a random CLIP cannot tell apart without mistakes."""
    import numpy as np
    from PIL import Image
    root = make_photos(tmp_path / 'photos', {'a': 16, 'b': 16, 'c': 16})
    rng = np.random.default_rng(1)
    for path in root.rglob('*.png'):
        pixels = np.asarray(Image.open(path)).astype(int)
        noise = rng.normal(0, 70, 3).round().astype(int)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(
            np.uint8)).save(path)
    return root


def learned(runner):
    return {name: p.clone() for name, p in runner.model.named_parameters()
            if p.requires_grad}


@pytest.mark.slow
@pytest.mark.parametrize('method,fitted_on', [
    ('custom', 'parts of the training draw that cross-validation held out, '
     '15 images'),
    ('coop', 'training images not drawn, 12 images')])
def test_only_probabilities_change(config, method, fitted_on, tmp_path):
    options = dict(method=method, shots=5)
    if method == 'coop':
        options['max_epochs'] = 2
    plain, before = train(config(**options))
    kept = learned(plain)
    runner, result = train(config(calibrate=True, report=True, **options))
    assert result['metrics'] == before['metrics']
    assert 'temperature' not in before
    for name, value in learned(runner).items():
        assert torch.equal(value, kept[name]), name
    temperature = runner.model.head.temperature
    assert temperature == result['temperature'] > 0 and temperature != 1
    checkpoint = torch.load(result['checkpoint'], weights_only=True)
    assert checkpoint['meta']['mmcoop']['temperature'] == temperature
    assert result['temperature_fitted_on'] == fitted_on
    assert result['ece_before'] == pytest.approx(
        result['metrics']['calibration/ece'], abs=1e-3)
    with open(tmp_path / 'work/report/predictions.csv') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    error = expected_calibration_error(
        torch.tensor([float(row['calibrated']) for row in rows]),
        torch.tensor([row['label'] == row['predicted'] for row in rows]))
    assert result['ece_after'] == pytest.approx(100 * error, abs=1e-2)
    if method == 'custom':  # a resumed run keeps it
        runner, after = train(config(calibrate=True, resume=True, **options))
        for key in ('temperature', 'temperature_fitted_on', 'ece_after'):
            assert after[key] == result[key]
        assert runner.model.head.temperature == temperature


def test_it_is_fitted_on_no_image_of_training_or_testing(config, monkeypatch):
    seen, label = {}, temperature_hook.label_features
    fit = temperature_hook.fit_temperature

    def paths(data):
        return {data.get_data_info(i)['img_path'] for i in range(len(data))}

    monkeypatch.setattr(
        temperature_hook, 'label_features', lambda model, loader, folder:
        seen.update(paths=paths(loader.dataset)) or label(model, loader,
                                                          folder))
    monkeypatch.setattr(
        temperature_hook, 'fit_temperature', lambda logits, labels:
        seen.update(scores=(logits, labels)) or fit(logits, labels))
    runner, result = train(config(method='custom', calibrate=True, shots=5,
                                  selection='val'))
    others = paths(runner.train_dataloader.dataset) | paths(
        runner.val_dataloader.dataset)
    assert len(seen['paths']) == 12 and not seen['paths'] & others
    assert fit_temperature(*seen['scores']) == result['temperature']

    def refuse(*args):
        raise NotCacheable('the test says so')

    # the same of images that cannot be cached, batch by batch
    monkeypatch.setattr(temperature_hook, 'label_features', refuse)
    logits, labels, _ = temperature_hook.score_validation_draw(runner)
    torch.testing.assert_close(logits, seen['scores'][0])
    assert torch.equal(labels, seen['scores'][1])


def test_it_is_that_of_averaged_weights(config):
    """EMAHook evaluates and saves them in place of the last ones."""
    cfg = config(calibrate=True, shots=5, max_epochs=3)
    cfg.custom_hooks.append(dict(type='EMAHook', momentum=.05))
    runner, result = train(cfg)
    last = runner.model.head.prompt.ctx.detach().clone()
    state = torch.load(result['checkpoint'], weights_only=True)
    averaged = state['state_dict']['head.prompt.ctx']
    assert not torch.allclose(averaged, last)
    with torch.no_grad():
        runner.model.head.prompt.ctx.copy_(averaged)
    logits, labels, _ = temperature_hook.score_validation_draw(runner)
    assert fit_temperature(logits, labels) == pytest.approx(
        result['temperature'], rel=1e-5)


def test_where_no_image_is_left(config, capsys):
    runner, result = train(config(method='custom', calibrate=True, shots=16,
                                  selection='fixed'))
    assert runner.model.head.temperature is None
    assert 'temperature' not in result and 'ece_after' not in result
    assert 'No temperature is fitted, probabilities are as the model gives ' \
        'them: no image is left' in ' '.join(capsys.readouterr().out.split())
