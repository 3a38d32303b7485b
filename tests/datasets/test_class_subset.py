"""Base and new classes, and validation draws beside a training draw."""
import hashlib

import pytest

from mmcoop.datasets import FewShotDataset
from mmcoop.datasets.class_subset import choose_classes
from mmcoop.registry import DATASETS

from .test_few_shot import folder


def paths(dataset):
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


@pytest.mark.parametrize('count,base', [(2, 1), (3, 2), (10, 5), (37, 19)])
def test_halves(count, base):
    names = [f'class {i}' for i in range(count)]
    assert choose_classes(names, 'base') == list(range(base))
    assert choose_classes(names, 'new') == list(range(base, count))


def draw(photos, subset=None):
    return FewShotDataset(folder(photos), shots=2, seed=3,
                          class_subset=subset)


def subset_of(photos, subset):
    return FewShotDataset(folder(photos), shots=None, class_subset=subset)


def test_subset_of_a_draw(photos):
    """The draw is that of all classes; the labels begin at 0."""
    whole, base, new = (draw(photos, part) for part in (None, 'base', 'new'))
    assert base.metainfo['classes'] == ('grass', 'red_fox')
    assert new.metainfo['classes'] == ('snow', )
    assert new.metainfo['class_subset'] == 'new'
    assert paths(base) + paths(new) == paths(whole)
    assert base.get_gt_labels().tolist() == [0, 0, 1, 1]
    assert new.get_gt_labels().tolist() == [0, 0]
    assert (new.shots, new.seed) == (2, 3)


def test_views_are_those_of_the_whole(photos):
    whole, new = draw(photos), draw(photos, 'new')
    for epoch in (0, 5):
        digests = [hashlib.sha256(view['inputs'].numpy().tobytes()).digest()
                   for view in (whole.get_view(4, epoch),
                                new.get_view(0, epoch))]
        assert digests[0] == digests[1]
    new.set_epoch(5)
    assert (new[0]['inputs'] == whole.get_view(4, 5)['inputs']).all()


def test_named_classes(photos):
    dataset = subset_of(photos, ['snow', 'grass'])
    assert dataset.metainfo['classes'] == ('grass', 'snow')
    assert set(dataset.get_gt_labels()) == {0, 1} and len(dataset) == 10
    photos = DATASETS.build(dict(
        type='mmcoop.FolderDataset', data_root=str(photos), split='test',
        pipeline=[], class_subset=['snow', 'grass']))
    assert photos.metainfo['classes'] == ('grass', 'snow')
    assert set(photos.get_gt_labels()) == {0, 1}


def test_mistakes(photos):
    for make in (draw, subset_of):
        with pytest.raises(ValueError, match="class_subset='old': choose"):
            make(photos, 'old')
        with pytest.raises(ValueError, match="no classes \\['fog'\\]"):
            make(photos, ['fog'])
    with pytest.raises(ValueError, match="1 classes: none left for 'new'"):
        choose_classes(['snow'], 'new')


def test_validation_images_are_no_training_images(photos):
    """Where validation has no split of its own: what training left."""
    train = FewShotDataset(folder(photos), shots=3, seed=1)
    val = FewShotDataset(
        folder(photos), shots=3, seed=1, val_of=folder(photos))
    assert len(val) == 3 + 3 + 1  # grass has 4 images
    assert not set(paths(val)) & set(paths(train))
    many = FewShotDataset(
        folder(photos), shots=5, seed=1, val_of=folder(photos))
    assert len(many) == 1 + 1 and len(set(many.get_gt_labels())) == 2
