"""What methods, data sets and backbones are called, and their order."""
from pathlib import Path
from typing import Iterable, List, Optional

from ..catalog import CATALOG, VARIANTS
from ..protocol.methods import BACKBONES, COOP_NAME, WORDS

OWN = 'zeroshot-own'  # each data set's hand-written template
PROBE = 'linear-probe'
ENSEMBLES = 'zeroshot-ensemble'  # methods that begin so
SOURCE = 'imagenet'
TARGETS = VARIANTS
SHOTS = (1, 2, 4, 8, 16)  # of the paper
ADAPTATIONS = {
    'finetune': 'fine-tuned image tower',
    'text-transform': 'transformed text features',
    'text-bias': 'bias on text features',
}
METHODS = {  # in the order of rows and legends; CoOp's follow
    OWN: 'zero-shot',
    'zeroshot-name': 'zero-shot, name alone',
    'zeroshot-generic': 'zero-shot, "a photo of a"',
    'zeroshot-ensemble7': 'zero-shot, 7 templates',
    'zeroshot-ensemble80': 'zero-shot, 80 templates',
    'zeroshot-ensemble7+own': 'zero-shot, 7 templates + own',
    PROBE: 'linear probe',
    'linear-head': 'linear head',
    **ADAPTATIONS,
}
POSITIONS = ('end', 'middle', 'front')


def plain(method: str) -> str:
    """The method without what :func:`separate` said in brackets."""
    return method.split(' (')[0]


def context_length(method: str) -> Optional[int]:
    """M of a method of CoOp, None for others."""
    match = COOP_NAME.fullmatch(plain(method))
    return int(match[1]) if match else None


def method_title(method: str) -> str:
    """``coop-m16-end (50 epochs)`` as a person reads it."""
    name = plain(method)
    title, match = METHODS.get(name, name), COOP_NAME.fullmatch(name)
    if match:
        length, position, csc, words = match.groups()
        title = f'CoOp M={length}, {position}' + (csc and ', CSC' or '') + (
            words and f', "{WORDS}"' or '')
    return title + method[len(name):]


def published_title(method: str) -> str:
    return f'{method_title(method)} (published)'


def dataset_title(dataset: str) -> str:
    """The catalogue's title; one's own data set is shown as it is."""
    return CATALOG[dataset].title if dataset in CATALOG else dataset


def backbone_title(backbone: str) -> str:
    """``ViT-B/16`` for ViT-B-16; of a file its name."""
    return Path(backbone).stem.replace('-B-', '-B/').replace('-L-', '-L/')


def known_backbone(backbone: str) -> str:
    """The name of ``BACKBONES`` for a file or a QuickGELU twin of it."""
    return Path(backbone).stem.removesuffix('-quickgelu')


def sort_methods(methods: Iterable[str]) -> List[str]:
    """Zero-shot, others of the paper, CoOp with M=16 first, one's own."""
    return sorted(set(methods), key=_method_rank)


def sort_datasets(datasets: Iterable[str]) -> List[str]:
    """In the order of the catalogue, one's own last."""
    return _sort(datasets, CATALOG)


def sort_backbones(backbones: Iterable[str]) -> List[str]:
    return _sort(backbones, BACKBONES)


def _method_rank(method: str) -> tuple:
    name = plain(method)
    match = COOP_NAME.fullmatch(name)
    if match:
        length, position, csc, words = match.groups()
        return (1, length != '16', -int(length), bool(csc), bool(words),
                POSITIONS.index(position), method)
    known = list(METHODS)
    return (0, known.index(name), method) if name in METHODS else (2, method)


def _sort(names: Iterable[str], known: Iterable[str]) -> List[str]:
    rank = {name: i for i, name in enumerate(known)}
    return sorted(set(names), key=lambda n: (rank.get(n, len(rank)), n))
