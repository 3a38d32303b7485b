"""Wrong labels on purpose: how many, which, and where they stay."""
import random
from collections import Counter

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmcoop import resolve
from mmcoop.datasets import FewShotDataset
from mmcoop.datasets.label_noise import flip_labels
from mmcoop.registry import DATASETS

from ..conftest import ROOT, make_photos
from .test_few_shot import folder

LABELS = [k for k in range(5) for _ in range(16)]


@pytest.mark.parametrize('kind', ['symmetric', 'pair'])
@pytest.mark.parametrize('rate,count', [
    (0, 0), (.125, 2), (.25, 4), (.3, 5), (.375, 6), (.5, 8)])
def test_so_many_of_each_class(kind, rate, count):
    noisy = flip_labels(LABELS, 5, kind, rate, seed=3)
    wrong = Counter(old for old, new in zip(LABELS, noisy) if old != new)
    assert wrong == Counter({k: count for k in range(5) if count})
    assert set(noisy) <= set(range(5))


def test_pair_and_symmetric():
    pair = flip_labels(LABELS, 5, 'pair', .5, seed=1)
    assert {(old, new) for old, new in zip(LABELS, pair) if old != new} == {
        (k, (k + 1) % 5) for k in range(5)}
    # uniform over the other classes: 4000 flips of class 0, 1000 each
    many = flip_labels([0] * 8000, 5, 'symmetric', .5, seed=1)
    counts = Counter(many)
    assert counts.pop(0) == 4000
    assert set(counts) == {1, 2, 3, 4}
    assert all(abs(n - 1000) < 120 for n in counts.values())  # 4 deviations


def test_more_noise_flips_the_same_and_more():
    runs = [flip_labels(LABELS, 5, 'symmetric', rate, seed=2)
            for rate in (.125, .25, .5)]
    for less, more in zip(runs, runs[1:]):
        assert all(b == a for old, a, b in zip(LABELS, less, more)
                   if a != old)


def test_the_seed_alone_decides():
    state = random.getstate()
    one, again, other = (flip_labels(LABELS, 5, 'symmetric', .25, seed)
                         for seed in (1, 1, 2))
    assert one == again != other
    assert random.getstate() == state


@pytest.fixture
def many(tmp_path):
    return make_photos(tmp_path / 'photos',
                       {'red_fox': 10, 'snow': 10, 'grass': 10}, (20, 16))


def infos(dataset):
    return [(info['img_path'], info['gt_label']) for info in map(
        dataset.get_data_info, range(len(dataset)))]


def test_the_draw_and_its_views_stay(many):
    clean, noisy = (FewShotDataset(folder(many), shots=8, seed=4,
                                   label_noise=noise)
                    for noise in (None, dict(kind='pair', rate=.25)))
    assert clean.label_noise is None
    assert noisy.label_noise == dict(kind='pair', rate=.25, seed=4, flipped=6,
                                     images=24)
    assert [path for path, _ in infos(clean)] == [
        path for path, _ in infos(noisy)]
    assert sum(a != b for a, b in zip(infos(clean), infos(noisy))) == 6
    for dataset in (clean, noisy):
        dataset.set_epoch(2)
    views = [next(iter(DataLoader(
        dataset, batch_size=24, num_workers=workers,
        collate_fn=lambda items: (
            torch.stack([item['inputs'] for item in items]),
            [int(item['data_samples'].gt_label) for item in items]))))
        for dataset, workers in ((clean, 0), (noisy, 0), (noisy, 2))]
    assert torch.equal(views[0][0], views[1][0])
    assert views[1][1] == [label for _, label in infos(noisy)] == views[2][1]


def test_its_seed_is_the_draws_or_its_own(many):
    def labels(draw_seed, **noise):
        return infos(FewShotDataset(
            folder(many), shots=None, seed=draw_seed,
            label_noise=dict(rate=.5, **noise)))

    assert labels(1) == labels(2, seed=1) != labels(2)
    assert labels(1, seed=None) == labels(1)


def test_some_classes(many):
    """Labels are flipped among the classes that are left."""
    dataset = FewShotDataset(
        folder(many), shots=8, class_subset=['snow', 'grass'],
        label_noise=dict(rate=.5))
    assert Counter(label for _, label in infos(dataset)) == {0: 8, 1: 8}
    assert dataset.label_noise['flipped'] == 8


def test_validation_images_are_labelled_right(many):
    cfg = Config.fromfile(
        ROOT / 'configs/linear_probe/linear_probe_vit-b16_16shot_custom.py')
    cfg.merge_from_dict(dict(data_root=str(many), shots=4, label_noise=.5,
                             noise_kind='pair', image_size=16))
    cfg = resolve(cfg)
    train = cfg.train_dataloader.dataset
    assert train.label_noise == dict(kind='pair', rate=.5)
    for place in (cfg.train_cfg.val_dataset, cfg.test_dataloader.dataset):
        assert 'label_noise' not in place
        names = DATASETS.build(place)
        for path, label in infos(names):
            assert names.metainfo['classes'][label] in path
    noisy = DATASETS.build(train)
    assert sum(noisy.metainfo['classes'][label] not in path
               for path, label in infos(noisy)) == 6


@pytest.mark.parametrize('noise,message', [
    (dict(kind='all', rate=.1), "kind='all'.*noise_kind"),
    (dict(rate=.6), r'rate=0.6: a number from 0 to 0.5'),
    (dict(rate=-.1), 'rate=-0.1'), (dict(rate='much'), "rate='much'")])
def test_mistakes(photos, noise, message):
    with pytest.raises(ValueError, match=message):
        FewShotDataset(folder(photos), label_noise=noise)


def test_one_class_has_no_other(photos):
    with pytest.raises(ValueError, match='at least two classes'):
        FewShotDataset(folder(photos), class_subset=['snow'],
                       label_noise=dict(rate=.5))
