"""Splits of raw archives by the published rules."""
import json

import pytest

from mmcoop.catalog import CATALOG, SPLITS
from mmcoop.datasets import CoOpDataset
from mmcoop.datasets.coop_dataset import _warn_once, compare_sizes
from mmcoop.datasets.raw_splits import split_by_rule
from mmcoop.datasets.split_file import read_split_file

from ..conftest import DATA
from .test_coop_dataset import REAL, images
from .trees import CLASSES, paths_of, raw_tree, small_splits


@pytest.fixture(autouse=True)
def nothing_said_yet():
    _warn_once.cache_clear()


def real_splits(folder, name):
    return json.loads((folder / CATALOG[name].split_file.path).read_text())


@pytest.mark.slow
@pytest.mark.parametrize('name', REAL)
def test_of_the_real_archive(name, tmp_path, coop_splits):
    """From the file names in the real split file: its names and sizes."""
    known, splits = CATALOG[name], real_splits(coop_splits, name)
    raw_tree(tmp_path, name, splits, content=b'')
    ours = split_by_rule(known, str(tmp_path / known.folder))
    theirs = read_split_file(str(coop_splits / known.split_file.path))
    assert ours.by_rule and ours.classes == theirs.classes
    for split in SPLITS:
        for what, found, published in compare_sizes(known, ours, split):
            assert found == published, what
    every = [sorted(item for items in lists.items.values() for item in items)
             for lists in (ours, theirs)]
    assert every[0] == every[1]
    if len(known.rule_sources) and name != 'oxford_flowers':
        assert ours.items['test'] == theirs.items['test']  # listed there


@pytest.mark.slow
@pytest.mark.parametrize('name', list(CLASSES))
def test_every_archive(name, tmp_path, logged):
    splits = small_splits(name)
    raw_tree(tmp_path, name, splits)
    before = sorted(tmp_path.rglob('*'))
    found, sizes = [], []
    for split in SPLITS:
        dataset = CoOpDataset(name, split, str(tmp_path))
        assert dataset.CLASSES == tuple(CLASSES[name].values())
        # for result.json; a tree as small has other sizes too
        assert dataset.metainfo['lists'] == 'made by rule'
        found += images(dataset)
        sizes.append(len(dataset) // len(CLASSES[name]))
    # of two lists 20 % of 7 become val, of one list 20 % of 10
    assert sizes in ([5, 2, 3], [6, 1, 3])
    assert len(set(found)) == len(found) == len(paths_of(splits))
    assert sorted(found) == sorted((path, label) for items in splits.values()
                                   for path, label, _ in items)
    assert sorted(tmp_path.rglob('*')) == before  # nothing is written
    split_file = CATALOG[name].split_file
    assert sum(split_file.origin in m and 'not the published split' in m
               and 'by the published rule' in m for m in logged) == 3


def test_it_is_the_same_everywhere(tmp_path):
    """Whatever the order in which files were made, or the global seed."""
    import random
    draws = []
    for seed in (0, 1):
        random.seed(seed)
        splits = small_splits('eurosat')
        for items in splits.values():
            random.shuffle(items)
        raw_tree(tmp_path / str(seed), 'eurosat', splits)
        state = random.getstate()
        draws.append(split_by_rule(CATALOG['eurosat'],
                                   str(tmp_path / str(seed) / 'eurosat')))
        assert random.getstate() == state
    assert draws[0] == draws[1]
    names = [path for path, _ in draws[0].items['train']]
    assert names != sorted(names)  # it is a draw


def test_a_split_file_goes_first(tmp_path, logged):
    splits = small_splits('oxford_pets')
    raw_tree(tmp_path, 'oxford_pets', splits)
    path = tmp_path / 'oxford_pets/split_zhou_OxfordPets.json'
    path.write_text(json.dumps(splits))
    dataset = CoOpDataset('oxford_pets', 'val', str(tmp_path))
    assert len(dataset) == 6
    assert not any('by the published rule' in message for message in logged)


def test_too_few_images(tmp_path):
    splits = small_splits('dtd')
    splits['train'] = [item for item in splits['train'] if item[1] == 0]
    splits['val'] = [item for item in splits['val'] if item[1] == 0]
    raw_tree(tmp_path, 'dtd', splits)
    with pytest.raises(ValueError, match="dtd: the class 'zigzagged' has 3"):
        CoOpDataset('dtd', 'train', str(tmp_path))
    splits = small_splits('ucf101')
    splits['train'] = [item for item in splits['train'] if item[1] == 0]
    raw_tree(tmp_path, 'ucf101', splits)
    with pytest.raises(ValueError, match="'Yo_Yo' has 2 images for training"):
        CoOpDataset('ucf101', 'test', str(tmp_path))


@pytest.mark.parametrize('name,path,content,message', [
    ('oxford_pets', 'annotations/test.txt', 'Abyssinian_1 1',
     "test.txt, line 1: 'Abyssinian_1 1'"),
    ('oxford_pets', 'annotations/trainval.txt', 'Abyssinian 1 1 1',
     "trainval.txt, line 1"),
    ('sun397', 'Training_01.txt', '/b/bar/sun_1.jpg',
     "Training_01.txt, line 1: '/b/bar/sun_1.jpg'"),
    ('ucf101', 'ucfTrainTestlist/classInd.txt', 'YoYo', 'classInd.txt, line'),
    ('ucf101', 'ucfTrainTestlist/testlist01.txt', 'Rowing/v_Rowing_g1.avi',
     'testlist01.txt, line 1'),
    ('stanford_cars', 'devkit/cars_meta.mat', 'x', 'cars_meta.mat is not'),
    ('stanford_cars', 'cars_test_annos_withlabels.mat', '',
     'withlabels.mat is not'),
    ('oxford_flowers', 'imagelabels.mat', 'MATLAB', 'imagelabels.mat is not'),
    ('oxford_flowers', 'cat_to_name.json', '{"1": "rose"}',
     'cat_to_name.json should hold'),
    ('oxford_flowers', 'cat_to_name.json', '[', 'cat_to_name.json should')
])
def test_broken_files(tmp_path, name, path, content, message):
    raw_tree(tmp_path, name, small_splits(name))
    (tmp_path / CATALOG[name].folder / path).write_text(content)
    with pytest.raises(ValueError, match=message):
        CoOpDataset(name, 'test', str(tmp_path))


def test_flower_names(coop_splits):
    """The file of names that is published beside the split file."""
    names = json.loads((DATA / 'coop_splits/cat_to_name.json').read_text())
    for items in real_splits(coop_splits, 'oxford_flowers').values():
        assert all(names[str(label + 1)] == name for _, label, name in items)
