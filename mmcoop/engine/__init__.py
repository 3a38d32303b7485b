"""Runner, loops, hooks and optimiser wrappers for mmengine."""
from .adaptation_hook import AdaptationHook
from .checkpoint_hook import SafeCheckpointHook
from .compare_hook import CompareZeroShotHook
from .data_hooks import ClassNamesHook, EpochHook
from .feature_hook import FeatureCacheHook
from .fit_loop import FitLoop
from .gradient_rule import GradientRuleOptimWrapper
from .optim import LearnedOnlyConstructor
from .prograd import ProGradOptimWrapper, ZeroShotDistillation
from .promptsrc import (GaussianAverageHook, ImageConsistency,
                        LogitConsistency, TextConsistency)
from .result_hook import ResultHook
from .runner import FewShotRunner

__all__ = [
    'AdaptationHook', 'ClassNamesHook', 'CompareZeroShotHook', 'EpochHook',
    'FeatureCacheHook', 'FewShotRunner', 'FitLoop', 'GaussianAverageHook',
    'GradientRuleOptimWrapper', 'ImageConsistency',
    'LearnedOnlyConstructor', 'LogitConsistency', 'ProGradOptimWrapper',
    'ResultHook', 'SafeCheckpointHook', 'TextConsistency',
    'ZeroShotDistillation'
]
