"""tools/train.py and tools/test.py as a person runs them."""
import argparse
import json
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer, get_model

from mmcoop.cfg_options import parse_values
from mmcoop.command_line import add_common_arguments

from ..conftest import ROOT, make_photos

CONFIG = 'configs/coop/coop_vit-b16_16shot_custom.py'
DEMO = 'configs/coop/coop_demo.py'


def tool(name, *args):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', str(ROOT / 'tools' / name),
         *map(str, args)], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope='module')
def run(tmp_path_factory, small_clip):
    """One training run: (work folder, options that every tool needs)."""
    tmp_path = tmp_path_factory.mktemp('run')
    photos = make_photos(tmp_path / 'photos',
                         {'red_fox': 6, 'snow': 6, 'grass': 4})
    options = [
        f'data_root={photos}',
        f'model.clip.model_name={small_clip["model_name"]}',
        f'model.clip.pretrained={small_clip["pretrained"]}',
        'train_dataloader.batch_size=4', 'train_dataloader.num_workers=1',
        'val_dataloader.num_workers=1', 'test_dataloader.num_workers=1'
    ]
    work = tmp_path / 'work'
    done = tool('train.py', CONFIG, '--work-dir', work, '--cfg-options',
                *options, 'shots=2', 'seed=3', 'max_epochs=3')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'training: 3 epochs, loss' in done.stdout
    assert len(done.stdout.splitlines()) < 30  # all else is in the log file
    log, = work.glob('*/*.log')
    assert 'Epoch(train) [3][1/1]' in log.read_text()
    assert 'leaked' not in done.stdout + done.stderr  # frozen garbage
    return work, options


@pytest.mark.slow
def test_one_option_reaches_every_place(run):
    work, _ = run
    result = json.loads((work / 'result.json').read_text())
    assert (result['seed'], result['shots'], result['epochs']) == (3, 2, 3)
    assert result['num_images'] == 6
    # the config that lies beside the checkpoint is the run as it was
    cfg = Config.fromfile(work / 'coop_vit-b16_16shot_custom.py')
    assert cfg.randomness.seed == cfg.train_dataloader.dataset.seed == 3
    assert cfg.train_dataloader.dataset.shots == 2
    assert cfg.test_dataloader.dataset.pipeline[1].scale == 32
    assert cfg.param_scheduler[1].T_max == cfg.train_cfg.max_epochs == 3


@pytest.mark.parametrize('text,value', [
    ('a photo of a', 'a photo of a'),
    ('a {}, a type of pet.', 'a {}, a type of pet.'),
    ("['a {}.', 'the {}.']", ['a {}.', 'the {}.']),
    ('[a,b]', ['a', 'b']), ('1,2', [1, 2]), ('(1,2)', (1, 2)),
    ('4', 4), ('0.5', .5), ('True', True), ('None', None), ('x', 'x'),
    ('/my photos/(1)', '/my photos/(1)'),
])
def test_options_keep_their_words(text, value):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    args = parser.parse_args(['--cfg-options', f'key={text}', 'a.b=1'])
    assert parse_values(args.cfg_options) == {'key': value, 'a.b': 1}


@pytest.mark.slow
def test_testing(run, tmp_path):
    work, options = run
    trained = json.loads((work / 'result.json').read_text())['metrics']
    out = tmp_path / 'metrics.json'
    done = tool('test.py', CONFIG, work / 'epoch_3.pth', '--work-dir',
                tmp_path / 'test', '--out', out, '--out-item', 'metrics',
                '--show-dir', tmp_path / 'shown', '--cfg-options', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(out.read_text()) == trained
    result = json.loads((tmp_path / 'test/result_test.json').read_text())
    assert result['metrics'] == trained and result['num_images'] == 5
    assert list((tmp_path / 'shown').rglob('*.png'))


@pytest.mark.slow
def test_tta_and_predictions(run, tmp_path):
    from mmengine.fileio import load
    work, options = run
    out = tmp_path / 'predictions.pkl'
    # the run's own config needs no other option
    done = tool('test.py', work / 'coop_vit-b16_16shot_custom.py',
                work / 'epoch_3.pth', '--tta', '--work-dir',
                tmp_path / 'test', '--out', out)
    assert done.returncode == 0, done.stderr[-3000:]
    predictions = load(str(out))
    assert len(predictions) == 5
    assert predictions[0]['pred_score'].shape == (3, )


@pytest.mark.slow
def test_zero_shot_needs_no_checkpoint(run, tmp_path):
    _, options = run
    done = tool('test.py', 'configs/zeroshot/zeroshot_vit-b16_custom.py',
                '--work-dir', tmp_path, '--cfg-options', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / 'result_test.json').read_text())
    assert result['prompt']['templates'] == ['a photo of a {}.']


@pytest.mark.slow
@pytest.mark.parametrize('args,message', [
    (['test.py', CONFIG], 'give the checkpoint'),
    (['test.py', CONFIG, 'gone.pth'], 'there is no checkpoint gone.pth'),
    (['train.py', CONFIG, '--cfg-options', 'shots=0'], 'shots=0'),
    (['train.py', CONFIG, '--amp'], 'needs a GPU'),
    (['train.py', DEMO, '--cfg-options',
      'model.head.prompt.class_token_position=back'], "'back' is unknown"),
    (['train.py', DEMO, '--cfg-options', 'model.clip.pretrained=x.pt'],
     "neither an existing file nor a tag of tiny_clip"),
], ids=['no checkpoint', 'gone', 'no shots', 'amp', 'position', 'no weights'])
def test_mistakes_end_at_once(args, message, tmp_path):
    if '--amp' in args and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    done = tool(args[0], '--work-dir', tmp_path, *args[1:])
    assert done.returncode != 0 and message in done.stderr


@pytest.mark.slow
def test_missing_photos(run, tmp_path):
    _, options = run
    done = tool('train.py', CONFIG, '--work-dir', tmp_path, '--cfg-options',
                *options[1:], f'data_root={tmp_path / "nowhere"}')
    assert done.returncode != 0
    assert 'nowhere does not exist. Make one sub-folder' in done.stderr
    assert 'CLIP' not in done.stdout  # before it is loaded


@pytest.mark.slow
def test_inferencer_and_get_model(run):
    """The host's own ways to use a model, on our config and checkpoint."""
    work, _ = run
    config = str(work / 'coop_vit-b16_16shot_custom.py')
    checkpoint = str(work / 'epoch_3.pth')
    model = get_model(config, pretrained=checkpoint)
    assert model.head.class_names == ['grass', 'red_fox', 'snow']
    inferencer = ImageClassificationInferencer(config, pretrained=checkpoint)
    image = next((work.parent / 'photos/snow').glob('*.png'))
    prediction = inferencer(str(image))[0]
    assert prediction['pred_class'] in ('grass', 'red_fox', 'snow')
