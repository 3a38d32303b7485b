"""A trained classifier in one call."""
from .classifier import Classifier
from .load import load
from .predict import (FORMATS, Predictions, find_images, predict_files,
                      read_list, read_names, write_text)

__all__ = [
    'Classifier', 'FORMATS', 'Predictions', 'find_images', 'load',
    'predict_files', 'read_list', 'read_names', 'write_text'
]
