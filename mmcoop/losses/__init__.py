"""Losses beside the classification loss: each sees what the head computed."""
from .base import LossInputs, Regularizer

__all__ = ['LossInputs', 'Regularizer']
