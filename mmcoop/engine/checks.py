"""What is checked before a run is built, and before a CLIP is loaded."""
import contextlib
from pathlib import Path
from typing import Any, Union

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..catalog import find
from ..checkpoints import find_last_checkpoint
from ..clip import TowerAdapter
from ..clip.weights import find_not_finite
from ..config import find_model, make_validation_draw
from ..datasets.coop_dataset import check_published
from ..datasets.few_shot import NoImageLeft
from ..registry import DATASETS, MODELS
from ..safe_load import check_is_safe


def check_amp(cfg: Config) -> None:
    """Check that a config with automatic mixed precision has a GPU.

    Raises:
        RuntimeError: There is no GPU.
    """
    amp = (cfg.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper' \
        or (cfg.get('test_cfg') or {}).get('fp16')
    if amp and not torch.cuda.is_available():
        raise RuntimeError(
            'automatic mixed precision (--amp, AmpOptimWrapper) needs a GPU, '
            'and PyTorch sees none here: run without it.')


def check_cached_views(cfg: Config) -> None:
    """Check that features of training images can be cached for the model.

    Raises:
        ValueError: ``cached_views`` is set, and the prompt or what is learned
            inside the image tower changes the features, or the prompt needs
            those of patches.
    """
    model = find_model(cfg)
    prompt = model.get('head', {}).get('prompt', {}).get('type')
    prompt = MODELS.get(prompt) if isinstance(prompt, str) else prompt
    views = [hook.get('views') for hook in cfg.get('custom_hooks') or ()
             if isinstance(hook, dict) and 'FeatureCacheHook' in str(
                 hook.get('type'))]
    reason = prompt and prompt.why_not_cached()
    if model.get('tower_adapter') is not None:
        reason = TowerAdapter.WHY_NOT_CACHED
    if any(views) and reason:
        raise ValueError(f'cached_views={max(filter(None, views))} is not '
                         f'possible here: {reason}. Set cached_views=None.')


def check_data(dataset: dict) -> None:
    """Build a data set, and drop it.

    Raises:
        Whatever is wrong with the files. Where a million images may have to
        be listed (ImageNet, mmpretrain's own) they are left to their time.
    """
    leaf = dataset
    while isinstance(leaf.get('dataset'), dict):
        leaf = leaf['dataset']
    if leaf['type'] == 'mmcoop.CoOpDataset' and \
            find(leaf['name']).by_class_folders:
        check_published(find(leaf['name']), leaf['data_root'], leaf['split'])
    elif leaf['type'] in ('mmcoop.CoOpDataset', 'mmcoop.SplitFileDataset',
                          'mmcoop.FolderDataset'):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            DATASETS.build(dataset)


def check_validation_draw(cfg: Config) -> None:
    """Check the images that the temperature will be fitted on, if it is.

    Raises:
        As :func:`check_data`.
    """
    if not (cfg.get('default_hooks') or {}).get('temperature', {}).get(
            'enable') or cfg.get('test_dataloader') is None:
        return
    try:
        draw = make_validation_draw(cfg.train_dataloader.dataset,
                                    cfg.test_dataloader.dataset)
    except ValueError:  # no few-shot draw: nothing is fitted
        return
    with contextlib.suppress(NoImageLeft):
        check_data(draw)


def check_checkpoint(filename: str) -> None:
    """Check a checkpoint before a model is built for it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or holds pickled objects, NaN or infinity.
    """
    content = check_is_safe(filename)
    if content is None:
        last = find_last_checkpoint(filename)
        raise FileNotFoundError(f'there is no checkpoint {filename}' + (
            f': it is a folder; its last one is {last}' if last else ''))
    check_finite(content, filename)


def check_finite(content: Any, filename: Union[str, Path]) -> None:
    """Raise ValueError if a checkpoint holds NaN or infinity."""
    state = content.get('state_dict', content) \
        if isinstance(content, dict) else None
    odd = find_not_finite(state) if isinstance(state, dict) else []
    if odd:
        raise ValueError(
            f'{filename}: {odd[0]} holds NaN or infinity, as after a training '
            'that diverged. Take an earlier checkpoint, or train again with a '
            'smaller optim_wrapper.optimizer.lr.')
