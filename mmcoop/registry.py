"""mmcoop's registries: siblings of mmpretrain's, children of mmengine's.

A prefixed type such as ``mmcoop.CoOp`` then imports itself on first use, under
any default scope and without ``custom_imports``.
"""
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import \
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry, build_runner_from_cfg

__all__ = [
    'DATASETS', 'HOOKS', 'LOOPS', 'MODELS', 'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS', 'RUNNERS', 'TRANSFORMS'
]

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='mmcoop',
    locations=[
        'mmcoop.models', 'mmcoop.prompts', 'mmcoop.heads', 'mmcoop.losses'
    ])
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='mmcoop',
    locations=['mmcoop.datasets', 'mmcoop.demo'])
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='mmcoop',
    locations=['mmcoop.datasets', 'mmcoop.demo'])
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='mmcoop',
    locations=['mmcoop.engine'])
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='mmcoop',
    locations=['mmcoop.engine'])
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='mmcoop',
    locations=['mmcoop.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmcoop',
    locations=['mmcoop.engine'])
RUNNERS = Registry(
    'runner',
    build_func=build_runner_from_cfg,
    parent=MMENGINE_RUNNERS,
    scope='mmcoop',
    locations=['mmcoop.engine'])
