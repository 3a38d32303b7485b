"""Learned and hand-written prompts.

A new method subclasses :class:`BasePrompt` and returns prompt sets.
"""
from .base import BasePrompt, clean_class_names
from .conditional import ConditionalContextPrompt
from .context import ContextPrompt
from .multimodal import MultiModalPrompt
from .templates import TemplatePrompt
from .transport import TransportPrompt

__all__ = ['BasePrompt', 'ConditionalContextPrompt', 'ContextPrompt',
           'MultiModalPrompt', 'TemplatePrompt', 'TransportPrompt',
           'clean_class_names']
