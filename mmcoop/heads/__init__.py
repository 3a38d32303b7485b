"""Heads: logits and losses, or a classifier fitted on image features."""
from .linear_probe import LinearProbeHead
from .prompt_learner import PromptLearnerHead
from .record import RecordedHead, read_record
from .text_adapters import TextBias, TextTransform

__all__ = [
    'LinearProbeHead', 'PromptLearnerHead', 'RecordedHead', 'TextBias',
    'TextTransform', 'read_record'
]
