"""Find the metafile entry that describes a run."""
from functools import lru_cache
from pathlib import Path
from typing import Any, List

import torch.nn as nn
from mmengine.config import Config

from ..config import find_model
from ..methods import (METAFILE, Method, all_methods, find_method,
                       register_configs)

ALWAYS = ('model.type', 'model.head.type', 'model.head.prompt.type')
# of a head, what makes no other method of it
NO_DIFFERENCE = ('type', 'clip', 'classes', 'text_memory', 'max_cache',
                 'topk', 'cal_acc', 'init_cfg')
PLAIN = (bool, int, float, str, list, tuple, dict, type(None))
MISSING = object()


def name_method(cfg: Config, model: nn.Module) -> str:
    """Return the name of the metafile entry that describes a run.

    Of the entries that share the config file of ``cfg.method``, it is the one
    whose options match the run. If none matches, the differences follow the
    name in brackets, as in ``NAME (n_ctx=7)``. Without ``cfg.method`` it is
    the class name of the prompt or the head.

    Args:
        cfg: The config of the run.
        model: The classifier that was built from it.
    """
    name = cfg.get('method')
    if name is None:
        return type(getattr(model.head, 'prompt', model.head)).__name__
    if find_method(name) is None and cfg.filename:
        folder = Path(cfg.filename).parent  # of a method outside our configs
        if (folder / METAFILE).is_file():
            register_configs(folder)
    entry = find_method(name)
    if entry is None or entry.name != name:
        return name
    siblings = [m for m in all_methods() if m.config == entry.config]
    keys = [*ALWAYS, *dict.fromkeys(k for m in siblings for k in m.options)]
    if cfg.get('views') is not None:  # a training with random views
        keys.append('views')
    for part in (_read_config(str(entry.config)), cfg):
        keys += [key for key in _model_keys(part) if key not in keys]
    # a resolved config holds no other variables, a test no optimiser
    keys = [key for key in keys if cfg.get(key.split('.')[0]) is not None]
    actual = {key: _actual(cfg, model, key) for key in keys}
    for method in siblings:
        if all(_fits(method, key, actual[key]) for key in keys):
            return method.name
    odd = [f'{key.split(".")[-1]}={actual[key]}' for key in keys
           if not _fits(entry, key, actual[key])]
    return f'{name} ({", ".join(odd)})'


def name_adapted(name: str, tta: dict) -> str:
    """``NAME (tta=METHOD)``, with the settings that are not the defaults.

    Args:
        name: What :func:`name_method` gives; other settings in it are kept.
        tta: As of :func:`mmcoop.engine.adaptation_hook.describe_tta`.
    """
    parts = [f'tta={tta["method"]}', *(
        f'{key}={value}' for key, value in tta.get('changed', {}).items())]
    if name.endswith(')'):
        return f'{name[:-1]}, {", ".join(parts)})'
    return f'{name} ({", ".join(parts)})'


def _model_keys(cfg: Config) -> List[str]:
    """Places in the model that make the method what it is."""
    model, keys = find_model(cfg), []
    head = model.get('head', {})

    def walk(part: Any, key: str) -> None:
        if isinstance(part, (dict, list)):
            names = part if isinstance(part, dict) else range(len(part))
            for name in names:
                walk(part[name], f'{key}.{name}')
        else:
            keys.append(key)

    for name, part in head.items():
        if part is not None and name not in NO_DIFFERENCE:
            walk(part, f'model.head.{name}')
    if model.get('tower_adapter') is not None:
        walk(model['tower_adapter'], 'model.tower_adapter')
    return keys


def _fits(method: Method, key: str, actual: Any) -> bool:
    if key in method.options:
        return method.options[key] == actual
    expected = _value(_read_config(str(method.config)), key.split('.'))
    return expected == actual or '${' in str(expected)


def _actual(cfg: Config, model: nn.Module, key: str) -> Any:
    """Value in the built model, where the config may leave it open."""
    first, *rest = key.split('.')
    built: Any = model
    for part in rest:
        built = getattr(built, part, MISSING)
    if first == 'model' and rest[-1] != 'type' and isinstance(built, PLAIN):
        return built
    return _value(dict(model=find_model(cfg)) if first == 'model' else cfg,
                  [first, *rest])


def _value(part: Any, keys: List[str]) -> Any:
    for key in keys:
        if isinstance(part, (list, tuple)):
            part = part[int(key)] if int(key) < len(part) else None
        else:
            part = part.get(key) if hasattr(part, 'get') else None
    return part


@lru_cache(maxsize=None)
def _read_config(path: str) -> Config:
    return Config.fromfile(path)
