"""Splits of raw archives by the published rules, without a split file.

The sizes and class names are the published ones. The published draw of images
depended on the order of a directory listing; here the draw is another one,
which is the same on every machine.
"""
import json
import os
import random
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

import mat4py

from ..catalog import PublishedSet
from .split_file import ImageLists, build_image_lists, list_images, parse_lines

Triples = List[Tuple[str, int, str]]  # path, label, class name

EUROSAT_NAMES = {
    'AnnualCrop': 'Annual Crop Land',
    'Forest': 'Forest',
    'HerbaceousVegetation': 'Herbaceous Vegetation Land',
    'Highway': 'Highway or Road',
    'Industrial': 'Industrial Buildings',
    'Pasture': 'Pasture Land',
    'PermanentCrop': 'Permanent Crop Land',
    'Residential': 'Residential Buildings',
    'River': 'River',
    'SeaLake': 'Sea or Lake',
}
CALTECH_NAMES = {
    'airplanes': 'airplane',
    'Faces': 'face',
    'Leopards': 'leopard',
    'Motorbikes': 'motorbike',
}
CALTECH_DROPPED = ('BACKGROUND_Google', 'Faces_easy')


def split_by_rule(published: PublishedSet, folder: str) -> ImageLists:
    """Split a data set whose split file is missing.

    Args:
        published: A data set that has a split file in the catalogue.
        folder: The data set's folder with all ``sources`` and
            ``rule_sources``.

    Raises:
        ValueError: If a file has another content than expected, or if a class
            has too few images to split.
    """
    rng = random.Random(0)  # one test set for all runs
    if published.name in _ONE_LIST:
        images = os.path.join(folder, published.images)
        splits = _split_each_class(
            _ONE_LIST[published.name](folder, images),
            dict(train=0.5, val=0.2, test=None), rng, folder)
    else:
        trainval, test = _TWO_LISTS[published.name](folder)
        splits = dict(
            _split_each_class(trainval, dict(val=0.2, train=None), rng,
                              folder), test=test)
    return build_image_lists(splits, folder, by_rule=True)


def describe_rule(published: PublishedSet) -> str:
    """Describe the published rule of a data set, for messages."""
    if published.name in _ONE_LIST:
        return '50 % of each class for training, 20 % for val, 30 % for test'
    return '20 % of each class of the training list become val'


def _split_each_class(items: Triples, parts: Dict[str, Optional[float]],
                      rng: random.Random, folder: str) -> Dict[str, Triples]:
    """Split the items of each class at random.

    Args:
        items: The items; classes come in the order of first appearance.
        parts: The fraction of each split; None takes the remaining items.
        rng: The generator.
        folder: The data set's folder, for error messages.
    """
    groups: Dict[int, Triples] = {}
    for item in items:
        groups.setdefault(item[1], []).append(item)
    splits = {split: [] for split in parts}
    for group in groups.values():
        rng.shuffle(group)
        rest = group
        for split, fraction in parts.items():
            n = len(rest) if fraction is None else round(fraction * len(group))
            if not rest[:n]:
                what, names = ('images', 'train, val and test') \
                    if 'test' in parts else ('images for training',
                                             'train and val')
                raise ValueError(
                    f'{folder}: the class {group[0][2]!r} has {len(group)} '
                    f'{what}: too few to be split into {names}.')
            splits[split] += rest[:n]
            rest = rest[n:]
    return splits


def _class_folders(images: str, rename: Dict[str, str],
                   dropped: Tuple[str, ...] = ()) -> Triples:
    with os.scandir(images) as entries:
        # sorted before they are renamed: "Faces" comes before "accordion"
        names = sorted(entry.name for entry in entries if entry.is_dir()
                       and not entry.name.startswith('.')
                       and entry.name not in dropped)
    return [(f'{name}/{file}', label, rename.get(name, name))
            for label, name in enumerate(names)
            for file in list_images(os.path.join(images, name))]


def _flowers(folder: str, images: str) -> Triples:
    labels = _read_mat(os.path.join(folder, 'imagelabels.mat'),
                       lambda content: [int(i) for i in content['labels']])
    path = os.path.join(folder, 'cat_to_name.json')
    try:
        with open(path, encoding='utf-8') as file:
            names = json.load(file)
        return [(f'image_{number:05d}.jpg', label - 1, names[str(label)])
                for number, label in enumerate(labels, start=1)]
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f'{path} should hold {{"1": class name, ...}} for '
                         f'labels 1 to 102 ({error!r}).') from error


def _pets(folder: str) -> Tuple[Triples, Triples]:

    def parse(line: str) -> Tuple[str, int, str]:
        stem, label, _, _ = line.split(' ')
        breed, _, number = stem.rpartition('_')
        int(number)  # "Abyssinian_100"
        return f'{stem}.jpg', int(label) - 1, breed.lower()

    return tuple(
        parse_lines(os.path.join(folder, 'annotations', name), parse)
        for name in ('trainval.txt', 'test.txt'))


def _sun(folder: str) -> Tuple[Triples, Triples]:
    classes = parse_lines(
        os.path.join(folder, 'ClassName.txt'), lambda line: line.lstrip('/'))
    labels = {name: label for label, name in enumerate(classes)}

    def parse(line: str) -> Tuple[str, int, str]:
        path = line.lstrip('/')
        folder = os.path.dirname(path)
        _, *words = folder.split('/')  # "a/apartment_building/outdoor"
        return path, labels[folder], ' '.join(reversed(words))

    return tuple(
        parse_lines(os.path.join(folder, name), parse)
        for name in ('Training_01.txt', 'Testing_01.txt'))


def _ucf(folder: str) -> Tuple[Triples, Triples]:
    lists = os.path.join(folder, 'ucfTrainTestlist')

    def parse_class(line: str) -> Tuple[str, int]:
        number, action = line.split(' ')
        return action, int(number) - 1

    labels = dict(
        parse_lines(os.path.join(lists, 'classInd.txt'), parse_class))

    def parse(line: str) -> Tuple[str, int, str]:
        # "YoYo/v_YoYo_g08_c01.avi", in the training list with " 101" after
        action, video = line.split(' ')[0].split('/')
        name = '_'.join(re.findall('[A-Z][^A-Z]*', action))
        frame = f'{os.path.splitext(video)[0]}.jpg'
        return f'{name}/{frame}', labels[action], name

    return tuple(
        parse_lines(os.path.join(lists, name), parse)
        for name in ('trainlist01.txt', 'testlist01.txt'))


def _cars(folder: str) -> Tuple[Triples, Triples]:
    names = _read_mat(os.path.join(folder, 'devkit', 'cars_meta.mat'),
                      lambda content: list(map(_year_first,
                                               content['class_names'])))

    def read(images: str, *path: str) -> Triples:
        return _read_mat(
            os.path.join(folder, *path), lambda content: [
                (f'{images}/{file}', int(label) - 1, names[int(label) - 1])
                for file, label in zip(content['annotations']['fname'],
                                       content['annotations']['class'])
            ])

    return (read('cars_train', 'devkit', 'cars_train_annos.mat'),
            read('cars_test', 'cars_test_annos_withlabels.mat'))


def _year_first(name: str) -> str:
    model, _, year = name.rpartition(' ')
    return f'{year} {model}'


def _read_mat(path: str, extract: Callable[[Dict[str, Any]], list]) -> list:
    """Read a .mat file of version 5 and extract a list from its content.

    Raises:
        ValueError: If it is no such file, or if ``extract`` fails.
    """
    try:
        return extract(mat4py.loadmat(path))
    except Exception as error:  # a broken file breaks the parser anywhere
        raise ValueError(f'{path} is not the .mat file that was expected '
                         f'({error!r}).') from error


_ONE_LIST = {  # to be split into train, val and test
    'caltech101': lambda folder, images: _class_folders(
        images, CALTECH_NAMES, CALTECH_DROPPED),
    'oxford_flowers': _flowers,
    'food101': lambda folder, images: _class_folders(images, {}),
    'dtd': lambda folder, images: _class_folders(images, {}),
    'eurosat': lambda folder, images: _class_folders(images, EUROSAT_NAMES),
}
_TWO_LISTS = {  # one for training and validation, one for testing
    'oxford_pets': _pets,
    'stanford_cars': _cars,
    'sun397': _sun,
    'ucf101': _ucf,
}
