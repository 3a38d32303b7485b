"""Classification losses, and losses beside the classification loss."""
from .base import LossInputs, Regularizer, build_regularizers
from .gce import GeneralizedCrossEntropy
from .kgcoop import KnowledgeGuidance

__all__ = ['GeneralizedCrossEntropy', 'KnowledgeGuidance', 'LossInputs',
           'Regularizer', 'build_regularizers']
