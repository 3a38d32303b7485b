"""One variable for each choice of an experiment: carried to every place.

A config is a plain file, so ``shots=4`` from the command line or from a child
config cannot reach the data sets and the schedule by itself. The runner calls
:func:`apply_recipe` on the merged config. These top-level variables count,
and each may be absent:

    shots       images a class      -> every FewShotDataset, and the epochs
    seed        seed of the run     -> randomness, every FewShotDataset
    max_epochs  epochs, or None     -> None: by shots, or by the data set
    data_root   the data folder     -> every data set
    cached_views  views an image in training, or None: a new one each epoch
                                    -> the FeatureCacheHook
    dataset     a name of the catalogue -> every CoOpDataset; the template
    template    the data set's hand-written prompt, if not the published one
    templates   hand-written prompts instead of learned ones -> the head
    class_subset  'base' or 'new'   -> a ClassSubset around every data set
    val_split   'val': validate on the published validation draw

They fill places that still hold what ``configs/_base_`` wrote there (16, 1,
200, 'data', 'imagenet'; 1000 classes of a linear head; and 224 for the CLIP's
image size). Whoever writes something else into a place keeps it; but what the
command line says of a variable counts, also where a run has filled it in.
"""
from typing import Any, Optional

import torch
from mmengine.config import Config

from ..catalog import PublishedSet, find
from .places import datasets_in, is_a, is_few_shot, replace_values, said
from .selection import carry_val_split

SHOTS, SEED, ALL_EPOCHS, DATA_ROOT, IMAGE_SIZE = 16, 1, 200, 'data', 224
DATASET, CLASSES = 'imagenet', 1000
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def recipe_epochs(shots: Optional[int]) -> int:
    """Epochs of the published recipe (ImageNet: 50 always, in its config)."""
    if shots is None or shots >= 8:
        return 200
    return 100 if shots >= 2 else 50


def apply_recipe(cfg: Config) -> Config:
    """Carry the variables to their places, in place, and return ``cfg``.

    Raises:
        ValueError: ``shots``, ``max_epochs`` or ``cached_views`` is no number
            above 0; there is no FeatureCacheHook to cache the views; an
            unknown ``dataset``; or a selection on test images.
        RuntimeError: Automatic mixed precision without a GPU.
    """
    for name in ('shots', 'max_epochs', 'cached_views'):
        value = cfg.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f'{name}={value}: a whole number of at least 1 '
                             'is needed.')
    _refuse_second_draw(cfg)
    _carry_seed(cfg)
    for dataset in datasets_in(*(cfg.get(name) for name in LOADERS)):
        if is_few_shot(dataset):
            _fill(cfg, dataset, 'shots', 'shots', SHOTS)
            _fill(cfg, dataset, 'seed', 'seed', SEED)
        if is_a(dataset, 'CoOpDataset'):
            _fill(cfg, dataset, 'name', 'dataset', DATASET)
        if 'data_root' in dataset:
            _fill(cfg, dataset, 'data_root', 'data_root', DATA_ROOT)
    _carry_prompt(cfg)
    carry_val_split(cfg)
    if cfg.get('class_subset') is not None:
        _carry_subset(cfg)
    if cfg.get('cached_views') is not None:
        _carry_views(cfg)
    if cfg.get('train_cfg'):
        _carry_epochs(cfg)
    amp = (cfg.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper' \
        or (cfg.get('test_cfg') or {}).get('fp16')
    if amp and not torch.cuda.is_available():
        raise RuntimeError(
            'automatic mixed precision (--amp, AmpOptimWrapper) needs a GPU, '
            'and PyTorch sees none here: run without it.')
    return cfg


def published_set(cfg: Config) -> Optional[PublishedSet]:
    """What is known of the data set of a config; None if it is one's own."""
    name = cfg.get('dataset')
    return None if name is None else find(name)


def fit_image_size(part: Any, size: int) -> None:
    """Let the sizes written as 224 in pipelines be the CLIP's image size."""
    replace_values(
        part, lambda key, value: size
        if key in ('scale', 'crop_size') and value == IMAGE_SIZE else value)


def _carry_seed(cfg: Config) -> None:
    """``seed`` and mm's own ``randomness.seed`` are one number."""
    if 'seed' not in cfg:
        return
    randomness = cfg.setdefault('randomness', {})
    if randomness.get('seed', SEED) != SEED and cfg.seed == SEED:
        cfg.seed = randomness['seed']
    randomness['seed'] = cfg.seed


def _carry_prompt(cfg: Config) -> None:
    """Hand-written prompts; the number of classes of a linear head."""
    model = cfg.get('model') or {}
    while 'module' in model:  # test-time augmentation
        model = model['module']
    head, known = model.get('head') or {}, published_set(cfg)
    if isinstance(head.get('prompt'), dict):
        if cfg.get('templates') is not None:
            place = {} if said(cfg, 'templates') else head['prompt']
            head['prompt'] = dict(
                type='mmcoop.TemplatePrompt',
                templates=place.get('templates', cfg.templates))
        if is_a(head['prompt'], 'TemplatePrompt'):
            own = cfg.get('template') or (known and known.template)
            if said(cfg, 'dataset', 'template'):
                head['prompt']['own'] = own
            head['prompt'].setdefault('own', own)
    if known and (head.get('num_classes') == CLASSES
                  or 'num_classes' in head
                  and said(cfg, 'dataset', 'class_subset')):
        half = -(-known.classes // 2)
        head['num_classes'] = {
            'base': half, 'new': known.classes - half
        }.get(cfg.get('class_subset'), known.classes)


def _carry_subset(cfg: Config) -> None:
    for loader in filter(None, (cfg.get(name) for name in LOADERS)):
        dataset = loader.dataset
        if is_a(dataset, 'ClassSubset'):
            if said(cfg, 'class_subset'):
                dataset['classes'] = cfg.class_subset
        else:
            subset = dict(type='mmcoop.ClassSubset',
                          classes=cfg.class_subset, dataset=dataset)
            if dataset.get('pipeline'):  # where inferencers look for it
                subset['pipeline'] = dataset['pipeline']
            loader.dataset = subset


def _carry_views(cfg: Config) -> None:
    hooks = [hook for hook in cfg.get('custom_hooks') or []
             if isinstance(hook, dict) and is_a(hook, 'FeatureCacheHook')]
    if not hooks:
        raise ValueError(
            f"cached_views={cfg.cached_views} needs the hook that caches: add "
            "dict(type='mmcoop.FeatureCacheHook') to custom_hooks.")
    for hook in hooks:
        if hook.get('views') is None:
            hook['views'] = cfg.cached_views


def _carry_epochs(cfg: Config) -> None:
    epochs = cfg.train_cfg.get('max_epochs')
    if epochs == ALL_EPOCHS:  # not set on purpose
        epochs = cfg.get('max_epochs')
        draws = [d for d in datasets_in(cfg.get('train_dataloader'))
                 if is_few_shot(d)]
        if epochs is None and draws:
            shots, known = draws[0].get('shots', SHOTS), published_set(cfg)
            epochs = known and known.max_epochs or recipe_epochs(shots)
    if epochs is None:
        return
    for part in (cfg.train_cfg, cfg.get('param_scheduler')):
        replace_values(part, lambda key, value: epochs
                       if value == ALL_EPOCHS else value)
    if isinstance(cfg.get('param_scheduler'), list):
        # in a run of one epoch the second phase never begins
        cfg.param_scheduler = [
            s for s in cfg.param_scheduler
            if s.get('begin', 0) < s.get('end', float('inf'))
        ]


def _fill(cfg: Config, part: dict, key: str, variable: str,
          written: Any) -> None:
    """Put a variable into a place that holds what ``_base_`` wrote."""
    if variable in cfg and (said(cfg, variable) or part.get(key) == written):
        part[key] = cfg[variable]


def _refuse_second_draw(cfg: Config) -> None:
    """A config that a run left in its folder is for that run.

    Raises:
        ValueError: To train with other shots, say: its epochs are filled in.
    """
    changed = set(cfg.get('overrides') or {}) & {
        'shots', 'seed', 'max_epochs', 'dataset', 'class_subset'}
    filled = (cfg.get('train_cfg') or {}).get('max_epochs') != ALL_EPOCHS
    if cfg.get('filled_in') and changed and cfg.get('train_dataloader') \
            and filled:
        raise ValueError(
            f'{cfg.get("filename", "this config")} was filled in by a run; '
            f'{", ".join(sorted(changed))} cannot be changed for another '
            'training. Take the config that the run began with.')
