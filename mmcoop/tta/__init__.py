"""Test-time adaptation: what happens to a trained or zero-shot model as it is
tested, without labels."""
from .base import BaseAdaptation
from .mta import MTA
from .tda import TDA
from .tpt import TPT
from .views import ImageViews
from .zero import ZERO

__all__ = ['MTA', 'TDA', 'TPT', 'ZERO', 'BaseAdaptation', 'ImageViews']
