"""Config files read as text: which names they set, and which are read.

A misspelt name (``shot=4``) would otherwise be kept in the config and do
nothing. This module imports nothing heavy, so that tools can refuse such a
name at once.
"""
import ast
import difflib
from pathlib import Path
from typing import (Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple,
                    Union)

from ..methods import configs_folder

# what mmengine's Runner, mmpretrain's and our own tools read of a config
RUNNER_KEYS = frozenset((
    'model', 'work_dir', 'train_dataloader', 'val_dataloader',
    'test_dataloader', 'train_cfg', 'val_cfg', 'test_cfg', 'auto_scale_lr',
    'optim_wrapper', 'param_scheduler', 'val_evaluator', 'test_evaluator',
    'default_hooks', 'custom_hooks', 'data_preprocessor', 'load_from',
    'resume', 'launcher', 'env_cfg', 'log_processor', 'log_level',
    'visualizer', 'default_scope', 'randomness', 'experiment_name',
    'runner_type', 'model_wrapper_cfg', 'custom_imports', 'compile',
    'sync_bn', 'find_unused_parameters', 'activation_checkpointing',
    'efficient_conv_bn_eval', 'tta_model', 'tta_pipeline',
    'method', 'recipe_epochs', 'views', 'overrides'))


class ConfigFile(NamedTuple):
    """A config file of a chain of inheritance.

    Attributes:
        path: The file.
        sets: Names that it sets.
        reads: Names that its own code reads.
        reads_of_base: Names of its bases that it reads (``{{_base_.x}}``).
        inherits: Whether it has a base.
        complete: Whether all its bases are in the chain: those of another
            package (``mmpretrain::...``) are not.
    """
    path: Path
    sets: Set[str]
    reads: Set[str]
    reads_of_base: Set[str]
    inherits: bool
    complete: bool


def read_chain(path: Optional[str],
               above: Tuple[Path, ...] = ()) -> List[ConfigFile]:
    """A config file and its bases, those of other packages left out.

    Args:
        path: The file.
        above: The files that inherit it.

    Returns:
        Nothing for what is not written in Python, or in the lazy style.

    Raises:
        ValueError: A file inherits itself.
    """
    if path is None or Path(path).suffix != '.py' or \
            not Path(path).is_file():
        return []
    path = Path(path)
    if path.resolve() in above:
        raise ValueError(f'the config {path} is a base of itself: mend its '
                         '_base_.')
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'))
    except (SyntaxError, ValueError):  # it is told when the config is read
        return []
    sets, reads, of_base, bases = set(), set(), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            reads.add(node.id)
        elif isinstance(node, ast.Attribute) and \
                isinstance(node.value, ast.Name) and \
                node.value.id == '_base_':
            of_base.add(node.attr)
        elif isinstance(node, ast.With):  # read_base()
            return []
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        names = [target.id for target in node.targets
                 if isinstance(target, ast.Name)]
        sets.update(names)
        if '_base_' in names:
            try:
                value = ast.literal_eval(node.value)
            except ValueError:  # it is computed
                return []
            bases = [value] if isinstance(value, str) else list(value)
    chains = [read_chain(str(path.parent / _in_package(base)),
                         (*above, path.resolve())) for base in bases]
    return [ConfigFile(path, sets, reads, of_base, bool(bases), all(chains)),
            *(file for chain in chains for file in chain)]


def _in_package(base: str) -> Union[str, Path]:
    """The file of ``mmcoop::coop/coop_demo.py``."""
    package, inside, name = base.partition('::')
    if inside and package == 'mmcoop':
        return configs_folder() / name
    return base


def find_unread(path: Optional[str], names: Iterable[str],
                known: Iterable[str]) -> Iterator[Tuple[object, str]]:
    """Names that are set and that nothing reads.

    Those that no file sets were set by a program. Of the files, those with
    bases are checked: files without bases declare variables, and not every
    config takes them all.

    Args:
        path: The config file; None if the config comes from none.
        names: All names at the top level of the merged config.
        known: Names that placeholders, runners or tools read.

    Yields:
        Where the name is set, and the name.
    """
    chain = read_chain(path)
    read = {*known}.union(*(file.reads_of_base for file in chain))
    in_files = set().union(*(file.sets for file in chain))
    if all(file.complete for file in chain) and (chain or path is None):
        for name in sorted(set(names) - in_files - read):
            if not name.startswith('_'):
                yield 'the config', name
    for file in chain:
        if file.inherits:
            for name in sorted(file.sets - file.reads - read):
                if not name.startswith('_'):
                    yield file.path, name


def check_names(names: Iterable[str], known: Iterable[str],
                where: object) -> None:
    """Refuse names that nothing reads.

    Args:
        names: Such as ``shots`` or ``model.clip.model_name``.
        known: The top-level names that are read.
        where: Where the names stand, for the message.

    Raises:
        ValueError: A name is not known; the nearest one that is, is named.
    """
    known = sorted(known)
    for name in names:
        top = name.split('.')[0]
        if top in known:
            continue
        like = difflib.get_close_matches(top, known, 1)
        raise ValueError(
            f'{where} sets {name!r}, and nothing in this config reads it'
            + (f': did you mean {like[0]!r}?' if like else
               '. A place takes a variable by a placeholder, ${' + top
               + '}; configs/README.md lists the variables.'))


def check_options(path: str, options: Iterable[str]) -> None:
    """Refuse misspelt names on the command line, without a heavy import.

    Names that no file of the chain sets are refused here; whether a name is
    read is decided by :func:`mmcoop.resolve`.

    Raises:
        ValueError: See :func:`check_names`.
    """
    chain = read_chain(path)
    if chain and all(file.complete for file in chain):
        known = set(RUNNER_KEYS).union(*(file.sets for file in chain),
                                       ('image_size', 'interpolation',
                                        'num_classes', 'resize_mode'))
        check_names(options, known, 'the command line')
