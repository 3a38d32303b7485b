"""Draws, views, and life among the host's data sets and wrappers."""
import copy
import hashlib
import json

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.runner import Runner
from mmpretrain.datasets import KFoldDataset
from mmpretrain.registry import DATASETS

from mmcoop.datasets import FewShotDataset, SplitFileDataset
from mmcoop.datasets.few_shot import draw
from mmcoop.datasets.seeding import seeded

from ..conftest import GOLDEN

PIPELINE = [
    dict(type='mmcoop.LoadImage'),
    dict(type='RandomResizedCrop', scale=16, backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]


def folder(photos, **kwargs):
    return dict(
        type='CustomDataset',
        data_root=str(photos),
        pipeline=PIPELINE,
        **kwargs)


@pytest.fixture(scope='module', params=[
    'Caltech101', 'DescribableTextures', 'EuroSAT', 'OxfordFlowers',
    'OxfordPets', 'StanfordCars', 'UCF101'])
def published(request, coop_splits):
    """(name, data sets of the published training and validation lists)."""
    return request.param, {
        split: SplitFileDataset(
            ann_file=str(coop_splits / f'split_zhou_{request.param}.json'),
            data_prefix='/',
            split=split,
            pipeline=[])
        for split in ('train', 'val')
    }


@pytest.mark.parametrize('shots,seed', [(1, 1), (16, 2)] + [
    pytest.param(shots, seed, marks=pytest.mark.slow)
    for shots, seed in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1),
                        (8, 2), (16, 1))])
def test_published_draws(published, shots, seed, monkeypatch):
    """Digests of the publicly shared lists; the images are not here."""
    monkeypatch.setattr('mmcoop.datasets.few_shot.check_images',
                        lambda data_list, _: data_list)
    golden = json.loads((GOLDEN / 'few_shot.json').read_text())
    name, sources = published
    for split, val_of in (('train', None), ('val', sources['train'])):
        dataset = FewShotDataset(
            sources[split], shots=shots, seed=seed, val_of=val_of)
        paths = [
            dataset.get_data_info(i)['img_path'][1:]
            for i in range(len(dataset))
        ]
        digest = hashlib.sha256('\n'.join(paths).encode()).hexdigest()
        expected = golden[f'{name}/{split}/shots{shots}/seed{seed}']
        assert digest == expected['sha256']


def test_draw_follows_first_appearance():
    import random
    labels = [2, 0, 2, 1, 0, 2]
    rng = random.Random(5)
    expected = rng.sample([0, 2, 5], 2) + rng.sample([1, 4], 2) + [3]
    assert draw(labels, 2, random.Random(5)) == expected
    assert draw(labels, None, random.Random(5)) == [0, 2, 5, 1, 4, 3]


def test_the_global_generators_are_left_alone(photos):
    draws = []
    for seed in (0, 1):
        np.random.seed(seed)
        torch.manual_seed(seed)
        dataset = FewShotDataset(folder(photos), shots=2, seed=7)
        dataset.set_epoch(3)
        before = np.random.get_state()[1].copy(), torch.get_rng_state()
        paths = [dataset[i]['data_samples'].img_path for i in range(6)]
        assert (np.random.get_state()[1] == before[0]).all()
        assert torch.equal(torch.get_rng_state(), before[1])
        assert len(set(paths)) == 6
        draws.append(paths)
    assert draws[0] == draws[1]


def test_fewer_images_than_shots(photos, logged):
    dataset = FewShotDataset(folder(photos), shots=5)
    assert len(dataset) == 14
    assert any('grass (4)' in message for message in logged)


@pytest.mark.parametrize('shots', [0, -1])
def test_no_shots(photos, shots):
    with pytest.raises(ValueError, match=f'shots={shots}'):
        FewShotDataset(folder(photos), shots=shots)


def test_all_shots(photos):
    assert len(FewShotDataset(folder(photos), shots=None)) == 16


def test_a_data_set_and_no_config(photos):
    source = DATASETS.build(folder(photos))
    dataset = FewShotDataset(source, shots=2)
    assert len(dataset) == 6 and len(dataset.pipeline.transforms) == 4
    assert dataset.metainfo['classes'] == ('grass', 'red_fox', 'snow')


def test_multi_label_is_refused(photos):
    source = DATASETS.build(folder(photos))
    source.get_data_info = lambda i: dict(gt_label=[0, 1])
    with pytest.raises(ValueError, match='no single gt_label'):
        FewShotDataset(source, shots=2)


def test_no_pipeline_is_said(photos):
    concat = ConcatDataset([DATASETS.build(folder(photos))])
    with pytest.raises(ValueError, match='pipeline'):
        FewShotDataset(concat, shots=1)
    dataset = FewShotDataset(concat, shots=1, pipeline=PIPELINE)
    assert len(dataset) == 3 and dataset[0]['inputs'].shape == (3, 16, 16)


class TestAmongTheHosts:
    """Everything that a host tool asks of a data set."""

    @pytest.fixture
    def dataset(self, photos):
        return FewShotDataset(folder(photos), shots=3)

    def test_interface(self, dataset):
        assert dataset.CLASSES == ('grass', 'red_fox', 'snow')
        assert dataset.class_to_idx['snow'] == 2
        assert dataset.get_gt_labels().tolist() == [0] * 3 + [1] * 3 + [2] * 3
        assert dataset.get_cat_ids(8) == [2]
        assert 'Shots' in repr(dataset) and '9' in repr(dataset)
        subset = copy.deepcopy(dataset)
        subset.get_subset_([0, 4])
        assert len(subset) == 2 and len(dataset) == 9
        dataset.pipeline = dataset.pipeline

    @pytest.mark.slow
    @pytest.mark.parametrize('built', [False, True])
    def test_wrappers(self, photos, dataset, built):
        inner = dataset if built else dict(
            type='mmcoop.FewShotDataset', shots=3, dataset=folder(photos))
        repeat = RepeatDataset(inner, times=2)
        assert len(repeat) == 18
        assert torch.is_tensor(repeat[17]['inputs'])
        concat = ConcatDataset([inner, inner])
        assert len(concat) == 18
        assert concat.metainfo['classes'] == ('grass', 'red_fox', 'snow')
        assert len(ClassBalancedDataset(inner, oversample_thr=0.1)) == 9
        if not built:
            inner = dict(inner, lazy_init=False)
        assert len(KFoldDataset(dict(
            type='mmcoop.FewShotDataset', shots=3, dataset=folder(photos)),
            num_splits=3)) == 6

    def test_of_wrappers(self, photos):
        repeat = RepeatDataset(DATASETS.build(folder(photos)), times=2)
        assert len(FewShotDataset(repeat, shots=10, pipeline=PIPELINE)) == 28


def views(dataset, epoch, workers, batch_size=4):
    """All views of an epoch, by image."""
    dataset.set_epoch(epoch)
    loader = Runner.build_dataloader(
        dict(
            dataset=dataset,
            batch_size=batch_size,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate')), seed=epoch)
    return {
        sample.img_path: image
        for batch in loader for sample, image in zip(batch['data_samples'],
                                                     batch['inputs'])
    }


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_views_are_a_function_of_seed_epoch_and_image(photos):

    def make(shots=3, seed=1):
        return FewShotDataset(folder(photos), shots=shots, seed=seed)

    reference = views(make(), 5, workers=0)
    assert same(reference, views(make(), 5, workers=2, batch_size=2))
    np.random.seed(99)
    assert same(reference, views(make(), 5, workers=0, batch_size=1))
    assert not same(reference, views(make(), 6, workers=0))
    other_seed = views(make(seed=2), 5, workers=0)
    shared = reference.keys() & other_seed.keys()
    assert shared and not any(
        torch.equal(reference[k], other_seed[k]) for k in shared)
    # an image looks the same whatever else was drawn, wherever it lies
    more = views(make(shots=4), 5, workers=0)
    shared = reference.keys() & more.keys()
    assert shared and all(torch.equal(reference[k], more[k]) for k in shared)


def test_epochs_reach_workers_that_live_on(photos):
    dataset = copy.deepcopy(FewShotDataset(folder(photos), shots=3))
    loader = torch.utils.data.DataLoader(
        dataset, num_workers=1, persistent_workers=True, collate_fn=list)
    seen = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        seen.append(torch.stack([batch[0]['inputs'] for batch in loader]))
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


def test_without_epochs_views_are_random(photos):
    dataset = FewShotDataset(folder(photos), shots=3)
    assert not torch.equal(dataset[0]['inputs'], dataset[0]['inputs'])


def test_seeded_restores_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(3):
        torch.rand(1)
        raise RuntimeError
    assert torch.equal(state, torch.get_rng_state())


def test_broken_images(photos, monkeypatch):
    victim = photos / 'snow/2.png'
    victim.write_bytes(victim.read_bytes()[:300])  # the head is whole
    with pytest.raises(OSError, match='1 of 16 images.*snow/2.png'):
        FewShotDataset(folder(photos), shots=6)
    # of very many images only the heads are looked at beforehand
    monkeypatch.setattr('mmcoop.datasets.images.MAX_DECODED', 10)
    dataset = FewShotDataset(folder(photos), shots=6)
    index = [dataset.get_data_info(i)['img_path'].endswith('snow/2.png')
             for i in range(len(dataset))].index(True)
    with pytest.raises(OSError, match='snow/2.png'):
        dataset[index]
    skipping = FewShotDataset(folder(photos), shots=6, unreadable='skip')
    assert len(skipping) == len(dataset) - 1
    victim.write_text('no image')
    with pytest.raises(OSError, match=r'1 of 16 images.*snow/2.png'):
        FewShotDataset(folder(photos), shots=6)
    with pytest.raises(ValueError, match='unreadable'):
        FewShotDataset(folder(photos), shots=6, unreadable='ignore')
