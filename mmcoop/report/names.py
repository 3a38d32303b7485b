"""Titles and order of methods, data sets and backbones."""
import math
from pathlib import Path
from typing import Iterable, List, Sequence

from ..catalog import CATALOG, VARIANTS
from ..methods import find_method, plain_name
from ..protocol.plan import BACKBONES

SOURCE, TARGETS = 'imagenet', VARIANTS  # of domain generalisation
SHOTS = (1, 2, 4, 8, 16)  # of the paper
ALL_IMAGES = math.inf  # the number of shots of a run on all training images


def method_title(name: str) -> str:
    """The title of the metafile, or else the name; settings are kept."""
    method = find_method(name)
    return method.title + name[len(plain_name(name)):] if method else name


def dataset_title(dataset: str) -> str:
    """The title of the catalogue; the name of a user's own data set."""
    return CATALOG[dataset].title if dataset in CATALOG else dataset


def backbone_title(backbone: str) -> str:
    """``ViT-B/16`` for ViT-B-16; the name of a weights or config file."""
    return Path(backbone).stem.replace('-B-', '-B/').replace('-L-', '-L/')


def published_backbone(backbone: str) -> str:
    """The published backbone that a file or a QuickGELU variant holds."""
    return Path(backbone).stem.removesuffix('-quickgelu')


def shots_label(shots: float) -> str:
    """The number of shots as a column header."""
    return 'all' if shots == ALL_IMAGES else str(int(shots))


def shots_title(shots: float) -> str:
    """The number of shots in a sentence: ``16 shots``."""
    return '1 shot' if shots == 1 else f'{shots_label(shots)} shots'


def sort_datasets(names: Iterable[str]) -> List[str]:
    """Sort data sets as the catalogue does; a user's own come last."""
    return _sort(names, tuple(CATALOG))


def sort_backbones(names: Iterable[str]) -> List[str]:
    """Sort backbones as the paper does; others come last."""
    return _sort(names, BACKBONES)


def _sort(names: Iterable[str], known: Sequence[str]) -> List[str]:
    names = set(names)
    return [name for name in known if name in names] + sorted(
        names.difference(known))
