"""mmcoop's registries: siblings of mmpretrain's, children of mmengine's.

A prefixed type such as ``mmcoop.CoOp`` then imports itself on first use, under
any default scope and without ``custom_imports``.
"""
import inspect
from typing import Any, Optional, Sequence, Type

from mmengine import registry as mmengine_registries
from mmengine.registry import Registry

__all__ = [
    'DATASETS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS', 'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS', 'RUNNERS', 'TRANSFORMS',
    'check_registered'
]

# parts that build what a name says: code of timm, transformers or pickles
LOADERS = tuple(f'mmpretrain.models.{name}' for name in (
    'backbones.timm_backbone', 'classifiers.hugging_face', 'classifiers.timm',
    'multimodal', 'retrievers', 'selfsup'))


class ScopeRegistry(Registry):
    """Finds mmpretrain's types too, by their plain names.

    mmengine builds what ``_base_ = 'mmcoop::...'`` brings in the scope
    ``mmcoop``, and in these configs plain names are mmpretrain's.
    """

    def get(self, key: str) -> Optional[Type]:
        self.import_from_location()
        found = None
        if '.' not in key and key not in self.module_dict:
            found = super().get(f'mmpretrain.{key}')
        return super().get(key) if found is None else found


def _make_registry(name: str, *locations: str) -> ScopeRegistry:
    """A child of mmengine's registry of that name.

    Args:
        name: Such as ``MODELS``.
        locations: The sub-packages to import when a type is looked up.
    """
    parent = getattr(mmengine_registries, name)
    return ScopeRegistry(
        parent.name,
        parent=parent,
        scope='mmcoop',
        locations=[f'mmcoop.{location}' for location in locations])


MODELS = _make_registry('MODELS', 'models', 'prompts', 'heads', 'losses',
                        'engine', 'tta')
DATASETS = _make_registry('DATASETS', 'datasets', 'demo')
TRANSFORMS = _make_registry('TRANSFORMS', 'datasets', 'demo', 'tta')
METRICS = _make_registry('METRICS', 'evaluation')
HOOKS = _make_registry('HOOKS', 'engine', 'report.page_hook')
LOOPS = _make_registry('LOOPS', 'engine')
OPTIM_WRAPPERS = _make_registry('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _make_registry('OPTIM_WRAPPER_CONSTRUCTORS',
                                            'engine')
PARAM_SCHEDULERS = _make_registry('PARAM_SCHEDULERS', 'engine')
RUNNERS = _make_registry('RUNNERS', 'engine')


def check_registered(part: Any, registries: Sequence[Registry],
                     where: str) -> None:
    """Check a config that comes from a file, before anything is built of it.

    ``Registry.get`` would import whatever module a ``type`` names.

    Args:
        part: A config, or a part of it.
        registries: Where a ``type`` may be registered.
        where: Its place, for messages.

    Raises:
        ValueError: A ``type`` in it is not registered, could run code that
            its arguments name, or it changes the scope.
    """
    if isinstance(part, (list, tuple)):
        for i, value in enumerate(part):
            check_registered(value, registries, f'{where}.{i}')
    if not isinstance(part, dict):
        return
    kind = part.get('type')
    if '_scope_' in part or kind is not None and not any(
            _is_registered(registry, kind) for registry in registries):
        raise ValueError(
            f'{where}: {part.get("_scope_") or kind!r} is not registered in '
            'mmcoop, mmpretrain or mmengine, or loads what its arguments '
            'name, so nothing is built of it. If it is a part of a package of '
            'yours, import that package first; if you trust the file, test it '
            'with its config.')
    for key, value in part.items():
        check_registered(value, registries, f'{where}.{key}')


def _is_registered(registry: Registry, kind: Any) -> bool:
    if not isinstance(kind, str):
        return False
    root = registry
    while root.parent is not None:
        root = root.parent
    family = {root.scope: root, **root.children}
    scope, name = Registry.split_scope_key(kind)
    # without a scope it is looked for in mmpretrain's, which is the default
    for candidate in ((scope, ) if scope else ('mmpretrain', root.scope)):
        if candidate in family:
            family[candidate].import_from_location()
            found = family[candidate].module_dict.get(name)
            if found is not None:
                return _is_harmless(found)
    return False


def _is_harmless(part: Any) -> bool:
    """Whether building a part runs no code that its arguments name."""
    if part.__module__.startswith('mmcoop.'):
        return True
    # functions build what they like: transformers' load remote code, and
    # those that wrap torchvision's transforms evaluate their dtype
    return inspect.isclass(part) and not part.__module__.startswith(LOADERS)
