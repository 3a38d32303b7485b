"""The paper's linear probe: which C are tried, and on which images."""
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmcoop.clip import ImageTower
from mmcoop.registry import DATASETS

from ..conftest import DATA, ROOT, custom_config, make_photos

pytest.importorskip('sklearn')
from sklearn.linear_model import LogisticRegression  # noqa: E402

from mmcoop.protocol import linear_probe  # noqa: E402
from mmcoop.protocol.linear_probe import search  # noqa: E402
from mmcoop.protocol.linear_probe import Labelled, plan, probe  # noqa: E402

GRID = [6, 4, 2, 0, -2, -4, -6]


@pytest.fixture
def search_on(monkeypatch):
    """A search where the accuracy is a known function of log10 C."""

    def run(accuracy):
        monkeypatch.setattr(linear_probe, 'fit', lambda train, C: (C, True))
        monkeypatch.setattr(linear_probe, 'score',
                            lambda C, val: accuracy(round(math.log10(C), 9)))
        found = search(None, None)
        assert found.C == found.classifier
        tried = [round(math.log10(row['C']), 9) for row in found.trace]
        assert len(set(tried)) == len(tried)  # nothing twice
        return math.log10(found.C), tried, found.val_accuracy

    return run


def test_a_peak_between_grid_points(search_on):
    best, tried, percent = search_on(lambda c: 50 - abs(c - 2.7))
    assert tried == GRID + [1, 3, 2.5, 2.75, 2.625, 2.6875, 2.71875, 2.703125]
    assert best == pytest.approx(2.703125)
    assert percent == pytest.approx(50 - .003125)


def test_ties(search_on):
    """The grid's largest C, then always the left: the smaller C."""
    best, tried, _ = search_on(lambda c: 50)
    assert tried == GRID + [5, 7] + [5 + 2**-i for i in range(1, 7)]
    assert best == pytest.approx(5)


def test_a_lone_peak_on_the_grid_is_found_again(search_on):
    best, tried, percent = search_on(lambda c: 90 if c == -4 else 10)
    assert (best, percent) == (pytest.approx(-4), 90)
    assert tried[7:9] == [-5, -3] and len(tried) == 15


@pytest.mark.parametrize('end', [6, -6])
def test_the_search_goes_beyond_the_ends_of_the_grid(search_on, end):
    best, _, _ = search_on(lambda c: c * end)
    assert best == pytest.approx(end * 7 / 6)


@pytest.fixture
def clouds():
    """Five clouds of points that overlap, to train and to choose on."""
    rng = np.random.default_rng(0)

    def draw(n):
        labels = np.repeat(np.arange(5), n)
        centres = np.random.default_rng(1).normal(size=(5, 12))
        return Labelled(
            centres[labels] + 2 * rng.normal(size=(len(labels), 12)), labels)

    return draw(16), draw(4)


def test_the_chosen_fit_is_scikit_learns(clouds, recwarn):
    train, val = clouds
    found = search(train, val)
    direct = LogisticRegression(C=found.C, max_iter=1000).fit(*train)
    np.testing.assert_array_equal(found.classifier.coef_, direct.coef_)
    assert found.val_accuracy == pytest.approx(100 * direct.score(*val))
    best = max(row['val_accuracy'] for row in found.trace)
    assert found.val_accuracy == best > 20
    assert all(row['converged'] for row in found.trace)
    assert not recwarn.list


def test_what_has_not_converged_is_said_once(clouds, monkeypatch, said,
                                             recwarn):
    monkeypatch.setattr(linear_probe, 'MAX_ITER', 2)
    trace = search(*clouds).trace
    short = [row for row in trace if not row['converged']]
    lines = [line for line in said if 'converged' in line]
    assert len(lines) == 1 and not recwarn.list
    assert len(short) > 5 and f'{len(short)} of {len(trace)} ' in lines[0]


@pytest.fixture
def config(tmp_path, photos, small_clip):

    def make(data=photos, **options):
        return custom_config(tmp_path, data, small_clip,
                             **{'shots': 2, **options})

    return make


def test_a_run(config, tmp_path, monkeypatch, photos):
    seen = []
    monkeypatch.setattr(linear_probe, 'search',
                        lambda *data: seen.extend(data) or search(*data))
    cfg = config()
    before = cfg.pretty_text
    result = probe(cfg)
    assert cfg.pretty_text == before
    assert result == json.loads((tmp_path / 'work/result.json').read_text())
    assert result['method'] == 'linear-probe'
    assert (result['seed'], result['shots']) == (1, 2)
    assert (result['num_images'], result['num_images_evaluated'],
            result['num_classes']) == (6, 5, 3)
    assert result['selected_on'] == 'training images not drawn, 5 images'
    assert result['evaluated_on'] == 'test'
    assert 0 <= result['metrics']['accuracy/top1'] <= 100
    chosen = [row for row in result['search'] if row['C'] == result['C']]
    assert [row['val_accuracy'] for row in chosen] == [result['val_accuracy']]
    ran = Config.fromfile(result['config'])
    assert ran.val_dataloader.dataset.val_of is not None
    train, val = seen
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    # three photos of grass are for training: two drawn, one left
    assert np.bincount(val.labels).tolist() == [1, 2, 2]
    # the features are what the tower gives for the view of testing
    runner = RUNNERS.build(config())
    few_shot = DATASETS.build(runner.cfg.train_dataloader.dataset)
    pipeline = DATASETS.build(runner.cfg.test_dataloader.dataset).pipeline
    images = runner.model.data_preprocessor(dict(inputs=[
        pipeline(few_shot.get_data_info(i))['inputs'] for i in range(6)]))
    expected = runner.model.backbone(images['inputs'])[0]
    np.testing.assert_allclose(train.features, expected, atol=1e-5)
    assert train.features.dtype == np.float64
    assert abs(np.linalg.norm(train.features, axis=1) - 1).min() > .01


def test_the_search_never_sees_test_images(config, tmp_path):
    """Other test images leave it as it is."""
    folder = tmp_path / 'own'
    make_photos(folder / 'train', dict(fox=5, snow=5, grass=5))
    searches = []
    for part in (dict(snow=7, grass=1, fox=2), dict(fox=1, snow=2, grass=9)):
        make_photos(folder / 'test', part)
        result = probe(config(folder, work_dir=str(tmp_path / 'run')))
        assert result['num_images_evaluated'] == sum(part.values())
        searches.append([(row['C'], row['val_accuracy'])
                         for row in result['search']] + [result['C']])
        shutil.rmtree(folder / 'test')
    assert searches[0] == searches[1]


def test_features_are_shared_with_other_runs(config, tmp_path, monkeypatch):
    monkeypatch.setenv('MMCOOP_CACHE', str(tmp_path / 'cache'))
    forward, counts = ImageTower.forward, []
    monkeypatch.setattr(ImageTower, 'forward', lambda tower, images: (
        counts.append(len(images)), forward(tower, images))[1])
    RUNNERS.build(config()).test()
    assert counts == [5]
    first = probe(config())
    assert counts == [5, 6, 5]  # for training and choosing
    second = probe(config())
    assert len(counts) == 3
    for key in ('C', 'metrics', 'val_accuracy'):
        assert first[key] == second[key]


@pytest.mark.parametrize('shots,n_val', [(1, 10), (5, 40)])
def test_the_published_validation_draw(shots, n_val):
    cfg = Config.fromfile(
        ROOT / 'configs/coop/coop_vit-b16_16shot_eurosat.py')
    cfg.merge_from_dict(dict(data_root=str(DATA), shots=shots, seed=2))
    cfg = plan(cfg)
    name = f'coop_vit-b16_16shot_eurosat/shots{shots}_seed2'
    assert cfg.work_dir == f'work_dirs/linear_probe/{name}'
    splits = json.loads(
        (DATA / 'eurosat/split_zhou_EuroSAT.json').read_text())
    for part, count in (('train', 10 * shots), ('val', n_val),
                        ('test', 50)):
        dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset)
        listed = {path for path, _, _ in splits[part]}
        paths = [dataset.get_data_info(i)['img_path']
                 for i in range(len(dataset))]
        assert len(paths) == count
        assert {'/'.join(Path(p).parts[-2:]) for p in paths} <= listed


def test_mistakes_end_before_any_image_is_encoded(config, monkeypatch):
    monkeypatch.setattr(linear_probe, 'load', None)
    cfg = config()
    steps = [dict(step) for step in cfg.test_dataloader.dataset.pipeline]
    steps[1] = dict(type='RandomResizedCrop', scale=32)
    for options, message in (
            ({'train_dataloader': None}, 'has no train_dataloader'),
            ({'launcher': 'pytorch'}, 'runs in one process'),
            ({'test_dataloader.dataset.pipeline': steps},
             'not known, RandomResizedCrop'),
            ({'test_dataloader.dataset.metainfo': dict(classes=list('abc'))},
             'the class names in testing are not')):
        with pytest.raises(ValueError, match=message):
            probe(config(**options))


def test_a_base_to_new_run_knows_the_base_classes(config):
    result = probe(config(class_subset='base'))
    assert (result['num_classes'], result['num_images']) == (2, 4)
    assert result['num_images_evaluated'] == 3
