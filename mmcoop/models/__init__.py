"""mmpretrain's extension points: the classifier and the head."""
from .coop import CoOp
from .data_preprocessor import DataPreprocessor
from .prompt_head import PromptLearnerHead
from .text_adapters import TextBias, TextTransform

__all__ = [
    'CoOp', 'DataPreprocessor', 'PromptLearnerHead', 'TextBias',
    'TextTransform'
]
