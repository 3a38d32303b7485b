"""Splits of raw archives by the published rules, where no split file is.

The sizes and class names are the published ones, the images in the lists are
not: the published draw depended on the order of a directory listing. So the
lists here are drawn in a fixed way of their own, the same on every machine.
"""
import json
import os
import random
import re
from typing import Any, Callable, Dict, List, Tuple

import mat4py

from ..catalog import PublishedSet
from .split_file import Lists, image_names, make_lists, read_lines

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


def split_by_rule(known: PublishedSet, folder: str) -> Lists:
    """Split a data set that has no split file.

    Args:
        known: A data set with a split file in the catalogue.
        folder: Its folder; ``needs`` and ``rule_needs`` are there.

    Raises:
        ValueError: A file is not as it should be, or a class has too few
            images to split.
    """
    rng = random.Random(0)  # not the run's seed: one test set
    images = os.path.join(folder, known.images)
    if known.name in _WHOLE:
        items = _WHOLE[known.name](folder, images)
        splits = _in_three(items, rng, folder)
    else:
        trainval, test = _IN_TWO[known.name](folder)
        splits = dict(_without_val(trainval, rng, folder), test=test)
    return make_lists(splits, folder, by_rule=True)


def rule_of(known: PublishedSet) -> str:
    """The rule in words."""
    if known.name in _WHOLE:
        return '50 % of each class for training, 20 % for val, 30 % for test'
    return '20 % of each class of the training list become val'


def _in_three(items: Triples, rng: random.Random,
              place: str) -> Dict[str, Triples]:
    splits = dict(train=[], val=[], test=[])
    for group in _by_class(items):
        rng.shuffle(group)
        n_train, n_val = round(0.5 * len(group)), round(0.2 * len(group))
        if not (n_train and n_val and n_train + n_val < len(group)):
            raise ValueError(
                f'{place}: the class {group[0][2]!r} has {len(group)} images: '
                'too few to be split into train, val and test.')
        splits['train'] += group[:n_train]
        splits['val'] += group[n_train:n_train + n_val]
        splits['test'] += group[n_train + n_val:]
    return splits


def _without_val(items: Triples, rng: random.Random,
                 place: str) -> Dict[str, Triples]:
    splits = dict(train=[], val=[])
    for group in _by_class(items):
        rng.shuffle(group)
        n_val = round(0.2 * len(group))
        if not n_val:
            raise ValueError(
                f'{place}: the class {group[0][2]!r} has {len(group)} images '
                'for training: too few to be split into train and val.')
        splits['val'] += group[:n_val]
        splits['train'] += group[n_val:]
    return splits


def _by_class(items: Triples) -> List[Triples]:
    """The items of each class, in the order of its first appearance."""
    groups = {}
    for item in items:
        groups.setdefault(item[1], []).append(item)
    return list(groups.values())


def _class_folders(images: str, rename: Dict[str, str],
                   dropped: Tuple[str, ...] = ()) -> Triples:
    with os.scandir(images) as entries:
        # sorted before they are renamed: "Faces" comes before "accordion"
        names = sorted(entry.name for entry in entries if entry.is_dir()
                       and not entry.name.startswith('.')
                       and entry.name not in dropped)
    return [(f'{name}/{file}', label, rename.get(name, name))
            for label, name in enumerate(names)
            for file in image_names(os.path.join(images, name))]


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
        read_lines(os.path.join(folder, 'annotations', name), parse)
        for name in ('trainval.txt', 'test.txt'))


def _sun(folder: str) -> Tuple[Triples, Triples]:
    classes = read_lines(
        os.path.join(folder, 'ClassName.txt'), lambda line: line.lstrip('/'))
    labels = {name: label for label, name in enumerate(classes)}

    def parse(line: str) -> Tuple[str, int, str]:
        path = line.lstrip('/')
        place = os.path.dirname(path)
        _, *words = place.split('/')  # "a/apartment_building/outdoor"
        return path, labels[place], ' '.join(reversed(words))

    return tuple(
        read_lines(os.path.join(folder, name), parse)
        for name in ('Training_01.txt', 'Testing_01.txt'))


def _ucf(folder: str) -> Tuple[Triples, Triples]:
    lists = os.path.join(folder, 'ucfTrainTestlist')

    def parse_class(line: str) -> Tuple[str, int]:
        number, action = line.split(' ')
        return action, int(number) - 1

    labels = dict(
        read_lines(os.path.join(lists, 'classInd.txt'), parse_class))

    def parse(line: str) -> Tuple[str, int, str]:
        # "YoYo/v_YoYo_g08_c01.avi", in the training list with " 101" after
        action, video = line.split(' ')[0].split('/')
        name = '_'.join(re.findall('[A-Z][^A-Z]*', action))
        frame = f'{os.path.splitext(video)[0]}.jpg'
        return f'{name}/{frame}', labels[action], name

    return tuple(
        read_lines(os.path.join(lists, name), parse)
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


def _read_mat(path: str, take: Callable[[Dict[str, Any]], list]) -> list:
    """What ``take`` finds in a .mat file (version 5).

    Raises:
        ValueError: It is no such file, or holds something else.
    """
    try:
        return take(mat4py.loadmat(path))
    except Exception as error:  # a broken file breaks the parser anywhere
        raise ValueError(f'{path} is not the .mat file that was expected '
                         f'({error!r}).') from error


_WHOLE = {  # one list, to be split in three
    'caltech101': lambda folder, images: _class_folders(
        images, CALTECH_NAMES, CALTECH_DROPPED),
    'oxford_flowers': _flowers,
    'food101': lambda folder, images: _class_folders(images, {}),
    'dtd': lambda folder, images: _class_folders(images, {}),
    'eurosat': lambda folder, images: _class_folders(images, EUROSAT_NAMES),
}
_IN_TWO = {  # a list for training and one for testing
    'oxford_pets': _pets,
    'stanford_cars': _cars,
    'sun397': _sun,
    'ucf101': _ucf,
}
