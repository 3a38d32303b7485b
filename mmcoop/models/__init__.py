"""The classifier and its data preprocessor."""
from .coop import CoOp
from .data_preprocessor import DataPreprocessor

__all__ = ['CoOp', 'DataPreprocessor']
