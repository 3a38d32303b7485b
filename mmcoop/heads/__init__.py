"""Heads: logits and losses, or a classifier fitted on image features."""
from .clap import CLAPHead
from .clip_adapter import CLIPAdapterHead
from .cross_modal import CrossModalHead
from .fitted import FeatureHead, FittedHead
from .gda import GDAHead
from .linear_probe import LinearProbeHead
from .lp_plus_plus import LPPlusPlusHead
from .prolip import ProLIPHead
from .prompt_learner import PromptLearnerHead
from .record import RecordedHead, read_record
from .saved_prompt import SavedPrompt
from .selection import Selection
from .task_res import TaskResHead
from .text_adapters import TextBias, TextTransform
from .tip_adapter import TipAdapterFHead, TipAdapterHead

__all__ = [
    'CLAPHead', 'CLIPAdapterHead', 'CrossModalHead', 'FeatureHead',
    'FittedHead', 'GDAHead', 'LPPlusPlusHead', 'LinearProbeHead',
    'ProLIPHead', 'PromptLearnerHead', 'RecordedHead', 'SavedPrompt',
    'Selection', 'TaskResHead', 'TextBias', 'TextTransform',
    'TipAdapterFHead', 'TipAdapterHead', 'read_record'
]
