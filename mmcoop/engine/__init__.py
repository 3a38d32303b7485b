"""mmengine's extension points: the runner, the recipe, the hooks."""
from .checkpoint_hook import SafeCheckpointHook
from .compare_hook import CompareZeroShotHook
from .data_hooks import ClassNamesHook, EpochHook
from .feature_hook import FeatureCacheHook
from .optim import LearnedOnlyConstructor
from .recipe import apply_recipe
from .result_hook import ResultHook
from .runner import FewShotRunner

__all__ = [
    'ClassNamesHook', 'CompareZeroShotHook', 'EpochHook', 'FeatureCacheHook',
    'FewShotRunner', 'LearnedOnlyConstructor', 'ResultHook',
    'SafeCheckpointHook', 'apply_recipe'
]
