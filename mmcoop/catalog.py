"""The published data sets: names, sizes, templates, folders and downloads.

Paths and downloads are those of the file DATASETS.md of
https://github.com/KaiyangZhou/CoOp. This module imports nothing heavy.
"""
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

LAYOUT_URL = 'https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md'
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Source:
    """A file or folder of a data set, and where to download it.

    Args:
        path: The path relative to the data set's folder. A file has a suffix,
            a folder has none.
        origin: The URL, followed by how to unpack it where that is needed.
        splits: The splits that need it.
    """
    path: str
    origin: str
    splits: Tuple[str, ...] = SPLITS


@dataclass(frozen=True)
class PublishedSet:
    """A data set as CoOp's experiments used it.

    Args:
        name: The key in :data:`CATALOG`.
        title: The name in the paper.
        classes: The number of classes, K.
        sizes: The number of images of each split that was published.
        template: The hand-crafted prompt.
        folder: The data set's folder, relative to the data root.
        images: The image folder, relative to ``folder``.
        sources: Required files and folders, without the split file.
        split_file: The published split file, which nine data sets have.
        rule_sources: What is required in addition to ``sources`` to make a
            split by the published rule if the split file is missing.
    """
    name: str
    title: str
    classes: int
    sizes: Dict[str, int]
    template: str
    folder: str
    images: str
    sources: Tuple[Source, ...]
    split_file: Optional[Source] = None
    rule_sources: Tuple[Source, ...] = ()

    @property
    def by_class_folders(self) -> bool:
        """Whether images are listed from one folder per class.

        True for ImageNet and its variants, which have no image lists.
        """
        return self.split_file is None and self.name != 'fgvc_aircraft'


def _sizes(train: int, val: int, test: int) -> Dict[str, int]:
    return dict(train=train, val=val, test=test)


def _drive(file_id: str) -> str:
    return f'https://drive.google.com/file/d/{file_id}/view'


def _split_file(name: str, file_id: str) -> Source:
    return Source(f'split_zhou_{name}.json', _drive(file_id))


def _files(origin: str, *paths: str) -> Tuple[Source, ...]:
    return tuple(Source(path, origin) for path in paths)


def _variant(name: str, title: str, classes: int, test: int, folder: str,
             images: str, origin: str) -> PublishedSet:
    return PublishedSet(name, title, classes, dict(test=test),
                        'a photo of a {}.', folder, images,
                        _files(origin, images))


_VGG = 'https://www.robots.ox.ac.uk/~vgg/data'
_CARS = 'http://ai.stanford.edu/~jkrause/car196'
_SUN = 'http://vision.princeton.edu/projects/2010/SUN'
_AIRCRAFT = f'{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz ' \
    '(its folder data/, renamed to fgvc_aircraft/)'
_IMAGENET = 'https://image-net.org/index.php (ILSVRC 2012, one folder a ' \
    'class, like n01440764; links do)'

_ALL = (
    PublishedSet(
        'imagenet', 'ImageNet', 1000, dict(train=1281167, test=50000),
        'a photo of a {}.', 'imagenet', 'images',
        (Source('images/train', _IMAGENET, ('train', 'val')),
         Source('images/val', _IMAGENET, ('test', )))),
    PublishedSet(
        'caltech101', 'Caltech101', 100, _sizes(4128, 1649, 2465),
        'a photo of a {}.', 'caltech-101', '101_ObjectCategories',
        _files('https://data.caltech.edu/records/mzrjq-6wc02 '
               '(101_ObjectCategories.tar.gz in caltech-101.zip)',
               '101_ObjectCategories'),
        _split_file('Caltech101', '1hyarUivQE36mY6jSomru6Fjd-JzwcCzN')),
    PublishedSet(
        'oxford_pets', 'OxfordPets', 37, _sizes(2944, 736, 3669),
        'a photo of a {}, a type of pet.', 'oxford_pets', 'images',
        _files(f'{_VGG}/pets/data/images.tar.gz', 'images'),
        _split_file('OxfordPets', '1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs'),
        _files(f'{_VGG}/pets/data/annotations.tar.gz',
               'annotations/trainval.txt', 'annotations/test.txt')),
    PublishedSet(
        'stanford_cars', 'StanfordCars', 196, _sizes(6509, 1635, 8041),
        'a photo of a {}.', 'stanford_cars', '',
        (Source('cars_train', f'{_CARS}/cars_train.tgz', ('train', 'val')),
         Source('cars_test', f'{_CARS}/cars_test.tgz', ('test', ))),
        _split_file('StanfordCars', '1ObCFbaAgVu0I-k_Au-gIUcefirdAuizT'),
        _files('https://ai.stanford.edu/~jkrause/cars/car_devkit.tgz',
               'devkit/cars_train_annos.mat', 'devkit/cars_meta.mat')
        + _files(f'{_CARS}/cars_test_annos_withlabels.mat',
                 'cars_test_annos_withlabels.mat')),
    PublishedSet(
        'oxford_flowers', 'Flowers102', 102, _sizes(4093, 1633, 2463),
        'a photo of a {}, a type of flower.', 'oxford_flowers', 'jpg',
        _files(f'{_VGG}/flowers/102/102flowers.tgz', 'jpg'),
        _split_file('OxfordFlowers', '1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT'),
        _files(f'{_VGG}/flowers/102/imagelabels.mat', 'imagelabels.mat')
        + _files(_drive('1AkcxCXeK_RCGCEC_GvmWxjcjaNhu-at0'),
                 'cat_to_name.json')),
    PublishedSet(
        'food101', 'Food101', 101, _sizes(50500, 20200, 30300),
        'a photo of {}, a type of food.', 'food-101', 'images',
        _files('https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/ '
               '(food-101.tar.gz)', 'images'),
        _split_file('Food101', '1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl')),
    PublishedSet(
        'fgvc_aircraft', 'FGVCAircraft', 100, _sizes(3334, 3333, 3333),
        'a photo of a {}, a type of aircraft.', 'fgvc_aircraft', 'images',
        _files(_AIRCRAFT, 'images', 'variants.txt') + tuple(
            Source(f'images_variant_{split}.txt', _AIRCRAFT, (split, ))
            for split in SPLITS)),
    PublishedSet(
        'sun397', 'SUN397', 397, _sizes(15880, 3970, 19850),
        'a photo of a {}.', 'sun397', 'SUN397',
        _files(f'{_SUN}/SUN397.tar.gz', 'SUN397'),
        _split_file('SUN397', '1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq'),
        _files(f'{_SUN}/download/Partitions.zip',
               'ClassName.txt', 'Training_01.txt', 'Testing_01.txt')),
    PublishedSet(
        'dtd', 'DTD', 47, _sizes(2820, 1128, 1692),
        '{} texture.', 'dtd', 'images',
        _files(f'{_VGG}/dtd/download/dtd-r1.0.1.tar.gz', 'images'),
        _split_file('DescribableTextures',
                    '1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x')),
    PublishedSet(
        'eurosat', 'EuroSAT', 10, _sizes(13500, 5400, 8100),
        'a centered satellite photo of {}.', 'eurosat', '2750',
        _files('https://zenodo.org/records/7711810 '
               '(EuroSAT_RGB.zip, its folder renamed to 2750)', '2750'),
        _split_file('EuroSAT', '1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o')),
    PublishedSet(
        'ucf101', 'UCF101', 101, _sizes(7639, 1898, 3783),
        'a photo of a person doing {}.', 'ucf101', 'UCF-101-midframes',
        _files(_drive('10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O'),
               'UCF-101-midframes'),
        _split_file('UCF101', '1I0S0q91hJfsV9Gf4xDIjgDq4AqBNJb1y'),
        _files('https://www.crcv.ucf.edu/data/UCF101/'
               'UCF101TrainTestSplits-RecognitionTask.zip',
               'ucfTrainTestlist/classInd.txt',
               'ucfTrainTestlist/trainlist01.txt',
               'ucfTrainTestlist/testlist01.txt')),
    _variant(
        'imagenetv2', 'ImageNetV2', 1000, 10000, 'imagenetv2',
        'imagenetv2-matched-frequency-format-val',
        'https://s3-us-west-2.amazonaws.com/imagenetv2public/'
        'imagenetv2-matched-frequency.tar.gz'),
    _variant(
        'imagenet_sketch', 'ImageNet-Sketch', 1000, 50889, 'imagenet-sketch',
        'images', 'https://github.com/HaohanWang/ImageNet-Sketch'),
    _variant(
        'imagenet_a', 'ImageNet-A', 200, 7500, 'imagenet-adversarial',
        'imagenet-a', 'https://github.com/hendrycks/natural-adv-examples'),
    _variant(
        'imagenet_r', 'ImageNet-R', 200, 30000, 'imagenet-rendition',
        'imagenet-r', 'https://github.com/hendrycks/imagenet-r'),
)
CATALOG: Dict[str, PublishedSet] = {
    published.name: published for published in _ALL
}
# the variants of ImageNet, which have a test split only
VARIANTS = tuple(name for name, published in CATALOG.items()
                 if set(published.sizes) == {'test'})


def find(name: str) -> PublishedSet:
    """Return the published data set of a name.

    Raises:
        ValueError: If there is none. The message lists the names.
    """
    if name not in CATALOG:
        raise ValueError(f'there is no published data set {name!r}: choose '
                         f'from {", ".join(CATALOG)}.')
    return CATALOG[name]
