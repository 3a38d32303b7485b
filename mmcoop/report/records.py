"""Results of runs, read from the JSON files that the runs wrote."""
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Iterable, List, Optional, Union

from ..methods import find_method

FILES = ('result.json', 'result_test.json')


@dataclass(frozen=True)
class Record:
    """One evaluation on test images.

    Attributes:
        dataset: The data set it was tested on.
        method: The name of the method, as metafiles have it.
        backbone: open_clip's name of the CLIP.
        shots: Training images per class; None for all of them, or if nothing
            was trained (zero-shot).
        seed: Seed of the training run; None for zero-shot.
        top1: Top-1 accuracy in percent.
        class_subset: Classes it was tested on: 'base', 'new' or None (all).
        trained_on: The data set it was trained on, if that is another one.
        path: The result file.
        epochs: Epochs of training.
        cached_views: Views per image that training was limited to.
        selected_on: What a checkpoint was selected by, if any was selected.
        num_test: Number of test images.
        trained_subset: Classes it was trained on, like ``class_subset``.
        pretrained: Weights of the CLIP: open_clip's tag, or a file's name.
        lists: 'published', or how the image lists of the data set differ.
        recipe_epochs: Epochs of the method's published recipe for this run.
        learned_parameters: Number of learned parameters.
    """
    dataset: str
    method: str
    backbone: str
    shots: Optional[int]
    seed: Optional[int]
    top1: float
    class_subset: Optional[str]
    trained_on: Optional[str]
    path: Path
    epochs: Optional[int] = None
    cached_views: Optional[int] = None
    selected_on: Optional[str] = None
    num_test: Optional[int] = None
    trained_subset: Optional[str] = None
    pretrained: Optional[str] = None
    lists: Optional[str] = None
    # these follow from the run: they do not tell two runs apart
    recipe_epochs: Optional[int] = field(default=None, compare=False)
    learned_parameters: Optional[int] = field(default=None, compare=False)

    @property
    def zero_shot(self) -> bool:
        """Whether nothing was trained."""
        return is_zero_shot(self.method, self.learned_parameters)

    @property
    def key(self) -> 'Record':
        """What identifies the run; results of the same run have the same."""
        return replace(self, top1=0, path=Path(), num_test=None, lists=None)


def is_zero_shot(method: str, learned_parameters: Optional[int]) -> bool:
    """Whether a method trains nothing.

    A method that no metafile describes trains something, unless its result
    has 0 learned parameters (templates of a user's own).
    """
    known = find_method(method)
    return not known.learns if known else learned_parameters == 0


def read_records(folders: Iterable[Union[str, Path]]) -> List[Record]:
    """Read every ``result.json`` and ``result_test.json`` below folders.

    Results on validation images, of runs without an evaluation, and of runs
    without the name of a method or data set are left out. Of two results of
    the same run the newer one counts.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: A file is no JSON object or has no accuracy.
    """
    newest, unnamed = {}, 0
    for path in _find_files(folders):
        result = _load(path)
        if not result.get('method') or not result.get('dataset'):
            unnamed += 1
            continue
        if result.get('evaluated_on', 'test') != 'test' or \
                not result.get('metrics'):
            continue
        record = _make_record(result, path)
        # copying a file changes its time, not the date in it
        age = str(result.get('finished', '')), path.stat().st_mtime
        if record.key in newest:
            (old_age, old), (age, record) = sorted(
                [newest[record.key], (age, record)], key=lambda pair: pair[0])
            _log(f'two results of one run: {record.path} counts, the older '
                 f'{old.path} does not.', logging.WARNING)
        newest[record.key] = age, record
    if unnamed:
        _log(f'{unnamed} result files name no method or no data set: left '
             'out.', logging.INFO)
    return [record for _, record in newest.values()]


def top1_of(result: dict, path: Path) -> float:
    """The top-1 accuracy of a result, in percent.

    Raises:
        ValueError: The result has none.
    """
    metrics = result.get('metrics') or {}
    for name, value in metrics.items():
        if name.endswith('accuracy/top1'):
            return float(value)
    raise ValueError(f'{path} has no accuracy/top1 among its metrics '
                     f'({", ".join(metrics)}): test again.')


def _find_files(folders: Iterable[Union[str, Path]]) -> List[Path]:
    paths = {}  # in order; a folder may lie in another one
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(
                f'there is no folder {folder}: name the work folders of runs.')
        found = (path for name in FILES for path in folder.rglob(name))
        paths.update((path.resolve(), path) for path in sorted(found))
    return list(paths.values())


def _load(path: Path) -> dict:
    try:
        result = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f'{path} is no JSON ({error}): remove it, or test again.'
        ) from None
    if not isinstance(result, dict):
        raise ValueError(f'{path} is no result of a run: remove it.')
    return result


def _make_record(result: dict, path: Path) -> Record:
    parameters = result.get('learned_parameters')
    zero_shot = is_zero_shot(result['method'], parameters)
    if zero_shot:
        run = dict(dataset=result['dataset'])
    else:  # a test has the settings of the training run in trained_on
        run = result.get('trained_on') or dict(
            result, max_epochs=result.get('epochs'))
    source, epochs = run.get('dataset'), run.get('max_epochs')
    views = run.get('cached_views')
    if views and epochs and views >= epochs:
        views = None  # a new view in every epoch, as in the recipe
    pretrained = result.get('pretrained')
    return Record(
        dataset=result['dataset'],
        method=result['method'],
        backbone=str(result.get('clip')),
        shots=run.get('shots'),
        seed=run.get('seed'),
        top1=top1_of(result, path),
        class_subset=result.get('class_subset'),
        trained_on=None if source == result['dataset'] else source,
        path=path,
        epochs=epochs,
        cached_views=views,
        selected_on=None if zero_shot else result.get('selected_on') or None,
        num_test=result.get('num_images_evaluated'),
        trained_subset=run.get('class_subset'),
        pretrained=pretrained and Path(str(pretrained)).name,
        lists=result.get('lists'),
        recipe_epochs=run.get('recipe_epochs', result.get('recipe_epochs')),
        learned_parameters=parameters)


def _log(message: str, level: int) -> None:
    from mmengine.logging import print_log  # imports torch
    print_log(message, 'current', level)
