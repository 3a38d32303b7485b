"""Arguments in a config that no class takes, or of a wrong kind."""
import difflib
import inspect
import types
import typing
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import torch
from mmengine import registry as host
from mmengine.registry import DefaultScope, Registry
from mmpretrain.registry import BATCH_AUGMENTS

from .. import registry as own

# what may be built below a top-level name of a config
REGISTRIES: Dict[str, Tuple[Registry, ...]] = {
    'model': (own.MODELS, BATCH_AUGMENTS),
    'tta_model': (own.MODELS, ),
    'custom_hooks': (own.HOOKS, ),
    'default_hooks': (own.HOOKS, ),
    'optim_wrapper': (own.OPTIM_WRAPPERS, host.OPTIMIZERS),
    'param_scheduler': (own.PARAM_SCHEDULERS, ),
    **{f'{split}_cfg': (own.LOOPS, own.DATASETS, own.TRANSFORMS)
       for split in ('train', 'val', 'test')},
    **{f'{split}_evaluator': (own.METRICS, ) for split in ('val', 'test')},
    **{f'{split}_dataloader':
       (own.DATASETS, own.TRANSFORMS, host.DATA_SAMPLERS)
       for split in ('train', 'val', 'test')},
}
# taken out by the host before a class is built
OF_HOST = {'type', '_scope_', 'priority', 'convert_to_iter_based',
           'constructor', 'paramwise_cfg', 'optimizer', 'by_epoch'}


def check_arguments(cfg: dict) -> None:
    """Check the arguments of what a config builds, before it is built.

    Args:
        cfg: A resolved config.

    Raises:
        ValueError: A class does not take an argument, or takes a number and
            the config has a word. The message gives the place and the nearest
            name.
    """
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for name, registries in REGISTRIES.items():
            for place, part in _parts(cfg.get(name), name):
                takes = _find(part, place, registries)
                if takes is not None:
                    _check(part, place, takes)


def _parts(value: Any, place: str) -> Iterator[Tuple[str, dict]]:
    """Places and dicts in a nested config."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    elif isinstance(value, dict):
        yield place, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _parts(child, f'{place}.{key}')


def _find(part: dict, place: str, registries: Tuple[Registry, ...]
          ) -> Optional[Any]:
    """The class or function that takes the arguments."""
    kind = part.get('type')
    if kind is None and place.endswith('.clip'):
        from ..clip import load_clip  # imports open_clip
        return load_clip
    if not isinstance(kind, str):
        return kind
    for registry in registries:
        found = registry.get(kind)
        if found is not None:
            return found
    # of parts inside of parts: collate functions, initialisation
    others = [value for value in vars(host).values()
              if isinstance(value, Registry)]
    if any(registry.get(f'{scope}{kind}') for registry in others
           for scope in ('', 'mmpretrain.')):
        return None
    names = [f'mmcoop.{name}' for registry in registries
             for name in registry.module_dict if registry.scope == 'mmcoop']
    if not kind.startswith('mmcoop.'):
        names += _names_of_host(registries)
    raise ValueError(f'{place}.type={kind!r} is not known'
                     + _nearest(kind, names))


def _names_of_host(registries: Tuple[Registry, ...]) -> List[str]:
    """What mmpretrain and mmengine have in the place of registries."""
    roots = [registry.root for registry in registries]
    return [name for root in roots
            for registry in (root, *root.children.values())
            if registry.scope != 'mmcoop'
            for name in registry.module_dict]


def _check(part: dict, place: str, takes: Any) -> None:
    accepted, is_open = _accepted(takes)
    for key, value in part.items():
        if key in OF_HOST:
            continue
        if key not in accepted:
            # one letter off from a name is no argument for somebody else
            if is_open and not difflib.get_close_matches(key, accepted, 1,
                                                         0.9):
                continue
            what = takes.__name__
            raise ValueError(f'{key} in {place}: {what} takes no such '
                             f'argument{_nearest(key, list(accepted))}')
        if isinstance(value, str) and accepted[key]:
            raise ValueError(f'{place}.{key}={value!r}: a number is needed.')


def _nearest(name: str, names: List[str]) -> str:
    near = difflib.get_close_matches(name, names, 1, 0.6) or [
        other for other in names
        if other.replace('_', '') == name.replace('_', '')]
    if near:
        return f'; did you mean {near[0]}?'
    return f'. Known: {", ".join(sorted(names)[:20])}.' if names else '.'


def _accepted(takes: Any) -> Tuple[Dict[str, bool], bool]:
    """Names of arguments, and whether each is a number.

    Returns:
        The names that are known, and whether others may be taken too.
    """
    functions = [takes]
    if inspect.isclass(takes):
        functions = [vars(kind)['__init__'] for kind in takes.__mro__
                     if '__init__' in vars(kind)
                     and kind not in (object, torch.nn.Module)]
    accepted: Dict[str, bool] = {}
    is_open = False
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return accepted, True
        hints = _hints(function)
        for parameter in parameters:
            if parameter.kind in (parameter.KEYWORD_ONLY,
                                  parameter.POSITIONAL_OR_KEYWORD):
                accepted.setdefault(parameter.name, _is_number(
                    hints.get(parameter.name), parameter.default))
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            break
        # only of our own classes it is known that they go to the parent
        is_open = is_open or not function.__module__.startswith('mmcoop.')
    accepted.pop('self', None)
    return accepted, is_open


def _hints(function: Any) -> dict:
    try:
        return typing.get_type_hints(function)
    except Exception:  # names that exist for type checkers alone
        return {}


def _is_number(hint: Any, default: Any) -> bool:
    if hint is None:
        return isinstance(default, (int, float)) \
            and not isinstance(default, bool)
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (
        Union, types.UnionType) else (hint, )
    return any(kind in (int, float) for kind in kinds) and not any(
        kind is str or kind is Any for kind in kinds)
