"""Configs: variables and the places that take them; nothing heavy here.

    resolve    from a merged config to a plain one
    files      which names config files set and read
    selection  nothing is selected on test images
"""
from .files import check_options
from .resolve import find_model, resolve
from .selection import find_selection, make_validation_draw

__all__ = ['check_options', 'find_model', 'find_selection',
           'make_validation_draw', 'resolve']
