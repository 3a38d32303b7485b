"""The methods that configs/<method>/metafile.yml describe.

A metafile is an OpenMMLab model index: a collection (paper, code) and its
models (name, config, ``--cfg-options``, results). Everything that plans runs
or shows results takes names, titles, order and published numbers from here, so
that a new method is a Python file and a config folder. configs/README.md
explains the fields. This module imports nothing heavy.
"""
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple, Union

import yaml

METAFILE = 'metafile.yml'
TOP1 = 'Top 1 Accuracy'
AVERAGE = 'average'  # in the place of a data set: over the paper's eleven


def configs_folder() -> Path:
    """The folder of the configs: in the wheel, or of the checkout by a link.
    """
    return (Path(__file__).parent / '.mim/configs').resolve()


@dataclass(frozen=True)
class Published:
    """A published result of a method.

    Attributes:
        dataset: A data set of the catalogue, or ``AVERAGE``.
        backbone: open_clip's name of the CLIP.
        shots: Training images a class; 0 for zero-shot.
        metrics: Name of the metric to its value in percent.
        source: Paper and table.
        tables: The kinds of table that show it; none: all kinds.
        label: What to call it if not by the method's title.
    """
    dataset: str
    backbone: str
    shots: int
    metrics: Dict[str, float]
    source: str
    tables: Tuple[str, ...] = ()
    label: Optional[str] = None


@dataclass(frozen=True)
class Method:
    """An entry of a metafile: one way to classify, and how it is run.

    Attributes:
        name: What results call it.
        title: What rows and legends call it.
        collection: The collection that it belongs to.
        order: Methods are listed by it.
        config: The config file.
        options: The ``--cfg-options`` that make it of the config.
        learns: Whether anything is trained or fitted.
        epochs: Whether it is trained in epochs, not fitted at once.
        cached_views: Whether it can be trained on cached views.
        new_classes: Which classes it can be tested on once it is trained:
            any (True), a part of those it was trained on (``subset``), or
            the same ones only (False).
        tables: The kinds of table that compare it by default.
        only_in: The kinds of table that may show it; none: all kinds.
        stands_for: The method that it replaces in these kinds of table, where
            the published recipe is another.
        variant: Not shown beside methods of its collection that are none.
        baseline: The method that gains are measured against.
        comparison: Its collection is what prompt learning is compared with.
        published: Published results.
        notes: Of the collection: what to say under tables that show it.
    """
    name: str
    title: str
    collection: str
    order: Tuple[float, int]
    config: Path
    options: Dict[str, Any] = field(default_factory=dict)
    learns: bool = True
    epochs: bool = True
    cached_views: bool = True
    new_classes: Union[bool, str] = True
    tables: Tuple[str, ...] = ()
    only_in: Tuple[str, ...] = ()
    stands_for: Optional[str] = None
    variant: bool = False
    baseline: bool = False
    comparison: bool = False
    published: Tuple[Published, ...] = ()
    notes: Tuple[dict, ...] = ()

    def __hash__(self) -> int:
        return hash(self.name)

    def find_published(self, table: str, dataset: str, backbone: str,
                       shots: float) -> Optional[Published]:
        """The published result under these conditions, if there is one.

        A result that names this kind of table goes before one that names
        none.
        """
        found = [row for row in self.published
                 if (row.dataset, row.backbone, row.shots)
                 == (dataset, backbone, shots)
                 and (not row.tables or table in row.tables)]
        return max(found, key=lambda row: bool(row.tables), default=None)


_registered: Dict[str, Method] = {}
_read = set()  # metafiles


def register_configs(folder: Union[str, Path]) -> List[Method]:
    """Take the methods of every ``metafile.yml`` in a folder of configs.

    Args:
        folder: Holds ``<method>/metafile.yml``, or a ``metafile.yml``.

    Returns:
        The methods.

    Raises:
        FileNotFoundError: There is no metafile.
        ValueError: A metafile is not as it should be, or names a method that
            is registered already.
    """
    folder = Path(folder).resolve()
    paths = sorted(folder.glob(f'*/{METAFILE}'))
    if (folder / METAFILE).is_file():
        paths.insert(0, folder / METAFILE)
    if not paths:
        raise FileNotFoundError(
            f'there is no {METAFILE} in {folder} or its sub-folders.')
    methods = []
    for path in paths:
        if path in _read:
            continue
        found = read_metafile(path)
        for method in found:
            if method.name in _registered:
                raise ValueError(
                    f'{path}: the method {method.name!r} is registered '
                    f'already ({_registered[method.name].config}).')
        _registered.update((method.name, method) for method in found)
        _read.add(path)
        methods += found
    return methods


def read_metafile(path: Path) -> List[Method]:
    """The methods of one metafile.

    Raises:
        ValueError: A field is missing or a config does not exist.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        collections = {part['Name']: part for part in content['Collections']}
        return [_make_method(path, rank, entry,
                             collections[entry['In Collection']])
                for rank, entry in enumerate(content['Models'])]
    except (yaml.YAMLError, LookupError, TypeError, ValueError,
            AttributeError, RecursionError) as error:
        raise ValueError(
            f'{path} is no metafile of methods ({error!r}): see '
            'configs/README.md.') from error


def _make_method(path: Path, rank: int, entry: dict,
                 collection: dict) -> Method:
    candidates = [base / entry['Config']
                  for base in (path.parent, path.parents[2])]
    config = next((p for p in candidates if p.is_file()), None)
    if config is None:
        raise LookupError(f'the config {entry["Config"]} of {entry["Name"]} '
                          'does not exist')
    return Method(
        name=str(entry['Name']),
        title=str(entry.get('Title', entry['Name'])),
        collection=collection['Name'],
        order=(float(collection.get('Order', 100)), rank),
        config=config,
        options=dict(entry.get('Options') or {}),
        learns=entry.get('Learns', True),
        epochs=entry.get('Epochs', True),
        cached_views=entry.get('Cached Views', True),
        new_classes=entry.get('New Classes', True),
        tables=tuple(entry.get('Tables') or ()),
        only_in=tuple(entry.get('Only In') or ()),
        stands_for=entry.get('Stands For'),
        variant=entry.get('Variant', False),
        baseline=entry.get('Baseline', False),
        comparison=collection.get('Comparison', False),
        published=tuple(_make_published(row)
                        for row in entry.get('Results') or ()
                        if row.get('Published')),
        notes=tuple(collection.get('Notes') or ()))


def _make_published(row: dict) -> Published:
    return Published(row['Dataset'], row['Backbone'], row['Shots'],
                     dict(row['Metrics']), row['Source'],
                     tuple(row.get('Tables') or ()), row.get('Label'))


def all_methods() -> List[Method]:
    """All registered methods, in their order; ours at least."""
    if configs_folder().is_dir():
        register_configs(configs_folder())
    return sorted(_registered.values(), key=lambda method: method.order)


def find_method(name: str) -> Optional[Method]:
    """The method of a name; None if no metafile has it.

    What follows " (" in a name are settings: ``NAME (50 epochs)`` is ``NAME``.
    """
    all_methods()
    return _registered.get(plain_name(name))


def get_method(name: str) -> Method:
    """The method of a name.

    Raises:
        ValueError: No metafile has it; the message names those most like it.
    """
    method = _registered.get(name) or find_method(name)
    if method is None or method.name != name:
        like = difflib.get_close_matches(name, _registered, cutoff=0.5)
        known = [method.name for method in all_methods()]
        raise ValueError(
            f'unknown method {name!r}: '
            + (f'did you mean {", ".join(like)}?' if like else
               f'there are {", ".join(known)}.'))
    return method


def method_for(name: str, table: str) -> Method:
    """The method of a name, or the entry that stands for it in this table.

    Raises:
        ValueError: As :func:`get_method`.
    """
    method = get_method(name)
    return next((other for other in all_methods() if table in other.only_in
                 and other.stands_for == name), method)


def methods_in(table: str) -> List[Method]:
    """The methods that a kind of table compares by default."""
    return [method for method in all_methods() if table in method.tables]


def expand_groups(words: Iterable[str], table: str) -> List[str]:
    """Names of methods for names and for words that stand for several.

    Args:
        words: Names, ``heads`` (fitted at once), ``prompts`` (prompt learning
            in epochs) or ``all`` (every method that is no variant); a group
            brings the zero-shot baseline.
        table: The kind of table, which may not show every method.
    """
    whole = [method for method in all_methods()
             if not (method.variant or method.stands_for)
             and (not method.only_in or table in method.only_in)]
    groups = {
        'heads': [m for m in whole if m.learns and not m.epochs],
        'prompts': [m for m in whole
                    if m.learns and m.epochs and not m.comparison],
        'all': whole}
    names = []
    for word in words:
        chosen = groups.get(word)
        names += [word] if chosen is None else [
            method.name for method in whole
            if method in chosen or method.baseline]
    return list(dict.fromkeys(names))


def plain_name(name: str) -> str:
    """A method's name without the settings that follow in brackets."""
    return name.split(' (')[0]


def sort_methods(names: Iterable[str]) -> List[str]:
    """Names in the order of the metafiles; unknown ones last, by name."""
    def rank(name: str) -> tuple:
        method = find_method(name)
        return (method is None, method.order if method else (), name)
    return sorted(set(names), key=rank)
