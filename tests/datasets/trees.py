"""Small data roots, each in the layout of the real data set."""
import io
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Dict, Iterable

import mat4py
import numpy as np
import timm.data
from PIL import Image

from mmcoop.catalog import CATALOG, SPLITS

IMAGES_A_CLASS = 10  # 5 for training, 2 for val, 3 for test
CLASSES = {  # of each data set with a split: folder or stem, class name
    'caltech101': {'Faces': 'face', 'accordion': 'accordion',
                   'airplanes': 'airplane'},
    'oxford_pets': {'Abyssinian': 'abyssinian', 'great_pyrenees':
                    'great_pyrenees', 'Russian_Blue': 'russian_blue'},
    'stanford_cars': {'Acura RL Sedan': '2012 Acura RL Sedan',
                      'Ram C/V Cargo Van': '2011 Ram C/V Cargo Van'},
    'oxford_flowers': {'1': 'pink primrose', '2': "colt's foot"},
    'food101': {'apple_pie': 'apple_pie', 'waffles': 'waffles'},
    'sun397': {'a/abbey': 'abbey', 'a/apartment_building/outdoor':
               'outdoor apartment_building'},
    'dtd': {'banded': 'banded', 'zigzagged': 'zigzagged'},
    'eurosat': {'AnnualCrop': 'Annual Crop Land', 'Forest': 'Forest',
                'SeaLake': 'Sea or Lake'},
    'ucf101': {'ApplyEyeMakeup': 'Apply_Eye_Makeup', 'YoYo': 'Yo_Yo'},
}


def plant(folder: Path, paths: Iterable[str], content: bytes = None) -> None:
    """Files below a folder: a small picture, unless told otherwise."""
    made = set()
    for path in paths:
        place = os.path.join(folder, path)
        above = os.path.dirname(place)
        if above not in made:
            os.makedirs(above, exist_ok=True)
            made.add(above)
        with open(place, 'wb') as file:
            file.write(picture() if content is None else content)


@lru_cache
def picture() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(file, 'JPEG')
    return file.getvalue()


def small_splits(name: str) -> Dict[str, list]:
    """What a split file holds: 5, 2 and 3 images of two or three classes."""
    splits = {split: [] for split in SPLITS}
    for label, (folder, title) in enumerate(CLASSES[name].items()):
        for i in range(IMAGES_A_CLASS):
            split = 'train' if i < 5 else 'val' if i < 7 else 'test'
            number = IMAGES_A_CLASS * label + i + 1
            path = f'{folder}/image_{i:04d}.jpg'
            if name == 'oxford_pets':
                path = f'{folder}_{i}.jpg'
            elif name == 'oxford_flowers':
                path = f'image_{number:05d}.jpg'
            elif name == 'stanford_cars':
                part = 'test' if split == 'test' else 'train'
                path = f'cars_{part}/{number:05d}.jpg'
            elif name == 'ucf101':
                path = f'{title}/v_{folder}_g08_c{i:02d}.jpg'
            splits[split].append([path, label, title])
    return splits


def split_tree(root: Path, name: str) -> Path:
    """A data set with its split file."""
    known, splits = CATALOG[name], small_splits(name)
    folder = root / known.folder
    plant(folder / known.images, paths_of(splits))
    (folder / known.split_file.path).write_text(json.dumps(splits))
    return root


def paths_of(splits: Dict[str, list]) -> list:
    return [path for items in splits.values() for path, *_ in items]


def raw_tree(root: Path, name: str, splits: Dict[str, list],
             content: bytes = None) -> Path:
    """The raw archive from which a split file was made, without it."""
    known = CATALOG[name]
    folder = root / known.folder
    (folder / known.images).mkdir(parents=True)
    plant(folder / known.images, paths_of(splits), content)
    if name in ANNOTATE:
        ANNOTATE[name](folder, splits)
    return root


def _extras(folder: Path, splits: Dict[str, list]) -> None:
    """What lies in the real archives beside the classes."""
    if folder.name == 'caltech-101':
        plant(folder / '101_ObjectCategories',
              ['BACKGROUND_Google/tmp', 'BACKGROUND_Google/image_0001.jpg',
               'Faces_easy/image_0001.jpg'])
    if folder.name == 'dtd':
        plant(folder / 'images', ['banded/.directory', 'banded/._x.jpg'])


def _pets(folder: Path, splits: Dict[str, list]) -> None:
    write_lines(folder / 'annotations/trainval.txt', [
        f'{path[:-4]} {label + 1} 1 1'
        for path, label, _ in splits['train'] + splits['val']])
    write_lines(folder / 'annotations/test.txt', [
        f'{path[:-4]} {label + 1} 2 3' for path, label, _ in splits['test']])


def _cars(folder: Path, splits: Dict[str, list]) -> None:
    names = {label: name for items in splits.values()
             for _, label, name in items}
    (folder / 'devkit').mkdir()
    mat4py.savemat(str(folder / 'devkit/cars_meta.mat'), dict(class_names=[
        '{1} {0}'.format(*names[label].split(' ', 1))
        for label in sorted(names)]))
    for path, items in (
            ('devkit/cars_train_annos.mat', splits['train'] + splits['val']),
            ('cars_test_annos_withlabels.mat', splits['test'])):
        mat4py.savemat(str(folder / path), dict(annotations={
            'class': [label + 1 for _, label, _ in items],
            'fname': [path.split('/')[1] for path, *_ in items]}))


def _flowers(folder: Path, splits: Dict[str, list]) -> None:
    items = sorted(item for items in splits.values() for item in items)
    mat4py.savemat(str(folder / 'imagelabels.mat'),
                   dict(labels=[label + 1 for _, label, _ in items]))
    (folder / 'cat_to_name.json').write_text(json.dumps(
        {str(label + 1): name for _, label, name in items}))


def _sun(folder: Path, splits: Dict[str, list]) -> None:
    names = dict.fromkeys(os.path.dirname(path) for path in paths_of(splits))
    write_lines(folder / 'ClassName.txt', [f'/{name}' for name in names])
    write_lines(folder / 'Training_01.txt', [
        f'/{path}' for path, *_ in splits['train'] + splits['val']])
    write_lines(folder / 'Testing_01.txt',
                [f'/{path}' for path, *_ in splits['test']])


def _ucf(folder: Path, splits: Dict[str, list]) -> None:
    actions = {label: name.replace('_', '') for items in splits.values()
               for _, label, name in items}
    lists = folder / 'ucfTrainTestlist'
    write_lines(lists / 'classInd.txt', [
        f'{label + 1} {actions[label]}' for label in sorted(actions)])
    for path, items, shown in (
            ('trainlist01.txt', splits['train'] + splits['val'], ' {}'),
            ('testlist01.txt', splits['test'], '')):
        write_lines(lists / path, [
            f'{actions[label]}/{Path(path).stem}.avi'
            + shown.format(label + 1) for path, label, _ in items])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # the real lists of UCF101 have Windows line ends
    path.write_bytes(''.join(f'{line}\r\n' for line in lines).encode())


ANNOTATE = {
    'caltech101': _extras,
    'dtd': _extras,
    'oxford_pets': _pets,
    'stanford_cars': _cars,
    'oxford_flowers': _flowers,
    'sun397': _sun,
    'ucf101': _ucf,
}


def aircraft_tree(root: Path) -> Path:
    """Names with spaces and a slash; in an order that is not sorted."""
    folder = root / 'fgvc_aircraft'
    names = ['Boeing 707-320', 'F-16A/B', 'A300B4']
    write_lines(folder / 'variants.txt', names)
    for start, split in enumerate(SPLITS):
        stems = {f'{100 * start + i:07d}': name
                 for i, name in enumerate(names)}
        write_lines(folder / f'images_variant_{split}.txt',
                    [f'{stem} {name}' for stem, name in stems.items()])
        plant(folder / 'images', [f'{stem}.jpg' for stem in stems])
    return root


def class_folders(name: str) -> list:
    """All class folders of ImageNet or a variant; timm knows the ids."""
    if name == 'imagenetv2':
        return [str(label) for label in range(1000)]
    lists = Path(timm.data.__file__).parent / '_info'
    short = name if name in ('imagenet_a', 'imagenet_r') else 'imagenet'
    return (lists / f'{short}_synsets.txt').read_text().split()


def folder_tree(root: Path, name: str) -> Path:
    """ImageNet or a variant: an image in every class folder."""
    folders = class_folders(name)
    known = CATALOG[name]
    above = ('train/', 'val/') if name == 'imagenet' else ('', )
    place = root / known.folder / known.images
    for part in above:
        plant(place, [f'{part}{folder}/{folder}_1.JPEG'
                      for folder in folders])
    if name in ('imagenet_a', 'imagenet_r'):
        (place / 'README.txt').write_text('about these images')
    return root


def tree(root: Path, name: str) -> Path:
    """Any of the 15."""
    if name == 'fgvc_aircraft':
        return aircraft_tree(root)
    if name in CLASSES:
        return split_tree(root, name)
    return folder_tree(root, name)
