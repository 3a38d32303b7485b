"""The published data sets: names, sizes, templates, places and sources.

Places are those of the published layout, the file DATASETS.md of
https://github.com/KaiyangZhou/CoOp, from which the sources are as well.
"""
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

LAYOUT_URL = 'https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md'
SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Source:
    """A file or folder of a data set, and where it comes from.

    Args:
        path: Relative to the data set's folder; a file has a suffix.
        origin: A URL, with a word on how to unpack it where that is needed.
        splits: The splits that need it.
    """
    path: str
    origin: str
    splits: Tuple[str, ...] = SPLITS


@dataclass(frozen=True)
class PublishedSet:
    """A data set as CoOp's experiments used it.

    Args:
        name: Its key in :data:`CATALOG`.
        title: Its name in the paper.
        classes: Number of classes, K.
        sizes: Number of images of each split; a split that does not exist is
            absent.
        template: The hand-crafted prompt.
        folder: Its folder, relative to the data root.
        images: Its image folder, relative to ``folder``.
        needs: What it cannot do without, the split file apart.
        split_file: The published split file, of which there are nine.
        rule_needs: What a split by the published rules is made from if the
            split file is missing, ``needs`` apart.
        max_epochs: Epochs whatever the shots; None: by the shots.
    """
    name: str
    title: str
    classes: int
    sizes: Dict[str, int]
    template: str
    folder: str
    images: str
    needs: Tuple[Source, ...]
    split_file: Optional[Source] = None
    rule_needs: Tuple[Source, ...] = ()
    max_epochs: Optional[int] = None

    @property
    def by_class_folders(self) -> bool:
        """ImageNet and its variants: no lists, a folder for each class."""
        return self.split_file is None and self.name != 'fgvc_aircraft'


def _sizes(train: int, val: int, test: int) -> Dict[str, int]:
    return dict(train=train, val=val, test=test)


def _split_file(name: str, drive_id: str) -> Source:
    return Source(f'split_zhou_{name}.json',
                  f'https://drive.google.com/file/d/{drive_id}/view')


_VGG = 'https://www.robots.ox.ac.uk/~vgg/data'
_CARS = 'http://ai.stanford.edu/~jkrause/car196'
_SUN = 'http://vision.princeton.edu/projects/2010/SUN'
_UCF_LISTS = 'https://www.crcv.ucf.edu/data/UCF101/' \
    'UCF101TrainTestSplits-RecognitionTask.zip'
_AIRCRAFT = f'{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz ' \
    '(its folder data/, renamed to fgvc_aircraft/)'
_IMAGENET = 'https://image-net.org/index.php (ILSVRC 2012, one folder a ' \
    'class, like n01440764; links do)'

_ALL = (
    PublishedSet(
        'imagenet', 'ImageNet', 1000, dict(train=1281167, test=50000),
        'a photo of a {}.', 'imagenet', 'images',
        needs=(Source('images/train', _IMAGENET, ('train', 'val')),
               Source('images/val', _IMAGENET, ('test', ))),
        max_epochs=50),
    PublishedSet(
        'caltech101', 'Caltech101', 100, _sizes(4128, 1649, 2465),
        'a photo of a {}.', 'caltech-101', '101_ObjectCategories',
        needs=(Source('101_ObjectCategories',
                      'https://data.caltech.edu/records/mzrjq-6wc02 '
                      '(101_ObjectCategories.tar.gz in caltech-101.zip)'), ),
        split_file=_split_file('Caltech101',
                               '1hyarUivQE36mY6jSomru6Fjd-JzwcCzN')),
    PublishedSet(
        'oxford_pets', 'OxfordPets', 37, _sizes(2944, 736, 3669),
        'a photo of a {}, a type of pet.', 'oxford_pets', 'images',
        needs=(Source('images', f'{_VGG}/pets/data/images.tar.gz'), ),
        split_file=_split_file('OxfordPets',
                               '1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs'),
        rule_needs=tuple(
            Source(f'annotations/{name}.txt',
                   f'{_VGG}/pets/data/annotations.tar.gz')
            for name in ('trainval', 'test'))),
    PublishedSet(
        'stanford_cars', 'StanfordCars', 196, _sizes(6509, 1635, 8041),
        'a photo of a {}.', 'stanford_cars', '',
        needs=(Source('cars_train', f'{_CARS}/cars_train.tgz',
                      ('train', 'val')),
               Source('cars_test', f'{_CARS}/cars_test.tgz', ('test', ))),
        split_file=_split_file('StanfordCars',
                               '1ObCFbaAgVu0I-k_Au-gIUcefirdAuizT'),
        rule_needs=(
            Source('devkit/cars_train_annos.mat',
                   'https://ai.stanford.edu/~jkrause/cars/car_devkit.tgz'),
            Source('devkit/cars_meta.mat',
                   'https://ai.stanford.edu/~jkrause/cars/car_devkit.tgz'),
            Source('cars_test_annos_withlabels.mat',
                   f'{_CARS}/cars_test_annos_withlabels.mat'))),
    PublishedSet(
        'oxford_flowers', 'Flowers102', 102, _sizes(4093, 1633, 2463),
        'a photo of a {}, a type of flower.', 'oxford_flowers', 'jpg',
        needs=(Source('jpg', f'{_VGG}/flowers/102/102flowers.tgz'), ),
        split_file=_split_file('OxfordFlowers',
                               '1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT'),
        rule_needs=(Source('imagelabels.mat',
                           f'{_VGG}/flowers/102/imagelabels.mat'),
                    Source('cat_to_name.json',
                           'https://drive.google.com/file/d/'
                           '1AkcxCXeK_RCGCEC_GvmWxjcjaNhu-at0/view'))),
    PublishedSet(
        'food101', 'Food101', 101, _sizes(50500, 20200, 30300),
        'a photo of {}, a type of food.', 'food-101', 'images',
        needs=(Source('images', 'https://data.vision.ee.ethz.ch/cvl/'
                      'datasets_extra/food-101/ (food-101.tar.gz)'), ),
        split_file=_split_file('Food101',
                               '1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl')),
    PublishedSet(
        'fgvc_aircraft', 'FGVCAircraft', 100, _sizes(3334, 3333, 3333),
        'a photo of a {}, a type of aircraft.', 'fgvc_aircraft', 'images',
        needs=(Source('images', _AIRCRAFT), Source('variants.txt', _AIRCRAFT),
               *(Source(f'images_variant_{split}.txt', _AIRCRAFT, (split, ))
                 for split in SPLITS))),
    PublishedSet(
        'sun397', 'SUN397', 397, _sizes(15880, 3970, 19850),
        'a photo of a {}.', 'sun397', 'SUN397',
        needs=(Source('SUN397', f'{_SUN}/SUN397.tar.gz'), ),
        split_file=_split_file('SUN397',
                               '1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq'),
        rule_needs=tuple(
            Source(f'{name}.txt', f'{_SUN}/download/Partitions.zip')
            for name in ('ClassName', 'Training_01', 'Testing_01'))),
    PublishedSet(
        'dtd', 'DTD', 47, _sizes(2820, 1128, 1692),
        '{} texture.', 'dtd', 'images',
        needs=(Source('images', f'{_VGG}/dtd/download/dtd-r1.0.1.tar.gz'), ),
        split_file=_split_file('DescribableTextures',
                               '1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x')),
    PublishedSet(
        'eurosat', 'EuroSAT', 10, _sizes(13500, 5400, 8100),
        'a centered satellite photo of {}.', 'eurosat', '2750',
        needs=(Source('2750', 'https://zenodo.org/records/7711810 '
                      '(EuroSAT_RGB.zip, its folder renamed to 2750)'), ),
        split_file=_split_file('EuroSAT',
                               '1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o')),
    PublishedSet(
        'ucf101', 'UCF101', 101, _sizes(7639, 1898, 3783),
        'a photo of a person doing {}.', 'ucf101', 'UCF-101-midframes',
        needs=(Source('UCF-101-midframes',
                      'https://drive.google.com/file/d/'
                      '10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O/view'), ),
        split_file=_split_file('UCF101',
                               '1I0S0q91hJfsV9Gf4xDIjgDq4AqBNJb1y'),
        rule_needs=tuple(
            Source(f'ucfTrainTestlist/{name}.txt', _UCF_LISTS)
            for name in ('classInd', 'trainlist01', 'testlist01'))),
    PublishedSet(
        'imagenetv2', 'ImageNetV2', 1000, dict(test=10000),
        'a photo of a {}.', 'imagenetv2',
        'imagenetv2-matched-frequency-format-val',
        needs=(Source('imagenetv2-matched-frequency-format-val',
                      'https://s3-us-west-2.amazonaws.com/imagenetv2public/'
                      'imagenetv2-matched-frequency.tar.gz'), )),
    PublishedSet(
        'imagenet_sketch', 'ImageNet-Sketch', 1000, dict(test=50889),
        'a photo of a {}.', 'imagenet-sketch', 'images',
        needs=(Source('images',
                      'https://github.com/HaohanWang/ImageNet-Sketch'), )),
    PublishedSet(
        'imagenet_a', 'ImageNet-A', 200, dict(test=7500),
        'a photo of a {}.', 'imagenet-adversarial', 'imagenet-a',
        needs=(Source('imagenet-a', 'https://github.com/hendrycks/'
                      'natural-adv-examples'), )),
    PublishedSet(
        'imagenet_r', 'ImageNet-R', 200, dict(test=30000),
        'a photo of a {}.', 'imagenet-rendition', 'imagenet-r',
        needs=(Source('imagenet-r',
                      'https://github.com/hendrycks/imagenet-r'), )),
)
CATALOG: Dict[str, PublishedSet] = {known.name: known for known in _ALL}


# of ImageNet; there to be tested on only
VARIANTS = tuple(name for name, known in CATALOG.items()
                 if set(known.sizes) == {'test'})


def find(name: str) -> PublishedSet:
    """The published data set of that name.

    Raises:
        ValueError: There is none; the message names those there are.
    """
    if name not in CATALOG:
        raise ValueError(f'there is no published data set {name!r}: choose '
                         f'from {", ".join(CATALOG)}.')
    return CATALOG[name]
