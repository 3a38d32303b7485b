"""Nothing is selected on test images."""
import copy
from typing import Optional

from mmengine.config import Config

from ..catalog import find
from .places import datasets_in, is_a, is_few_shot


def val_draw(train: dict, pipeline: list) -> dict:
    """The validation images that belong to a few-shot draw.

    Args:
        train: The config of the FewShotDataset.
        pipeline: Transforms of the validation images.

    Returns:
        The config of a FewShotDataset that draws from the validation split,
        or, where there is none, from the training images that are left.
    """
    source = copy.deepcopy(train['dataset'])
    if is_a(source, 'SplitFileDataset') or (
            is_a(source, 'CoOpDataset')
            and 'val' in find(source['name']).sizes):
        source['split'] = 'val'
    return dict(copy.deepcopy(train), dataset=source,
                val_of=copy.deepcopy(train['dataset']), pipeline=pipeline)


def carry_val_split(cfg: Config) -> None:
    """Nothing may be selected on test images."""
    split = cfg.get('val_split', 'test')
    if split not in ('val', 'test'):
        raise ValueError(f"val_split={split!r}: choose 'val' or 'test'.")
    train, val = cfg.get('train_dataloader'), cfg.get('val_dataloader')
    if not (train and val):
        return
    drawn = any('val_of' in dataset for dataset in datasets_in(val))
    if split == 'val' and not drawn:
        if not is_few_shot(train.dataset):
            raise ValueError(
                "val_split='val' draws validation images beside those of a "
                'mmcoop.FewShotDataset, but train_dataloader.dataset is a '
                f'{train.dataset.get("type")}.')
        val.dataset = val_draw(train.dataset, val.dataset.pipeline)
    on_test = any(dataset.get('split') == 'test'
                  for dataset in datasets_in(val))
    if selects(cfg) and on_test:
        raise ValueError(
            f'{selects(cfg)} selects by the accuracy on test images: set '
            "val_split='val' to select on validation images.")


def selects(cfg: Config) -> Optional[str]:
    """What in a config chooses among epochs by their validation accuracy."""
    hooks = [*(cfg.get('default_hooks') or {}).values(),
             *(cfg.get('custom_hooks') or [])]
    for hook in hooks:
        if isinstance(hook, dict) and hook.get('save_best'):
            return 'save_best'
        if isinstance(hook, dict) and is_a(hook, 'EarlyStoppingHook'):
            return 'EarlyStoppingHook'
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    return next((part['type'] for part in schedulers
                 if 'ReduceOnPlateau' in str(part.get('type'))), None)
