"""A trained classifier in one call."""
from .classifier import Classifier
from .load import load

__all__ = ['Classifier', 'load']
