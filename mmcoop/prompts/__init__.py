"""Prompts, learned or written by hand: each returns prompt sets.

A new method is one module here. It subclasses :class:`BasePrompt`, states
what its classes share, and never sees the text engine.
"""
from .base import BasePrompt, clean_class_names
from .context import ContextPrompt
from .templates import TemplatePrompt

__all__ = ['BasePrompt', 'ContextPrompt', 'TemplatePrompt',
           'clean_class_names']
