"""A trained classifier in one call; checkpoints of the published codes."""
from .classifier import Classifier
from .load import load
from .published import to_mmcoop, to_published
from .published_file import read_published, write_published

__all__ = ['Classifier', 'load', 'read_published', 'to_mmcoop',
           'to_published', 'write_published']
