"""Learned and hand-written prompts.

A new method subclasses :class:`BasePrompt` and returns prompt sets.
"""
from .base import BasePrompt, clean_class_names
from .context import ContextPrompt
from .templates import TemplatePrompt

__all__ = ['BasePrompt', 'ContextPrompt', 'TemplatePrompt',
           'clean_class_names']
