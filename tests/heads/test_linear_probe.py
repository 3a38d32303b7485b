"""Runs of the paper's linear probe: which images it sees."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmcoop import resolve
from mmcoop.catalog import find
from mmcoop.clip import ImageTower
from mmcoop.datasets.imagenet import list_class_folders, load_wordnet_ids
from mmcoop.heads import LinearProbeHead, Selection
from mmcoop.registry import DATASETS

from ..conftest import DATA, ROOT, custom_config, make_photos

pytest.importorskip('sklearn')
from sklearn.linear_model import LogisticRegression  # noqa: E402


@pytest.fixture
def config(tmp_path, photos, small_clip):

    def make(data=photos, **options):
        return custom_config(tmp_path, data, small_clip,
                             method='linear_probe', **{'shots': 2, **options})

    return make


def run(cfg):
    """Train by a config; the result that it leaves, and the runner."""
    runner = RUNNERS.build(cfg)
    runner.train()
    path = Path(runner.work_dir) / 'result.json'
    return json.loads(path.read_text()), runner


def test_a_run(config, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Selection, 'fit',
                        lambda self, *args, fit=Selection.fit: (
                            seen.extend(args[1:3]), fit(self, *args))[1])
    cfg = config()
    before = repr(cfg)
    result, runner = run(cfg)
    assert repr(cfg) == before
    assert result['method'] == 'linear-probe'
    assert (result['seed'], result['shots'], result['epochs']) == (1, 2, None)
    assert (result['num_images'], result['num_images_evaluated'],
            result['num_classes']) == (6, 5, 3)
    assert result['selected_on'] == 'training images not drawn, 5 images'
    assert result['evaluated_on'] == 'test'
    assert 0 <= result['metrics']['accuracy/top1'] <= 100
    C = result['selected']['C']
    chosen = [row for row in result['search'] if row['C'] == C]
    assert [row['val_accuracy'] for row in chosen] == [result['val_accuracy']]
    ran = Config.fromfile(result['config'])
    assert ran.train_cfg.val_dataset.val_of is not None
    train, val = seen
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    # three photos of grass are for training: two drawn, one left
    assert np.bincount(val.labels).tolist() == [1, 2, 2]
    # the features are what the tower gives for the view of testing
    few_shot = DATASETS.build(runner.cfg.train_dataloader.dataset)
    pipeline = DATASETS.build(runner.cfg.test_dataloader.dataset).pipeline
    images = runner.model.data_preprocessor(dict(inputs=[
        pipeline(few_shot.get_data_info(i))['inputs'] for i in range(6)]))
    expected = runner.model.backbone(images['inputs'])[0]
    np.testing.assert_allclose(train.features, expected, atol=1e-5)
    features, labels = train.to_numpy()
    assert features.dtype == np.float64
    assert abs(np.linalg.norm(features, axis=1) - 1).min() > .01
    # the head predicts what scikit-learn's classifier predicts
    direct = LogisticRegression(C=C, max_iter=1000).fit(features, labels)
    test = runner.val_dataloader.dataset
    logits = runner.model.head((test.features[0], ))
    assert (logits.argmax(1).numpy()
            == direct.predict(test.features[0].double().numpy())).all()


def test_the_search_never_sees_test_images(config, tmp_path):
    """Other test images leave it as it is."""
    folder = tmp_path / 'own'
    make_photos(folder / 'train', dict(fox=5, snow=5, grass=5))
    searches = []
    for part in (dict(snow=7, grass=1, fox=2), dict(fox=1, snow=2, grass=9)):
        make_photos(folder / 'test', part)
        result, _ = run(config(folder, work_dir=str(tmp_path / 'run')))
        assert result['num_images_evaluated'] == sum(part.values())
        searches.append([(row['C'], row['val_accuracy'])
                         for row in result['search']] + [result['selected']])
        shutil.rmtree(folder / 'test')
    assert searches[0] == searches[1]


def test_features_are_shared_with_other_runs(config, tmp_path, monkeypatch,
                                             photos, small_clip):
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'cache'))
    forward, counts = ImageTower.forward, []
    monkeypatch.setattr(ImageTower, 'forward', lambda tower, images: (
        counts.append(len(images)), forward(tower, images))[1])
    RUNNERS.build(custom_config(tmp_path, photos, small_clip)).test()
    assert sum(counts) == 5
    first, _ = run(config())
    # one picture that tells the width; for training and choosing
    assert sum(counts) == 5 + 1 + 6 + 5
    second, _ = run(config())
    assert sum(counts) == 17 + 1
    for key in ('selected', 'metrics', 'val_accuracy'):
        assert first[key] == second[key]


@pytest.mark.parametrize('shots,n_val', [(1, 10), (5, 40)])
def test_the_published_validation_draw(shots, n_val):
    path, = (ROOT / 'configs/linear_probe').glob('*_imagenet.py')
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(dict(dataset='eurosat', data_root=str(DATA),
                             shots=shots, seed=2))
    cfg = resolve(cfg)
    splits = json.loads(
        (DATA / 'eurosat/split_zhou_EuroSAT.json').read_text())
    for part, config, count in (
            ('train', cfg.train_dataloader.dataset, 10 * shots),
            ('val', cfg.train_cfg.val_dataset, n_val),
            ('test', cfg.test_dataloader.dataset, 50)):
        dataset = DATASETS.build(config)
        listed = {path for path, _, _ in splits[part]}
        paths = [dataset.get_data_info(i)['img_path']
                 for i in range(len(dataset))]
        assert len(paths) == count
        assert {'/'.join(Path(p).parts[-2:]) for p in paths} <= listed


def test_mistakes_end_before_any_image_is_encoded(config, monkeypatch):
    monkeypatch.setattr('mmcoop.features.source.encode_images', None)
    steps = [dict(step) for step in config().test_dataloader.dataset.pipeline]
    steps[1] = dict(type='RandomResizedCrop', scale=32)
    for options, message in (
            ({'test_dataloader.dataset.pipeline': steps},
             'not known, RandomResizedCrop'),
            ({'test_dataloader.dataset.metainfo': dict(classes=list('abc'))},
             'knows the classes it was fitted on')):
        with pytest.raises(ValueError, match=message):
            RUNNERS.build(config(**options)).train()


def test_a_base_to_new_run_knows_the_base_classes(config):
    result, _ = run(config(class_subset='base'))
    assert (result['num_classes'], result['num_images']) == (2, 4)
    assert result['num_images_evaluated'] == 3


@pytest.mark.parametrize('classes', [3, 2])
def test_the_probe_itself_comes_back(tmp_path, config, classes):
    """From its checkpoint, with the numbers it had; two classes as well."""
    names = ['fox', 'snow', 'grass'][:classes]
    photos = make_photos(tmp_path / 'own', {name: 9 for name in names})
    before, first = run(config(photos))
    checkpoint = str(tmp_path / 'work/epoch_1.pth')
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    assert saved['head.weight'].shape == (classes, 32)
    assert set(saved) == {'head.weight', 'head.bias', 'head.record'}
    second = RUNNERS.build(config(photos, work_dir=str(tmp_path / 'after'),
                                  load_from=checkpoint))
    assert second.test() == before['metrics']
    after = json.loads((tmp_path / 'after/result_test.json').read_text())
    assert after['trained_on']['shots'] == 2
    assert after['selected_on'] == before['selected_on']
    assert after['num_images_evaluated'] == 3 * classes
    features = torch.randn(4, 32)
    assert torch.equal(first.model.head((features, )),
                       second.model.head((features, )))


def test_resuming_has_nothing_left_to_do(config, tmp_path, monkeypatch):
    before, _ = run(config())
    monkeypatch.setattr(LinearProbeHead, 'learn', None)
    path = tmp_path / 'work/result.json'
    path.unlink()
    after, runner = run(config(resume=True))
    for key in ('metrics', 'selected', 'search', 'selected_on'):
        assert after[key] == before[key]
    log, = Path(runner.log_dir).glob('*.log')
    assert 'fitted already: nothing is left to resume' in log.read_text()


def test_what_does_not_fit(config, tmp_path, small_clip):
    run(config())
    checkpoint = str(tmp_path / 'work/epoch_1.pth')
    others = make_photos(tmp_path / 'others', {'car': 4, 'bus': 4})
    with pytest.raises(ValueError, match='knows the classes it was fitted'):
        RUNNERS.build(config(others, load_from=checkpoint)).test()
    other_clip = dict(small_clip, _delete_=True)
    other_clip.pop('pretrained')
    with pytest.raises(ValueError, match='learned for the image tower of'):
        RUNNERS.build(config(load_from=checkpoint,
                             **{'model.clip': other_clip})).test()


@pytest.mark.parametrize('name', ['imagenet_a', 'imagenet_r', 'imagenetv2'])
def test_classes_of_imagenet(name):
    """Row i is the class whose folder is the variant's i-th."""
    source = list_class_folders(find('imagenet'), 'test')
    target = list_class_folders(find(name), 'test')
    head = LinearProbeHead(in_channels=1)
    head.set_classes([c for _, c in source], load_wordnet_ids('imagenet'))
    head.bias.data = torch.arange(1000.).double()
    ids = load_wordnet_ids('imagenet' if name == 'imagenetv2' else name)
    head.set_classes([c for _, c in target], ids)
    rows = head((torch.zeros(1, 1), ))[0].long().tolist()
    assert len(rows) == len(target) == find(name).classes
    for row, (folder, class_name) in zip(rows, target):
        assert source[row][1] == class_name
        if name != 'imagenetv2':
            assert source[row][0] == f'val/{folder}'
    with pytest.raises(ValueError, match='the data set has 1 classes'):
        head.set_classes(['dots'])


def test_without_scikit_learn(tmp_path, photos, small_clip):
    """Said before any image is encoded."""
    tool = str(ROOT / 'tools/train.py')
    code = ('import importlib.util as u, runpy, sys; find = u.find_spec; '
            'u.find_spec = lambda name, *a: None if name == "sklearn" else '
            f'find(name, *a); runpy.run_path({tool!r}, run_name="__main__")')
    config, = (ROOT / 'configs/linear_probe').glob('*_custom.py')
    done = subprocess.run([
        sys.executable, '-W', 'ignore', '-c', code, str(config), '--work-dir',
        str(tmp_path / 'work'), '--cfg-options', f'data_root={photos}',
        *(f'model.clip.{key}={value}' for key, value in small_clip.items())],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(
        "scikit-learn: pip install -e '.[linear_probe]'")
    assert 'Features of' not in done.stdout
