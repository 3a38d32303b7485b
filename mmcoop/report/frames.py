"""Records as a pandas DataFrame, one row for each run.

The columns are the attributes of a Record, as objects (None stays None), with
these changes:

    method      the name, and in brackets what differs from other runs
    name        the name of the method alone
    top1        float, percent
    shots       float; 0 for zero-shot, ``ALL_IMAGES`` for all images
    seed        int; -1 where nothing is random
    learns      whether anything was trained
    selection   what a checkpoint was selected by, without details
"""
from dataclasses import fields
from typing import TYPE_CHECKING, Optional, Sequence

from ..methods import find_method
from .names import ALL_IMAGES
from .records import Record

if TYPE_CHECKING:
    from pandas import DataFrame

CELL = ['dataset', 'method', 'backbone', 'shots', 'class_subset',
        'trained_on', 'trained_subset']
SETTINGS = ['epochs', 'cached_views', 'selection', 'pretrained']


def load_pandas():
    """Import pandas.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "tables need pandas: pip install -e '.[report]'") from None
    return pandas


def make_frame(records: Sequence[Record]) -> 'DataFrame':
    """Make a DataFrame of records; see the top of this file."""
    frame = load_pandas().DataFrame(
        [vars(record) for record in records], dtype=object,
        columns=[field.name for field in fields(Record)])
    known = {name: find_method(name) for name in frame.method.unique()}
    frame['learns'] = [
        known[name].learns if known[name] else parameters != 0
        for name, parameters in zip(frame.method, frame.learned_parameters)]
    frame['name'] = frame.method
    frame['shots'] = [
        (ALL_IMAGES if shots is None else shots) if learns else 0
        for shots, learns in zip(frame.shots, frame.learns)]
    frame['seed'] = [-1 if seed is None else seed for seed in frame.seed]
    frame['selection'] = [text and text.split(',')[0]
                          for text in frame.selected_on]
    types = dict(top1=float, shots=float, seed=int, learns=bool)
    return separate_settings(frame.astype(types))


def separate_settings(frame: 'DataFrame') -> 'DataFrame':
    """Name runs differently that differ in settings no table shows.

    The same method, data set and shots may have been trained with other
    epochs, on cached views, with a selection or other weights of the CLIP.
    Their seeds are never averaged together: what differs from the recipe is
    added to the method's name, in brackets.
    """
    groups = frame.groupby(CELL, dropna=False)
    varies = {name: groups[name].transform('nunique', dropna=False) > 1
              for name in SETTINGS}
    labels = dict(
        epochs=frame.epochs.map('{} epochs'.format).where(
            frame.epochs.isna() | (frame.epochs != frame.recipe_epochs)),
        cached_views=frame.cached_views.map('{} views'.format).where(
            frame.cached_views.notna()),
        selection=frame.selection.map(lambda _: 'selected').where(
            frame.selection.notna()),
        pretrained=frame.pretrained.where(frame.pretrained != 'openai'))
    rows = zip(*(label.where(varies[name])
                 for name, label in labels.items()))
    suffixes = [', '.join(text for text in row if isinstance(text, str))
                for row in rows]
    return frame.assign(method=[
        f'{name} ({suffix})' if suffix else name
        for name, suffix in zip(frame.method, suffixes)])


def most_shots(frame: 'DataFrame') -> Optional[float]:
    """The largest number of shots, None if nothing was trained.

    Runs on all images count only if there are no others.
    """
    shots = set(frame.shots) - {0}
    return max(shots - {ALL_IMAGES} or shots, default=None)


def select_methods(frame: 'DataFrame', *names: Optional[str]) -> 'DataFrame':
    """The runs of methods, whatever their settings."""
    return frame[frame.name.isin(names)]
