"""mmcoop's registries: siblings of mmpretrain's, children of mmengine's.

A prefixed type such as ``mmcoop.CoOp`` then imports itself on first use, under
any default scope and without ``custom_imports``.
"""
from mmengine import registry as mmengine_registries
from mmengine.registry import Registry

__all__ = [
    'DATASETS', 'HOOKS', 'LOOPS', 'METRICS', 'MODELS', 'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS', 'PARAM_SCHEDULERS', 'RUNNERS', 'TRANSFORMS'
]


def _make_registry(name: str, *locations: str) -> Registry:
    """A child of mmengine's registry of that name.

    Args:
        name: Such as ``MODELS``.
        locations: The sub-packages to import when a type is looked up.
    """
    parent = getattr(mmengine_registries, name)
    return Registry(
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
