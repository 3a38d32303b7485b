"""The 15 published data sets, in generated data roots and the real lists."""
import json
import os
import shutil

import pytest
from mmpretrain.registry import DATASETS

from mmcoop.catalog import CATALOG, SPLITS, find
from mmcoop.datasets import CoOpDataset, FewShotDataset
from mmcoop.datasets.coop_dataset import _warn_once, compare_sizes
from mmcoop.datasets.split_file import read_split_file

from ..conftest import DATA
from .trees import CLASSES, class_folders, folder_tree, plant, tree

FOLDERS = ['imagenet', 'imagenetv2', 'imagenet_sketch', 'imagenet_a',
           'imagenet_r']
REAL = ['caltech101', 'oxford_pets', 'stanford_cars', 'oxford_flowers', 'dtd',
        'eurosat', 'ucf101']


@pytest.fixture(autouse=True)
def nothing_said_yet():
    _warn_once.cache_clear()


def images(dataset):
    """(path relative to the image folder, label) of every image."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [(os.path.relpath(info['img_path'], dataset.img_prefix),
             info['gt_label']) for info in infos]


class TestCatalogue:

    def test_names(self):
        assert list(CATALOG) == [
            'imagenet', 'caltech101', 'oxford_pets', 'stanford_cars',
            'oxford_flowers', 'food101', 'fgvc_aircraft', 'sun397', 'dtd',
            'eurosat', 'ucf101', 'imagenetv2', 'imagenet_sketch',
            'imagenet_a', 'imagenet_r'
        ]
        assert find('eurosat').title == 'EuroSAT'
        with pytest.raises(ValueError, match="'cifar10'.*eurosat, ucf101"):
            find('cifar10')

    def test_entries(self):
        for name, known in CATALOG.items():
            assert known.name == name and '{}' in known.template
            assert known.sizes and set(known.sizes) <= set(SPLITS)
            sources = [*known.sources, *known.rule_sources]
            sources += [known.split_file] if name in CLASSES else []
            assert all(source.origin.startswith('http') for source in sources)
        assert sum(k.split_file is not None for k in CATALOG.values()) == 9

    @pytest.mark.parametrize('name', REAL)
    def test_real_split_files(self, name, coop_splits):
        known = CATALOG[name]
        lists = read_split_file(str(coop_splits / known.split_file.path))
        for split in SPLITS:
            for what, found, published in compare_sizes(known, lists, split):
                assert found == published, what


@pytest.mark.slow
@pytest.mark.parametrize('name', list(CATALOG))
def test_every_layout(name, tmp_path, logged):
    tree(tmp_path, name)
    before = sorted(tmp_path.rglob('*'))
    expected = {
        split: 1000 if name in FOLDERS else 3 if name == 'fgvc_aircraft'
        else {'train': 5, 'val': 2, 'test': 3}[split] * len(CLASSES[name])
        for split in (SPLITS if name == 'imagenet' else CATALOG[name].sizes)
    }
    if name in ('imagenet_a', 'imagenet_r'):
        expected['test'] = 200
    for split, size in expected.items():
        dataset = DATASETS.build(dict(
            type='mmcoop.CoOpDataset', name=name, split=split,
            data_root=str(tmp_path), pipeline=[dict(type='mmcoop.LoadImage')]))
        assert len(dataset) == size and dataset.test_mode == (split == 'test')
        labels = {label for _, label in images(dataset)}
        assert labels == set(range(len(dataset.CLASSES)))
        assert dataset[size - 1]['img'].shape == (12, 16, 3)
        assert CATALOG[name].title in repr(dataset)
        sizes = CATALOG[name].sizes
        published = sizes.get(split, sizes.get('train'))
        assert sum(f'{size} {split} images (published: {published})' in m
                   and 'not comparable' in m for m in logged) == 1
    assert sorted(tmp_path.rglob('*')) == before  # nothing is written


@pytest.mark.parametrize('name', list(CLASSES))
def test_class_names_of_split_files(name, tmp_path):
    tree(tmp_path, name)
    dataset = CoOpDataset(name, 'val', str(tmp_path))
    assert dataset.CLASSES == tuple(CLASSES[name].values())
    assert [label for _, label in images(dataset)] == sorted(
        2 * list(range(len(CLASSES[name]))))


class TestAircraft:

    def test_names(self, tmp_path):
        tree(tmp_path, 'fgvc_aircraft')
        dataset = CoOpDataset('fgvc_aircraft', 'val', str(tmp_path))
        assert dataset.CLASSES == ('Boeing 707-320', 'F-16A/B', 'A300B4')
        assert images(dataset) == [('0000100.jpg', 0), ('0000101.jpg', 1),
                                   ('0000102.jpg', 2)]

    @pytest.mark.parametrize('line', ['0000100 Boeing', '0000100'])
    def test_a_bad_line(self, tmp_path, line):
        tree(tmp_path, 'fgvc_aircraft')
        path = tmp_path / 'fgvc_aircraft/images_variant_val.txt'
        path.write_text(f'0000101 A300B4\n\n{line}\n')
        with pytest.raises(ValueError, match=f'val.txt, line 3: {line!r}'):
            CoOpDataset('fgvc_aircraft', 'val', str(tmp_path))


class TestImageNet:

    def test_names_and_order(self, tmp_path):
        folder_tree(tmp_path, 'imagenet')
        train = tmp_path / 'imagenet/images/train'
        plant(train / 'n01440764', ['a_9.JPEG', '.hidden.JPEG', 'notes.txt'])
        dataset = CoOpDataset('imagenet', 'train', str(tmp_path))
        names = dataset.CLASSES
        assert len(names) == 1000
        assert (names[0], names[1], names[-1]) == ('tench', 'goldfish',
                                                   'toilet paper')
        assert images(dataset)[:3] == [
            ('train/n01440764/a_9.JPEG', 0),
            ('train/n01440764/n01440764_1.JPEG', 0),
            ('train/n01443537/n01443537_1.JPEG', 1)
        ]
        val = CoOpDataset('imagenet', 'val', str(tmp_path))
        assert images(val) == images(dataset)
        test = CoOpDataset('imagenet', 'test', str(tmp_path))
        assert images(test)[-1] == ('val/n15075141/n15075141_1.JPEG', 999)

    def test_ids(self):
        from timm.data import ImageNetInfo
        folders = class_folders('imagenet')
        assert folders == ImageNetInfo().label_names() == sorted(folders)

    def test_some_folders(self, tmp_path):
        folder_tree(tmp_path, 'imagenet')
        train = tmp_path / 'imagenet/images/train'
        os.rename(train / 'n01440764', tmp_path / 'elsewhere')
        (train / 'n15075141/n15075141_1.JPEG').unlink()
        with pytest.raises(FileNotFoundError, match='1 of 1000 class folders '
                           f'are missing in {train}: n01440764. .*http'):
            CoOpDataset('imagenet', 'train', str(tmp_path))
        os.symlink(tmp_path / 'elsewhere', train / 'n01440764')
        with pytest.raises(FileNotFoundError,
                           match='1 of .* without images .*: n15075141'):
            CoOpDataset('imagenet', 'train', str(tmp_path))
        assert len(CoOpDataset('imagenet', 'test', str(tmp_path))) == 1000

    def test_val_images_beside_folders(self, tmp_path):
        plant(tmp_path / 'imagenet/images/val',
              ['ILSVRC2012_val_00000001.JPEG'])
        with pytest.raises(FileNotFoundError, match='1000 of 1000 class '
                           'folders.* images in no class folder'):
            CoOpDataset('imagenet', 'test', str(tmp_path))

    def test_v2_folders_are_numbers(self, tmp_path):
        folder_tree(tmp_path, 'imagenetv2')
        dataset = CoOpDataset('imagenetv2', 'test', str(tmp_path))
        assert images(dataset)[10] == ('10/10_1.JPEG', 10)
        assert images(dataset)[999] == ('999/999_1.JPEG', 999)
        assert dataset.CLASSES[999] == 'toilet paper'

    @pytest.mark.parametrize('name,second,third', [
        ('imagenet_a', 'goldfinch', 'junco'),
        ('imagenet_r', 'great white shark', 'hammerhead shark')])
    def test_200_ways(self, tmp_path, name, second, third):
        folder_tree(tmp_path, name)
        dataset = CoOpDataset(name, 'test', str(tmp_path))
        assert len(dataset.CLASSES) == 200
        assert dataset.CLASSES[1:3] == (second, third)
        folders = [path.split('/')[0] for path, _ in images(dataset)]
        assert folders == sorted(folders)
        assert [label for _, label in images(dataset)] == list(range(200))

    @pytest.mark.parametrize('name', FOLDERS[1:])
    @pytest.mark.parametrize('split', ['train', 'val'])
    def test_variants_are_for_testing(self, name, split):
        with pytest.raises(ValueError, match=f"test split only.*'{split}'"):
            CoOpDataset(name, split)


class TestMissing:

    @pytest.mark.parametrize('name', list(CATALOG))
    def test_all_is_listed(self, name, tmp_path):
        known = CATALOG[name]
        with pytest.raises(FileNotFoundError) as caught:
            CoOpDataset(name, 'test', str(tmp_path / 'nowhere'))
        message = str(caught.value)
        expected = [s for s in known.sources if 'test' in s.splits]
        expected += [known.split_file] if known.split_file else []
        for source in expected:
            path = tmp_path / 'nowhere' / known.folder / source.path
            assert str(path) in message and source.origin in message

    def test_a_relative_root(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(FileNotFoundError,
                           match=f"{tmp_path}/data/dtd/images\n(.|\n)*'data'"):
            CoOpDataset('dtd', 'train')

    def test_split_file_without_rule(self, tmp_path):
        tree(tmp_path, 'sun397')
        (tmp_path / 'sun397/split_zhou_SUN397.json').unlink()
        with pytest.raises(FileNotFoundError) as caught:
            CoOpDataset('sun397', 'test', str(tmp_path))
        message = str(caught.value)
        assert 'split_zhou_SUN397.json' in message
        assert 'Training_01.txt' in message and 'SUN397.tar' not in message

    def test_a_listed_image(self, tmp_path):
        tree(tmp_path, 'eurosat')
        for split in ('train', 'test'):
            image = images(CoOpDataset('eurosat', split, str(tmp_path)))[0][0]
            (tmp_path / 'eurosat/2750' / image).unlink()
        with pytest.raises(FileNotFoundError, match='1 of 9 images.*image_'):
            CoOpDataset('eurosat', 'test', str(tmp_path))
        assert len(CoOpDataset('eurosat', 'test', str(tmp_path),
                               unreadable='skip')) == 8
        train = CoOpDataset('eurosat', 'train', str(tmp_path), pipeline=[])
        with pytest.raises(FileNotFoundError, match='1 of 15 images'):
            FewShotDataset(train, shots=None)


class TestWrong:

    def test_name_and_split(self, tmp_path):
        with pytest.raises(ValueError, match="'EuroSAT'.*eurosat"):
            CoOpDataset('EuroSAT', 'test', str(tmp_path))
        with pytest.raises(ValueError, match="split='dev'"):
            CoOpDataset('imagenet_a', 'dev', str(tmp_path))

    @pytest.mark.parametrize('content', ['{', '{"train": []}', '\xff'])
    def test_split_file(self, tmp_path, content):
        tree(tmp_path, 'dtd')
        path = tmp_path / 'dtd/split_zhou_DescribableTextures.json'
        path.write_bytes(content.encode('latin1'))
        with pytest.raises(ValueError, match='Textures.json is no split'):
            CoOpDataset('dtd', 'test', str(tmp_path))


def real_lists(root, name, coop_splits):
    """A data root with a published split file, and none of the images."""
    known = CATALOG[name]
    (root / known.folder / known.images).mkdir(parents=True)
    split_file = root / known.folder / known.split_file.path
    shutil.copy(coop_splits / known.split_file.path, split_file)
    return split_file


def test_cut_lists_are_said(logged, tmp_path, coop_splits):
    dataset = CoOpDataset('eurosat', 'test', str(DATA))
    assert len(dataset) == 50 and dataset.CLASSES[9] == 'Sea or Lake'
    assert dataset.metainfo['lists'] == 'other sizes'
    CoOpDataset('eurosat', 'test', str(DATA))  # said once
    assert sum('50 test images (published: 8100)' in m for m in logged) == 1
    logged.clear()
    real_lists(tmp_path, 'caltech101', coop_splits)
    train = CoOpDataset('caltech101', 'train', str(tmp_path))
    assert len(train) == 4128 and train.metainfo['lists'] == 'published'
    assert not logged


@pytest.mark.parametrize('name', ['eurosat', 'caltech101'])
def test_as_a_split_file_data_set(name, tmp_path, coop_splits):
    """The same images, labels and names as from the split file itself."""
    split_file = real_lists(tmp_path, name, coop_splits)
    for split in ('train', 'val'):
        ours = CoOpDataset(name, split, str(tmp_path))
        theirs = json.loads(split_file.read_text())[split]
        assert images(ours) == [(path, label) for path, label, _ in theirs]
        assert all(ours.CLASSES[label] == name for _, label, name in theirs)
