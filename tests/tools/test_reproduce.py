"""tools/reproduce.py and tools/transfer.py, on the smallest of everything."""
import importlib.util
import json
import shlex

import pytest

from mmcoop.catalog import CATALOG

from ..conftest import DATA, ROOT
from ..datasets import trees


def tool(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def options(small_clip, monkeypatch):
    monkeypatch.chdir(ROOT)

    def make(data_root, **more):
        more = {'data_root': data_root, 'cached_views': 1,
                'max_epochs': 1, **more}
        return ['--cfg-options',
                f'model.clip.pretrained={small_clip["pretrained"]}',
                *(f'{name}_dataloader.num_workers=0'
                  for name in ('train', 'val', 'test')),
                *(f'{key}={value}' for key, value in more.items())]

    return make


@pytest.fixture
def towers(small_clip):
    return ['--backbones', small_clip['model_name']]


def test_base_to_new(tmp_path, options, towers, capsys):
    words = ['base-to-new', '--methods', 'zeroshot-own',
             'coop-m4-end-words', '--datasets', 'eurosat', '--shots', '1',
             '--seeds', '1', '2', *towers, '--work-dir', str(tmp_path),
             *options(DATA)]
    tool('reproduce')(words)
    out = capsys.readouterr().out
    assert '6 runs, 0 of them done.' in out and '[6/6] eurosat-new' in out
    table, = [line for line in out.splitlines()
              if line.startswith('EuroSAT') and 'CoOp' in line]
    assert '±' in table
    assert (tmp_path / 'tables/base-to-new.md').exists()
    assert len(list((tmp_path / 'tables').glob('*.png'))) == 1
    # again: all is done, the table is the same
    tool('reproduce')(words)
    again = capsys.readouterr().out
    assert '6 runs, 6 of them done.' in again and table in again
    # and nothing is left to print
    tool('reproduce')([*words, '--print'])
    assert capsys.readouterr().out == ''


def test_words(tmp_path, options, towers, capsys):
    tool('reproduce')(['words', '--datasets', 'eurosat', '--shots', '1',
                       '--methods', 'coop-m4-end-words', *towers,
                       '--work-dir', str(tmp_path), *options(DATA)])
    out = capsys.readouterr().out
    # one epoch at 1e-5: the words are still those it began with
    rows = [line.split() for line in out.splitlines() if '(0.' in line]
    assert [row[1] for row in rows] == ['a', 'photo', 'of', 'a']
    assert (tmp_path / 'tables/words.csv').exists()
    words = tmp_path.rglob('words.json')
    assert json.loads(next(words).read_text())['contexts']


@pytest.mark.slow
def test_imagenet_and_its_variants(tmp_path, options, towers, capsys,
                                   monkeypatch):
    """Table 1 and Table 5 on a tiny ImageNet of the real layout."""
    pytest.importorskip('sklearn')
    from mmcoop.heads import linear_probe
    monkeypatch.setattr(linear_probe, 'GRID', (0, ))
    monkeypatch.setattr(linear_probe, 'STEPS', 0)
    root = tmp_path / 'data'
    for name in ('imagenet', 'imagenetv2', 'imagenet_sketch', 'imagenet_a',
                 'imagenet_r'):
        trees.folder_tree(root, name)
    # one image a class for the probe to choose on
    trees.plant(root / 'imagenet/images/train', [
        f'{folder}/{folder}_2.JPEG'
        for folder in trees.class_folders('imagenet')])
    common = [*towers, '--shots', '1', '--seeds', '1', '--work-dir',
              str(tmp_path / 'runs'), *options(root)]
    tool('reproduce')(['domain', '--methods', 'linear-probe', 'zeroshot-own',
                       'coop-m4-end', *common])
    out = capsys.readouterr().out
    assert '[15/15]' in out and 'FAILED' not in out
    for name in ('zero-shot', 'linear probe', 'CoOp M=4, end'):
        assert name in out.partition('\n\n')[2]
    results = {
        path.parent.relative_to(tmp_path / 'runs').parts:
            json.loads(path.read_text())
        for path in (tmp_path / 'runs').rglob('result*.json')}
    assert len(results) == 15
    for parts, result in results.items():
        known = CATALOG[parts[0]]
        assert result['num_classes'] == known.classes
        if parts[0] != 'imagenet' and parts[2] != 'zeroshot-own':
            assert result['trained_on']['dataset'] == 'imagenet'
    # the same checkpoint, by the tool for one
    trained = tmp_path / 'runs/imagenet' / parts[1] / \
        'coop-m4-end/1shot_seed1'
    config, = trained.glob('*.py')
    tool('transfer')([str(config), str(trained), '--datasets', 'imagenet_r',
                      'imagenet_a', '--work-dir', str(tmp_path / 'own')])
    table = capsys.readouterr().out.splitlines()[-8:]
    top1 = [float(line.split()[-1]) for line in table
            if line.startswith('ImageNet-')]
    expected = [
        results[(name, parts[1], 'coop-m4-end', 'from_imagenet',
                 '1shot_seed1')]['metrics']['accuracy/top1']
        for name in ('imagenet_r', 'imagenet_a')]
    assert top1 == pytest.approx(expected, abs=.01)


@pytest.mark.slow
def test_adaptations(tmp_path, options, towers, capsys):
    tool('reproduce')([
        'adaptations', '--datasets', 'eurosat', '--methods', 'finetune',
        'text-transform', 'text-bias', 'linear-head', *towers, '--shots',
        '1', '--seeds', '1', '--work-dir', str(tmp_path),
        *options(DATA, cached_views=None)])
    out = capsys.readouterr().out
    assert 'FAILED' not in out and '[4/4]' in out
    methods = {json.loads(path.read_text())['method']: path.parent
               for path in tmp_path.rglob('result.json')}
    assert set(methods) == {'finetune', 'text-transform', 'text-bias',
                            'linear-head'}
    # what was learned is tested again from its folder
    for name, folder in methods.items():
        config, = folder.glob('*.py')
        tool('test')([str(config), str(folder), '--work-dir',
                      str(folder / 'test')])
        first, second = (json.loads(path.read_text()) for path in (
            folder / 'result.json', folder / 'test/result_test.json'))
        assert first['metrics'] == second['metrics'], name
    # a linear head knows its classes only
    folder = methods['linear-head']
    config, = folder.glob('*.py')
    with pytest.raises(ValueError, match='for 10 classes.*data set has 5'):
        tool('test')([str(config), str(folder), '--work-dir',
                      str(folder / 'base'), '--cfg-options',
                      'test_dataloader.dataset.class_subset=base'])
    # and nothing that learns is tested untrained
    with pytest.raises(SystemExit, match='give the checkpoint'):
        tool('test')([str(config), '--work-dir', str(folder / 'base')])


def test_what_cannot_be_run(tmp_path, options, towers, capsys):
    with pytest.raises(SystemExit, match=r'(?s)DTD:.*dtd/images.*'
                       r'EuroSAT:.*check_data'):
        tool('reproduce')(['few-shot', '--datasets', 'dtd', 'eurosat',
                           *towers, *options(tmp_path)])
    for words, message in (
            (['tables'], 'invalid choice'),
            (['few-shot', '--methods', 'mapel'], "unknown method 'mapel'"),
            (['few-shot', '--datasets', 'mnist'], 'mnist'),
            (['few-shot', '--gpus', '2'], '--gpus is for --print'),
            (['few-shot', '--cfg-options', 'shots=4'], 'say --shots'),
            (['few-shot', '--cfg-options', 'label_noise=.1'], 'say --noise'),
            (['noise', '--noise-kind', 'all'], 'invalid choice'),
            (['few-shot', '--cfg-options', 'cached_view=4'],
             "did you mean 'cached_views'"),
            (['few-shot', '--cfg-options', 'model.head.prompt.n_ctx=4'],
             'among --methods')):
        with pytest.raises(SystemExit):
            tool('reproduce')(words)
        assert message in capsys.readouterr().err


def test_a_leaderboard(tmp_path, options, towers, capsys):
    """Of the data sets that are there; the others are named."""
    words = ['leaderboard', '--methods', 'coop-m4-end', 'zeroshot-own',
             '--shots', '1', '2', '--seeds', '1', *towers, '--work-dir',
             str(tmp_path), *options(DATA)]
    tool('reproduce')(words)
    out, error = capsys.readouterr()
    assert error.startswith(f'Left out, since {DATA} lacks files of them: '
                            'imagenet, caltech101,')
    assert 'eurosat' not in error and '[3/3] eurosat' in out
    assert 'Summary, EuroSAT, mmcoop-test-small, 2 shots' in out
    result, = tmp_path.rglob('coop-m4-end/1shot_seed1/result.json')
    ece = json.loads(result.read_text())['metrics']['calibration/ece']
    table = out[out.index('Summary, EuroSAT, mmcoop-test-small, 1 shot'):]
    row = next(line for line in table.splitlines()
               if line.startswith('CoOp M=4, end'))
    assert f'{ece:.2f}' in row.split()
    with pytest.raises(SystemExit, match='has no data set.*data_root'):
        tool('reproduce')(['leaderboard', *options(tmp_path / 'nothing')])


def test_noise(tmp_path, options, towers, capsys):
    tool('reproduce')([
        'noise', '--datasets', 'eurosat', '--methods', 'coop-gce', '--shots',
        '2', '--seeds', '1', '--noise', '0', '0.5', '--noise-kind', 'pair',
        *towers, '--work-dir', str(tmp_path), *options(DATA)])
    out = capsys.readouterr().out
    assert 'FAILED' not in out and '[2/2] eurosat' in out
    assert '16 shots' not in out and '2 shots, pair label noise' in out
    noise = {path.parent.name: json.loads(path.read_text())['label_noise']
             for path in tmp_path.rglob('result.json')}
    assert noise == {'2shot_seed1': None, '2shot_seed1_pair0.5': dict(
        kind='pair', rate=.5, seed=1, flipped=10, images=20)}
    assert len(list((tmp_path / 'tables').glob('noise-pair-*.png'))) == 1


def test_command_lines(tmp_path, options, towers, capsys):
    """Each line is a whole command; with --gpus, one of torchrun."""
    words = ['few-shot', '--datasets', 'dtd', '--shots', '4', '--seeds', '2',
             '--methods', 'zeroshot-own', 'coop-m4-end-words', *towers,
             '--work-dir', str(tmp_path), '--print', *options('/d')]
    tool('reproduce')(words)
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line)[:2] for line in lines] == [
        ['python', 'tools/test.py'], ['python', 'tools/train.py']]
    assert 'model.head.prompt.ctx_init=a photo of a' in shlex.split(lines[1])
    assert all((ROOT / shlex.split(line)[2]).is_file() for line in lines)
    tool('reproduce')([*words, '--gpus', '8'])
    zeroshot, learned = capsys.readouterr().out.splitlines()
    assert zeroshot == lines[0]
    assert learned.startswith('torchrun --standalone --nproc_per_node 8 '
                              'tools/train.py')
    assert learned.endswith('--launcher pytorch')
    tool('reproduce')(['noise', '--datasets', 'demo', '--methods', 'coop-gce',
                       '--seeds', '1', '--noise', '0.5', *towers, '--print',
                       '--work-dir', str(tmp_path)])
    line, = capsys.readouterr().out.splitlines()
    assert {'dataset=demo', 'label_noise=0.5', 'noise_kind=symmetric'} <= set(
        shlex.split(line))


def test_a_test_follows_its_training(tmp_path, options, towers, capsys):
    tool('reproduce')(['base-to-new', '--datasets', 'dtd', '--seeds', '2',
                       *towers, '--work-dir', str(tmp_path), '--print',
                       *options('/d')])
    *zeroshot, coop, cocoop = capsys.readouterr().out.splitlines()
    assert len(zeroshot) == 2
    for line in (coop, cocoop):
        training, test = line.split(' && ')
        assert 'tools/train.py' in training and 'tools/test.py' in test
        folder = shlex.split(training)[shlex.split(training).index(
            '--work-dir') + 1]
        assert folder in shlex.split(test)
