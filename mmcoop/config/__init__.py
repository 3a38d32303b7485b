"""Configs: variables and the places that take them; nothing heavy here.

    resolve    from a merged config to a plain one
    derived    variables that follow from others
    files      which names config files set and read
    quick      the runner's config, whose text is made once
    selection  nothing is selected on test images
"""
from .derived import find_model
from .files import check_options
from .resolve import resolve
from .selection import find_selection, make_validation_draw

__all__ = ['check_options', 'find_model', 'find_selection',
           'make_validation_draw', 'resolve']
