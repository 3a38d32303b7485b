"""A small drawn world and a tiny CLIP trained on it, for an offline demo."""
from .dataset import DemoWorld

__all__ = ['DemoWorld']
