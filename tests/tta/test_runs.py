"""tools/test.py --tta METHOD as a person runs it."""
import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch
from mmengine.registry import RUNNERS

from mmcoop.report.records import make_frame, read_records

from ..conftest import ROOT, custom_config

ZEROSHOT = 'configs/zeroshot/zeroshot_vit-b16_custom.py'
COOP = 'configs/coop/coop_vit-b16_16shot_custom.py'
PROBE = 'configs/linear_probe/linear_probe_vit-b16_16shot_custom.py'
WORDS = 'model.head.prompt.ctx_init=a photo of a'


@pytest.fixture
def test(tmp_path, photos, small_clip, monkeypatch):
    """Run tools/test.py in this process; what its result says."""
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location('test_tool',
                                                  ROOT / 'tools/test.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(config, *args, options=(), folder='out'):
        module.main([config, *args, '--work-dir', str(tmp_path / folder),
                     '--cfg-options', *arguments(photos, small_clip),
                     *options])
        path = tmp_path / folder / 'result_test.json'
        result = dict(json.loads(path.read_text()), dataset='photos')
        path.write_text(json.dumps(result))  # reports need a name
        return result

    return run


def arguments(photos, clip):
    return [f'data_root={photos}', 'num_workers=0',
            'test_dataloader.persistent_workers=False',
            f'model.clip.model_name={clip["model_name"]}',
            f'model.clip.pretrained={clip["pretrained"]}']


@pytest.fixture
def trained(tmp_path, photos, small_clip):
    """A checkpoint of CoOp."""
    RUNNERS.build(custom_config(tmp_path, photos, small_clip,
                                max_epochs=2)).train()
    return str(tmp_path / 'work/epoch_2.pth')


def test_results_say_what_was_adapted(test, tmp_path, logged):
    plain = test(ZEROSHOT, folder='a/plain')
    assert plain['tta'] is None
    names = ['zeroshot-own']
    for method in ('mta', 'tda', 'zero'):
        result = test(ZEROSHOT, '--tta', method, folder=f'a/{method}')
        assert result['method'] == f'zeroshot-own (tta={method})'
        assert result['tta']['method'] == method
        assert result['tta']['depends_on_order'] == (method == 'tda')
        assert result['tta']['cached_features'] == (method == 'tda')
        assert result['tta']['top1_without'] == pytest.approx(
            plain['metrics']['accuracy/top1'], abs=1e-3)
        assert result['tta']['seconds_per_image'] > 0
        names.append(result['method'])
    # a setting that is not the default, and another seed
    result = test(ZEROSHOT, '--tta', 'zero', folder='a/b', options=[
        'tta_model.views=5', 'seed=2'])
    assert result['method'] == 'zeroshot-own (tta=zero, views=5)'
    assert result['tta']['settings'] == dict(views=5, keep=0.3)
    records = read_records([tmp_path / 'a'])
    assert {r.method: r.seed for r in records} == {
        'zeroshot-own': None, 'zeroshot-own (tta=zero, views=5)': 2,
        **dict.fromkeys(names[1:], 1)}
    assert all(record.zero_shot for record in records)
    frame = make_frame(records)
    assert len(set(frame.method)) == 5 and set(frame.shots) == {0}


def test_tpt_from_words_and_from_a_checkpoint(test, tmp_path, trained):
    few = ['tta_model.views=8', 'model.head.prompt.n_ctx=4']
    result = test(COOP, '--tta', 'tpt', options=[WORDS, *few], folder='a/w')
    generic = test(ZEROSHOT, options=['templates=generic'], folder='z')
    assert result['tta']['top1_without'] == pytest.approx(
        generic['metrics']['accuracy/top1'], abs=1e-3)
    assert result['method'] == 'zero-shot "a photo of a" (tta=tpt, views=8)'
    assert result['learned_parameters'] == 0
    result = test(COOP, trained, '--tta', 'tpt', options=few, folder='a/c')
    plain = test(COOP, trained, folder='a/p', options=few[1:])
    assert result['method'] == 'coop-m4-end (tta=tpt, views=8)'
    assert result['trained_on'] == plain['trained_on'] is not None
    assert result['learned_parameters'] > 0
    assert result['tta']['top1_without'] == pytest.approx(
        plain['metrics']['accuracy/top1'], abs=1e-3)
    records = {r.method: r for r in read_records([tmp_path / 'a'])}
    assert [record.zero_shot for _, record in sorted(records.items())] == \
        [False, False, True]
    # without a step nothing changes
    still = test(COOP, trained, '--tta', 'tpt', options=[
        *few, 'tta_model.lr=0.'], folder='s')
    assert still['metrics'] == pytest.approx(plain['metrics'], rel=1e-6)


def test_the_mirror_image_is_no_plain_result(test):
    result = test(ZEROSHOT, '--tta')
    assert result['tta'] == dict(method='AverageClsScoreTTA')
    assert result['method'] == 'zeroshot-own (tta=AverageClsScoreTTA)'


def test_a_config_of_ones_own(test, tmp_path):
    (tmp_path / 'mine.py').write_text(
        f"_base_ = '{ROOT}/configs/tta/zero.py'\n"
        'tta_model = dict(views=4, keep=0.5)\n')
    result = test(ZEROSHOT, '--tta', str(tmp_path / 'mine.py'), '--show-dir',
                  str(tmp_path / 'shown'))
    assert list((tmp_path / 'shown').rglob('*.png'))
    assert result['method'] == 'zeroshot-own (tta=zero, views=4, keep=0.5)'


@pytest.mark.parametrize('args,options,error', [
    ([ZEROSHOT, '--tta', 'foo'], [], 'Methods: mta, tda, tpt, zero'),
    ([ZEROSHOT, '--tta', 'tpt'], [], 'has written words.*ctx_init='),
    ([COOP, '--tta', 'tpt'], [], 'A method of --tta that tunes the context'),
    ([COOP, '--tta', 'zero'], [WORDS], 'learns a prompt: give the check'),
    (['configs/cocoop/cocoop_vit-b16_16shot_imagenet.py', '--tta', 'tpt'],
     ['dataset=folder'], 'learns something: give the checkpoint'),
    ([PROBE, '--tta', 'mta'], [], 'a LinearProbeHead has none'),
    ([ZEROSHOT, '--tta', 'zero'], ['tta_model.views=0'], 'views=0: a whole'),
    ([ZEROSHOT, '--tta', 'zero'], ['tta_model.keep=2'], 'keep=2: a number'),
    ([ZEROSHOT, '--tta', 'zero'], ['tta_pipeline.0.views=3'],
     'takes 64 views .* gives 3'),
    ([ZEROSHOT, '--tta', 'zero', '--amp'], [], 'needs a GPU'),
], ids=lambda value: None if isinstance(value, list) else value[:20])
def test_mistakes(test, capsys, args, options, error):
    if '--amp' in args and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises((SystemExit, ValueError, RuntimeError)) as caught:
        test(*args, options=options)
    import re
    assert re.search(error, str(caught.value) + capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['tpt', 'zero', 'tda'])
def test_two_processes(test, tmp_path, photos, small_clip, method):
    """Two ranks give the result of one; an order of images is not divided."""
    options = ['test_dataloader.dataset.indices=5']  # padded to 6
    if method != 'tda':
        options += ['tta_model.views=8']
    if method == 'tpt':
        options += [WORDS]
    config = COOP if method == 'tpt' else ZEROSHOT
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run',
         '--nproc-per-node=2', '--rdzv-backend=c10d',
         '--rdzv-endpoint=localhost:0', str(ROOT / 'tools/test.py'), config,
         '--tta', method, '--launcher', 'pytorch', '--work-dir',
         str(tmp_path / 'two'), '--out', str(tmp_path / 'two.pkl'),
         '--cfg-options', *arguments(photos, small_clip), *options], cwd=ROOT,
        capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1',
                 CUDA_VISIBLE_DEVICES=''))
    if method == 'tda':
        assert '2 processes would divide' in done.stderr
        return
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads((tmp_path / 'two/result_test.json').read_text())
    one = test(config, '--tta', method, '--out', str(tmp_path / 'one.pkl'),
               options=options, folder='one')
    assert (two['world_size'], one['world_size']) == (2, 1)
    assert two['metrics'] == one['metrics']
    assert two['tta']['top1_without'] == one['tta']['top1_without']
    from mmengine.fileio import load
    scores = [torch.stack([sample['pred_score'] for sample in load(
        str(tmp_path / f'{name}.pkl'))]) for name in ('one', 'two')]
    assert len(scores[0]) == 5
    torch.testing.assert_close(*scores, atol=1e-5, rtol=0)
