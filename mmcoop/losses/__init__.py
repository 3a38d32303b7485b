"""Losses beside the classification loss: each sees what the head computed."""
from .base import LossInputs, Regularizer
from .kgcoop import KnowledgeGuidance

__all__ = ['KnowledgeGuidance', 'LossInputs', 'Regularizer']
