"""What a run will do, in a few lines for a person."""
import os
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import get_world_size

from ..config import find_model
from ..datasets import FolderDataset
from ..methods import find_method, plain_name
from .method_name import name_method
from .runner import unwrap

LISTED = 12  # classes that are named
SELECTIONS = dict(
    val='hyper-parameters selected on validation images',
    fixed='hyper-parameters as the config says')

Lines = List[Tuple[str, str]]  # (what, text)


def describe(runner, training: bool) -> Lines:
    """Describe a run whose loops are built.

    Args:
        runner: The runner.
        training: Whether it trains, or tests only.
    """
    model = unwrap(runner.model)
    lines = _describe_data(runner, training)
    lines.append(('Method', _describe_method(runner, model, training)))
    clip = getattr(model, 'clip_name', None)
    if clip:
        pretrained = find_model(runner.cfg).get('clip', {}).get('pretrained')
        lines.append(('CLIP', f'{clip} ({pretrained})'))
    lines.append(('Device', _describe_device()))
    lines.append(('Work', _describe_work(runner, training)))
    return [(what, text) for what, text in lines if text]


def _describe_data(runner, training: bool) -> Lines:
    evaluated = _dataset(runner, 'val' if training else 'test')
    if not training:
        classes = evaluated.metainfo.get('classes') or ()
        return [('Data', f'{len(evaluated)} images of {len(classes)} classes '
                 f'({_where(evaluated)})'), ('Classes', _name(classes))]
    train = _dataset(runner, 'train')
    classes = train.metainfo.get('classes') or ()
    tested = _count(evaluated) if evaluated is not None else {}
    # those of the whole folder, of which some are drawn and some held out
    source = getattr(train, 'source_counts', None) or _count(train)
    parts = train.metainfo.get('class_subset') is None and evaluated is not \
        None and evaluated.metainfo.get('split') == 'test'
    total = {label: source[label] + (tested.get(label, 0) if parts else 0)
             for label in source}
    drawn = _count(train)
    lines = [('Data', f'{sum(total.values())} images of {len(total)} classes,'
              f' {_range(total)} a class ({_where(train)})'),
             ('Classes', _name(classes, total))]
    text = f'{len(train)} images: {_range(drawn)} a class'
    shots = getattr(train, 'shots', None)
    if shots is not None:
        text += f', drawn with seed {getattr(train, "seed", "?")}' \
            if len(train) < sum(source.values()) else \
            f' (all there are; up to {shots} are drawn)'
    unused = sum(source.values()) - len(train)
    if unused > 0 and parts:
        text += f'; {unused} others are not used'
    lines.append(('Training', text))
    if evaluated is None:
        lines.append(('Testing', 'none (--no-validate)'))
    elif evaluated.metainfo.get('split') not in (None, 'test'):
        lines.append(('Validation', f'{len(evaluated)} images: '
                      f'{_range(tested)} a class; testing: none'))
    else:
        lines.append(('Held out', f'{len(evaluated)} images for testing: '
                      f'{_range(tested)} a class' + _held_out(runner)))
    return lines


def _held_out(runner) -> str:
    """How the test images of a folder were chosen."""
    data = runner.cfg.get('test_dataloader') or {}
    data = data.get('dataset') or {}
    if not str(data.get('type')).endswith('FolderDataset'):
        return ''
    holdout = getattr(_dataset(runner, 'val'), 'holdout', None)
    return ', by its own split' if holdout is None else \
        f', {100 * holdout:.0f} % of each, the same for every seed'


def _describe_method(runner, model: torch.nn.Module, training: bool) -> str:
    name = name_method(runner.cfg, model)
    entry = find_method(name)
    if entry is not None:
        name = entry.title + name[len(plain_name(name)):]
    if not training:
        return name
    selection = getattr(runner.train_loop, 'selection', None)
    if selection is None:
        return f'{name}, {_number(runner.max_epochs, "epoch")} of ' + _number(
            runner.max_iters // max(1, runner.max_epochs), 'step')
    return f'{name}, fitted at once; ' + SELECTIONS.get(
        selection.source, 'hyper-parameters by cross-validation of the '
        'training images')


def name_images(dataset) -> str:
    """``test images``, or ``validation images``, by what a data set says."""
    test = dataset.metainfo.get('split') in (None, 'test')
    return 'test images' if test else 'validation images'


def quote_templates(templates: Union[str, Sequence[str]]) -> str:
    """The hand-written prompt of zero-shot CLIP, or the first of many."""
    if isinstance(templates, str):
        templates = [templates]
    more = len(templates) - 1
    return f'"{templates[0]}"' + (f' and {more} more' if more else '')


def _describe_device() -> str:
    ranks = get_world_size()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else \
        f'CPU, {_number(torch.get_num_threads(), "thread")}'
    return name + (f', {ranks} processes' if ranks > 1 else '')


def _number(count: int, what: str) -> str:
    return f'{count} {what}' + ('' if count == 1 else 's')


def _describe_work(runner, training: bool) -> str:
    """What takes the time; the bar measures how long."""
    evaluated = _dataset(runner, 'val' if training else 'test')
    images, what = (0, 'images') if evaluated is None \
        else (len(evaluated), name_images(evaluated))
    rest = ''
    if training and hasattr(runner.train_loop, 'selection'):
        images += len(_dataset(runner, 'train')) * (
            runner.train_loop.views or 1)
        what, rest = 'images and views', ', then the fit'
    elif training:
        rest = f', and {_number(runner.max_iters, "step")} of training'
    return f'{images} {what} to encode, less what is in the cache{rest}; ' \
        'about how long shows after the first ones'


def _dataset(runner, name: str):
    loop = getattr(runner, f'_{name}_loop')
    loader = getattr(loop, 'dataloader', None)
    data = getattr(loader, 'dataset', None)
    return getattr(data, 'images', data)  # not their features


def _count(dataset) -> Dict[int, int]:
    counts: Dict[int, int] = {}
    if not hasattr(dataset, 'get_data_info'):
        return counts  # no data set of mmengine
    for i in range(len(dataset)):
        label = dataset.get_data_info(i).get('gt_label')
        if isinstance(label, int):
            counts[label] = counts.get(label, 0) + 1
    return counts


def _where(dataset) -> str:
    source = getattr(dataset, '_source', dataset)
    if isinstance(source, dict):
        root, name = source.get('data_root'), source.get('name')
    else:
        root, name = getattr(source, 'data_root', None), None
    if name in (None, 'folder') or isinstance(source, FolderDataset):
        return os.path.abspath(os.path.expanduser(root)) if root else \
            type(dataset).__name__
    return str(name)


def _range(counts: Dict[int, int]) -> str:
    low, high = (min(counts.values()), max(counts.values())) if counts \
        else (0, 0)
    return str(low) if low == high else f'{low} to {high}'


def _name(classes, counts: Optional[Dict[int, int]] = None) -> str:
    """The names; with the numbers of images where they differ."""
    counts = counts if counts and len(set(counts.values())) > 1 else None
    names = [str(name) + (f' ({counts.get(label, 0)})' if counts else '')
             for label, name in enumerate(classes)]
    more = len(names) - LISTED
    return ', '.join(names[:LISTED]) + (f' and {more} more' if more > 0
                                        else '')
