"""What every method can do, whatever it learns: joined by its metafile."""
import json
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmpretrain import ImageClassificationInferencer

import mmcoop
from mmcoop.methods import all_methods, get_method
from mmcoop.protocol.execute import tool_main

from .conftest import DATA, ROOT, make_photos

METHODS = [method.name for method in all_methods()
           if method.learns and not method.variant
           and not method.stands_for
           # the class token's other positions are CoOp as well
           and not {'middle', 'front'} & {*method.options.values()}]


def tool(name, *args):
    tool_main(ROOT / f'tools/{name}.py')([str(arg) for arg in args])


COUNTS = dict(red_fox=6, snow=6, grass=4)


@pytest.fixture
def photos(tmp_path):
    """Photos to train on, and others to test on."""
    make_photos(tmp_path / 'photos/train', COUNTS)
    make_photos(tmp_path / 'photos/test', COUNTS)
    return tmp_path / 'photos'


@pytest.fixture
def poisoned(tmp_path, photos):
    """The same photos; the classes of those to test on are permuted."""
    folder = shutil.copytree(photos, tmp_path / 'poisoned')
    test = folder / 'test'
    for old, new in zip(('red_fox', 'snow', 'grass', 'kept'),
                        ('kept', 'red_fox', 'snow', 'grass')):
        (test / old).rename(test / new)
    return folder


@pytest.fixture
def train(tmp_path, photos, deep_clip, monkeypatch):
    """``train(name, folder, *flags, config=None)`` -> its result.json."""
    monkeypatch.chdir(ROOT)

    def run(name, folder, *flags, config=None, data=photos):
        method = get_method(name)
        options = {
            'dataset': 'folder', 'data_root': data, 'shots': 2,
            'num_workers': 0, **method.options,
            **{f'model.clip.{key}': value
               for key, value in deep_clip.items()}}
        if method.epochs:
            options['max_epochs'] = 2
        if 'num_classes' in method.config.read_text():
            options['num_classes'] = 3
        words = [f'{key}={value}' for key, value in options.items()]
        work = tmp_path / folder
        tool('train', config or method.config, '--work-dir', work, *flags,
             '--cfg-options', *words)
        return json.loads((work / 'result.json').read_text())

    return run


def parameters(checkpoint):
    return torch.load(checkpoint)['state_dict']  # torch's safe default


def last(work):
    from mmengine.runner import find_latest_checkpoint
    return find_latest_checkpoint(str(work))


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize('name', METHODS)
def test_contract(name, train, poisoned, tmp_path, capsys):
    method, work = get_method(name), tmp_path / 'once'
    result = train(name, 'once')
    assert result['method'] == name
    assert result['protocol'] in ('val-free', 'val-4')
    assert (result['selected_on'] is None) == (
        result['protocol'] == 'val-free')
    assert result['seconds_of_training'] > 0
    assert result['learned_parameters'] > 0
    state = parameters(last(work))
    frozen = 'text_tower', 'hand_written'
    assert not any(part in key for key in state for part in frozen)
    config = next(work.glob('*.py'))

    # labels of test images change nothing that is learned or selected
    other = train(name, 'other', data=poisoned)
    assert other['num_images_evaluated'] == result['num_images_evaluated']
    for key, value in parameters(last(tmp_path / 'other')).items():
        assert torch.equal(value, state[key]), key
    for key in ('selected', 'selected_on', 'val_accuracy', 'search'):
        assert other.get(key) == result.get(key)

    # a test of the checkpoint finds what the training found
    tool('test', config, last(work), '--work-dir', tmp_path / 'test', '--out',
         tmp_path / 'scores.pkl')
    tested = json.loads((tmp_path / 'test/result_test.json').read_text())
    assert tested['metrics'] == result['metrics']
    assert tested['method'] == name

    # and so does the checkpoint without its config
    scores = load(tmp_path / 'scores.pkl')
    classifier = mmcoop.load(work)
    assert classifier.record['method'] == name
    # tests are without the temperature
    logits = classifier.logits([score['img_path'] for score in scores])
    torch.testing.assert_close(
        logits.softmax(-1), torch.stack([score['pred_score']
                                         for score in scores]),
        rtol=0, atol=1e-5, check_dtype=False)

    if method.epochs:  # interrupted after an epoch and resumed: the same
        again = shutil.copytree(work, tmp_path / 'again')
        (again / 'epoch_2.pth').unlink()
        (again / 'last_checkpoint').write_text(str(again / 'epoch_1.pth'))
        train(name, 'again', '--resume')
        for key, value in parameters(last(again)).items():
            torch.testing.assert_close(value, state[key], rtol=1e-4,
                                       atol=1e-6, msg=key)

    # the host's inferencer, on an image, from config and checkpoint
    inferencer = ImageClassificationInferencer(
        str(config), pretrained=last(work))
    image = next((tmp_path / 'photos/test/snow').glob('*.png'))
    prediction, = inferencer(str(image))
    assert prediction['pred_class'] in ('grass', 'red_fox', 'snow')

    # other classes at run time, or a sentence
    model = inferencer.model
    images = torch.randn(2, 3, 32, 32)
    if method.new_classes is True:
        model.set_classes(['cat', 'dog'])
        assert model(images).shape == (2, 2)
        tool('transfer', config, last(work), '--datasets', 'eurosat',
             '--data-root', DATA, '--work-dir', tmp_path / 'transfer')
        assert 'EuroSAT' in capsys.readouterr().out
    elif hasattr(model, 'set_classes') and hasattr(
            model.head, 'set_classes'):
        with pytest.raises(ValueError, match='classes'):
            model.set_classes(['cat', 'dog'])

    if hasattr(getattr(model.head, 'prompt', None), 'ctx'):
        tool('analysis_tools/read_prompt', config, last(work), '--out',
             tmp_path / 'words.json')
        words = json.loads((tmp_path / 'words.json').read_text())
        assert words['contexts'][0]['vectors']


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.parametrize('name', [
    name for name in METHODS if get_method(name).epochs])
def test_moving_averages(name, train, tmp_path):
    """EMA of mmengine: it shares the frozen towers, and is what is tested."""
    config = tmp_path / 'ema.py'
    hooks = Config.fromfile(get_method(name).config).custom_hooks
    config.write_text(
        f"_base_ = ['{get_method(name).config}']\n"
        f'custom_hooks = {[*map(dict, hooks), dict(type="EMAHook")]!r}\n')
    train(name, 'ema', config=config)
    checkpoint = torch.load(last(tmp_path / 'ema'), map_location='cpu')
    averages = checkpoint['ema_state_dict']
    assert not any('text_tower' in key for key in averages)
    assert any(not torch.equal(value, averages[f'module.{key}'])
               for key, value in checkpoint['state_dict'].items())
