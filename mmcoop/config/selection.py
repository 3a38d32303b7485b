"""Nothing is selected on test images."""
import copy
from typing import TYPE_CHECKING, Iterator, Optional

from ..catalog import find

if TYPE_CHECKING:
    from mmengine.config import Config


def type_name(part: dict) -> str:
    """The type in a config, without its scope: ``FewShotDataset``."""
    kind = part.get('type', '')
    return (kind if isinstance(kind, str) else kind.__name__).split('.')[-1]


def datasets_in(dataset: Optional[dict]) -> Iterator[dict]:
    """The config of a data set and of those that it wraps."""
    stack = [dataset]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            yield part
            stack += [part.get('dataset'), part.get('val_of')]
            stack += part.get('datasets') or []


def make_validation_draw(train: dict, test: dict) -> dict:
    """The validation images that belong to a few-shot draw.

    Args:
        train: The config of the training draw, a FewShotDataset.
        test: The config of the test images; its pipeline is taken.

    Returns:
        The config of a FewShotDataset that draws min(shots, 4) images a class
        from the validation split or, where there is none, from the training
        images that are left. Its labels are right whatever ``label_noise``
        the training draw has.

    Raises:
        ValueError: The training images are no few-shot draw.
    """
    if type_name(train) != 'FewShotDataset':
        raise ValueError(
            'validation images are drawn beside those of a '
            'mmcoop.FewShotDataset (val_split, FitLoop), but '
            f'train_dataloader.dataset is a {train.get("type")}.')
    train = {key: value for key, value in train.items()
             if key != 'label_noise'}
    source = copy.deepcopy(train['dataset'])
    if type_name(source) == 'SplitFileDataset' or (
            type_name(source) == 'CoOpDataset'
            and 'val' in find(source['name']).sizes):
        source['split'] = 'val'
    return dict(copy.deepcopy(train), dataset=source,
                val_of=copy.deepcopy(train['dataset']),
                pipeline=copy.deepcopy(test['pipeline']))


def check_selection(cfg: 'Config') -> None:
    """Refuse to select among epochs by the accuracy on test images.

    Raises:
        ValueError: The validation images are test images, and something
            selects by them.
    """
    val = cfg.get('val_dataloader') or {}
    how = find_selection(cfg)
    if how and any(dataset.get('split') == 'test'
                   for dataset in datasets_in(val.get('dataset'))):
        raise ValueError(
            f'{how} selects by the accuracy on test images: set '
            "val_split='val' to select on validation images.")


def find_selection(cfg: 'Config') -> Optional[str]:
    """What in a config chooses among epochs by their validation accuracy."""
    hooks = [*(cfg.get('default_hooks') or {}).values(),
             *(cfg.get('custom_hooks') or [])]
    for hook in hooks:
        if isinstance(hook, dict) and hook.get('save_best'):
            return 'save_best'
        if isinstance(hook, dict) and type_name(hook) == 'EarlyStoppingHook':
            return 'EarlyStoppingHook'
    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    return next((part['type'] for part in schedulers
                 if 'ReduceOnPlateau' in str(part.get('type'))), None)
