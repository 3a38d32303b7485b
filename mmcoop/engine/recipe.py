"""One variable for shots, seed, epochs and data: carried to every place.

A config is a plain file, so ``shots=4`` from the command line or from a child
config cannot reach the data sets and the schedule by itself. The runner calls
:func:`apply_recipe` on the merged config. These top-level variables count,
and each may be absent:

    shots       images a class      -> every FewShotDataset, and the epochs
    seed        seed of the run     -> randomness, every FewShotDataset
    max_epochs  epochs, or None     -> None: by shots, as published
    data_root   the data folder     -> every data set

Two numbers in our configs stand for something: 200 in ``train_cfg`` and
``param_scheduler`` is "all epochs", 224 in a pipeline is "the CLIP's image
size". Whoever writes another number there keeps it.
"""
from typing import Any, Callable, Iterator, Optional

import torch
from mmengine.config import Config

ALL_EPOCHS = 200
IMAGE_SIZE = 224
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def recipe_epochs(shots: Optional[int]) -> int:
    """Epochs of the published recipe (ImageNet: 50 always, in its config)."""
    if shots is None or shots >= 8:
        return 200
    return 100 if shots >= 2 else 50


def apply_recipe(cfg: Config) -> Config:
    """Carry the variables to their places, in place, and return ``cfg``.

    Raises:
        ValueError: ``shots`` or ``max_epochs`` below 1.
        RuntimeError: Automatic mixed precision without a GPU.
    """
    shots, seed = cfg.get('shots'), cfg.get('seed')
    for name in ('shots', 'max_epochs'):
        if cfg.get(name) is not None and cfg[name] < 1:
            raise ValueError(f'{name}={cfg[name]}: at least 1, please.')
    for dataset in _datasets(cfg):
        kind = dataset['type']
        kind = kind if isinstance(kind, str) else kind.__name__
        if kind.split('.')[-1] == 'FewShotDataset':
            if 'shots' in cfg:
                dataset['shots'] = shots
            if seed is not None:
                dataset['seed'] = seed
        if cfg.get('data_root') and 'data_root' in dataset:
            dataset['data_root'] = cfg.data_root
    if seed is not None:
        cfg.setdefault('randomness', {})['seed'] = seed
    epochs = cfg.get('max_epochs')
    if epochs is None and 'shots' in cfg:
        epochs = recipe_epochs(shots)
    if cfg.get('train_cfg'):
        if cfg.train_cfg.get('max_epochs') != ALL_EPOCHS:
            epochs = cfg.train_cfg.get('max_epochs')  # set on purpose
        if epochs is not None:
            for part in (cfg.train_cfg, cfg.get('param_scheduler')):
                _replace(part, lambda key, value: epochs
                         if value == ALL_EPOCHS else value)
            if isinstance(cfg.get('param_scheduler'), list):
                # in a run of one epoch the second phase never begins
                cfg.param_scheduler = [
                    s for s in cfg.param_scheduler
                    if s.get('begin', 0) < s.get('end', float('inf'))
                ]
    amp = (cfg.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper' \
        or (cfg.get('test_cfg') or {}).get('fp16')
    if amp and not torch.cuda.is_available():
        raise RuntimeError(
            'automatic mixed precision (--amp, AmpOptimWrapper) needs a GPU, '
            'and PyTorch sees none here: run without it.')
    return cfg


def fit_image_size(part: Any, size: int) -> None:
    """Let the sizes written as 224 in pipelines be the CLIP's image size."""
    _replace(
        part, lambda key, value: size
        if key in ('scale', 'crop_size') and value == IMAGE_SIZE else value)


def _datasets(cfg: Config) -> Iterator[dict]:
    """Data set configs of all loaders, wrapped ones included."""
    stack = [cfg.get(name) for name in LOADERS]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            if 'type' in part:
                yield part
            stack += [part.get(key) for key in ('dataset', 'val_of')]
            stack += part.get('datasets') or []


def _replace(part: Any, new: Callable[[Any, Any], Any]) -> None:
    """Replace plain values in nested dicts and lists, in place."""
    items = part.items() if isinstance(part, dict) else \
        enumerate(part) if isinstance(part, list) else ()
    for key, value in list(items):
        if isinstance(value, (dict, list)):
            _replace(value, new)
        elif isinstance(value, int) and not isinstance(value, bool):
            part[key] = new(key, value)
