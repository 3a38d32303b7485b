"""Runner, loops, hooks, optimiser wrappers and schedules for mmengine."""
from .adaptation_hook import AdaptationHook
from .checkpoint_hook import CheckpointHook, SafeCheckpointHook
from .console_hook import ConsoleHook
from .context_hook import ContextHook
from .data_hooks import ClassNamesHook, EpochHook
from .feature_hook import FeatureCacheHook
from .finite_hook import FiniteLossHook
from .fit_loop import FitLoop
from .gradient_rule import GradientRuleOptimWrapper
from .optim import LearnedOnlyConstructor
from .prograd import ProGradOptimWrapper, ZeroShotDistillation
from .promptsrc import (GaussianAverageHook, ImageConsistency,
                        LogitConsistency, TextConsistency)
from .result_hook import ResultHook
from .runner import FewShotRunner
from .step_loop import StepLoop
from .temperature_hook import TemperatureHook
from .two_stage import TwoStageCosineLR, TwoStageHead, TwoStageHook

__all__ = [
    'AdaptationHook', 'CheckpointHook', 'ClassNamesHook', 'ConsoleHook',
    'ContextHook', 'EpochHook', 'FeatureCacheHook', 'FewShotRunner',
    'FiniteLossHook', 'FitLoop',
    'GaussianAverageHook', 'GradientRuleOptimWrapper', 'ImageConsistency',
    'LearnedOnlyConstructor', 'LogitConsistency', 'ProGradOptimWrapper',
    'ResultHook', 'SafeCheckpointHook', 'StepLoop', 'TemperatureHook',
    'TextConsistency', 'TwoStageCosineLR', 'TwoStageHead', 'TwoStageHook',
    'ZeroShotDistillation'
]
