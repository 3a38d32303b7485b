"""Variables of a config, and the places that take them.

A place that takes a variable says so: ``shots='${shots}'``. :func:`resolve`
puts the values in once everything has been said (base configs, child configs,
command line); what is written into a place instead of its placeholder is kept.
``'${a.b}'`` takes what stands elsewhere in the config. Beside the variables
that a config sets there are derived ones (:data:`DERIVED`).
"""
import copy
import difflib
import re
from typing import TYPE_CHECKING, Any, Iterable, Optional

from ..catalog import PublishedSet, find
from .derived import DERIVED, OTHER_DATA
from .files import RUNNER_KEYS, check_names, find_unread
from .selection import check_selection

if TYPE_CHECKING:
    from mmengine.config import Config

PLACEHOLDER = re.compile(r'\$\{([^{}]*)\}')
# mmengine adds it to what `_base_ = 'mmcoop::...'` brings; the types of these
# configs are mmpretrain's, and ours have a prefix
OUR_SCOPE = ('_scope_', 'mmcoop')
# and the least that each may be
WHOLE_NUMBERS = dict(shots=1, max_epochs=1, steps_per_shot=1, cached_views=1,
                     num_workers=0, seed=0, image_size=1)
# the same of plain places
PLACES = {f'{split}_dataloader.{name}': least
          for split in ('train', 'val', 'test')
          for name, least in (('batch_size', 1), ('num_workers', 0))}
PLACES.update({'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1,
               'optim_wrapper.accumulative_counts': 1})


def resolve(cfg: 'Config', options: Iterable[str] = ()) -> 'Config':
    """Put every variable into the places that take it.

    Args:
        cfg: A merged config. It is left as it is.
        options: Names that the command line set, so that those which nothing
            reads are refused.

    Returns:
        A plain config: only what runners and tools read, without placeholders
        and variables. mmengine's own ``Runner.from_cfg`` takes it too. A plain
        config is returned as an equal one.

    Raises:
        ValueError: An unknown placeholder, one that contains itself, a
            variable of a wrong type, a name on the command line or in a child
            config that nothing reads, or a selection on test images.
    """
    for name, least in WHOLE_NUMBERS.items():
        _check_number(name, cfg.get(name), least)
    resolver = Resolver(cfg)
    plain = {key: resolver.fill(value, key) for key, value in cfg.items()
             if key in RUNNER_KEYS}
    if cfg.get('recipe_epochs') and cfg.get('train_dataloader'):
        # results tell it
        plain['recipe_epochs'] = DERIVED['recipe_epochs'](resolver)
    known = {*resolver.read, *RUNNER_KEYS}
    check_names(options, known, 'the command line')
    for path, name in find_unread(cfg.filename, cfg.keys(), known):
        if cfg.get(name) is not None:
            check_names([name], known, path)
    _drop_empty_schedules(plain)
    result = copy.copy(cfg)
    # Config guards its attributes
    result.__dict__['_cfg_dict'] = type(cfg._cfg_dict)(plain)
    for place, least in PLACES.items():
        top, name = place.split('.')
        _check_number(place, (plain.get(top) or {}).get(name), least)
    check_selection(result)
    return result


def _check_number(place: str, value: Any, least: int) -> None:
    most = 2**32 - 1  # of numpy's seeds
    if value is not None and (
            type(value) is not int or not least <= value <= most):
        raise ValueError(
            f'{place}={value}: a whole number of at least {least} is needed'
            + ('; shots=None takes all images.' if place == 'shots' else '.'))


class Resolver:
    """Fills placeholders, and remembers which variables were read."""

    def __init__(self, cfg: 'Config') -> None:
        self.cfg = cfg
        self.read = set()
        self._open = []  # names being resolved, to find circles

    def fill(self, part: Any, where: str) -> Any:
        """A copy of a part of the config without placeholders.

        Args:
            part: A value, dict, list or tuple.
            where: Its place, for messages: ``train_dataloader.dataset``.
        """
        if isinstance(part, dict):
            return {key: self.fill(value, f'{where}.{key}')
                    for key, value in part.items()
                    if (key, value) != OUR_SCOPE}
        if isinstance(part, (list, tuple)):
            return type(part)(self.fill(value, f'{where}.{i}')
                              for i, value in enumerate(part))
        if not isinstance(part, str) or '${' not in part:
            return copy.deepcopy(part)
        whole = PLACEHOLDER.fullmatch(part)
        if whole:
            return self.value(whole[1], where)
        return PLACEHOLDER.sub(
            lambda match: str(self.value(match[1], where)), part)

    def value(self, name: str, where: str) -> Any:
        """The value of a variable, or of another place in the config."""
        if name in self._open:
            raise ValueError(
                f'{where}: ${{{name}}} contains itself '
                f'({" -> ".join([*self._open, name])}).')
        self.read.add(name.split('.')[0])
        self._open.append(name)
        try:
            if name in DERIVED:
                return DERIVED[name](self)
            return self.fill(self._look_up(name, where), name)
        finally:
            self._open.pop()

    def _look_up(self, name: str, where: str) -> Any:
        part = self.cfg
        for key in name.split('.'):
            if isinstance(part, (list, tuple)) and key.isdigit() \
                    and int(key) < len(part):
                part = part[int(key)]
            elif hasattr(part, 'keys') and key in part.keys():
                part = part[key]
            else:
                known = [*self.cfg.keys(), *DERIVED]
                like = difflib.get_close_matches(name, known, 1)
                raise ValueError(
                    f'{where}: there is no variable ${{{name}}}'
                    + (f'; did you mean ${{{like[0]}}}?' if like else '.'))
        return part

    def given(self, name: str) -> Any:
        """What a config sets a variable to; None if it does not."""
        self.read.add(name)
        value = self.cfg.get(name)
        return None if value is None else self.fill(value, name)

    def published(self) -> Optional[PublishedSet]:
        """The entry of the catalogue for ``dataset``; None for own data."""
        name = self.given('dataset')
        if name is None or name in OTHER_DATA:
            return None
        try:
            return find(name)
        except ValueError as error:
            raise ValueError(f'{error} Besides: folder (your own photos in '
                             'data_root) and demo.') from None


def _drop_empty_schedules(cfg: dict) -> None:
    """In a run of one epoch the later phases of a schedule never begin."""
    schedules = cfg.get('param_scheduler')
    if isinstance(schedules, list):
        cfg['param_scheduler'] = [
            part for part in schedules
            if part.get('begin', 0) < part.get('end', float('inf'))]
