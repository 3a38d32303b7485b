"""Results of runs, read from the JSONs that they left."""
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable, List, Optional, Tuple, Union

from mmengine.logging import print_log

FILES = ('result.json', 'result_test.json')
ZERO_SHOT = 'zeroshot'  # methods that begin so were not trained


@dataclass(frozen=True)
class Record:
    """One evaluation on test images.

    Attributes:
        dataset: The data set it was tested on.
        method: The method, in the terms of :mod:`mmcoop.report.names`.
        backbone: open_clip's name of the CLIP.
        shots: Training images a class; None for all of them, or none at all
            (zero-shot).
        seed: Seed of the training run; None for zero-shot.
        top1: Top-1 accuracy in percent.
        class_subset: Classes it was tested on: 'base', 'new' or None (all).
        trained_on: The data set it was trained on if that is another one.
        path: The file.
        epochs: Epochs of training.
        cached_views: Views an image that training was limited to.
        selected_on: What was selected by, if anything was.
        num_test: Images it was tested on.
        trained_subset: Classes it was trained on, like ``class_subset``.
        pretrained: The CLIP's weights: a tag of open_clip, or a file's name.
        lists: 'published', or how the data set's lists differ.
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

    @property
    def zero_shot(self) -> bool:
        return self.method.startswith(ZERO_SHOT)

    @property
    def key(self) -> 'Record':
        """What was run, without what came out of it."""
        return replace(self, top1=0, path=Path(), num_test=None, lists=None)


def read_records(folders: Iterable[Union[str, Path]]) -> List[Record]:
    """Read every ``result.json`` and ``result_test.json`` below folders.

    Results on validation images, of runs without an evaluation, and of runs
    that name no method or no data set, are left out. Of two results of the
    same run the newer counts.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: A file that is no JSON object, or lacks its accuracy.
    """
    newest, left_out = {}, 0
    for path in _files(folders):
        result = _load(path)
        if not result.get('method') or not result.get('dataset'):
            left_out += 1
            continue
        if result.get('evaluated_on', 'test') != 'test' or \
                not result.get('metrics'):
            continue
        record, age = _record(result, path), _age(result, path)
        if record.key in newest:
            other, other_age = newest[record.key]
            old, new = other, record
            if age < other_age:
                (old, new), age = (new, old), other_age
            print_log(
                f'two results of one run: {new.path} counts, the older '
                f'{old.path} does not.', 'current', logging.WARNING)
            record = new
        newest[record.key] = record, age
    if left_out:
        print_log(
            f'{left_out} result files name no method or no data set: left '
            'out.', 'current', logging.INFO)
    return [record for record, _ in newest.values()]


def _files(folders: Iterable[Union[str, Path]]) -> List[Path]:
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


def _record(result: dict, path: Path) -> Record:
    run = result.get('trained_on')
    method = result['method']
    if method.startswith(ZERO_SHOT):
        run = dict(dataset=result['dataset'])
    elif run is None:
        run = dict(result, max_epochs=result.get('epochs'))
    source, epochs = run.get('dataset'), run.get('max_epochs')
    views = run.get('cached_views')
    if views and epochs and views >= epochs:
        views = None  # a new view in every epoch: the recipe
    return Record(
        dataset=result['dataset'],
        method=method,
        backbone=str(result.get('clip')),
        shots=run.get('shots'),
        seed=run.get('seed'),
        top1=top1_of(result, path),
        class_subset=result.get('class_subset'),
        trained_on=None if source == result['dataset'] else source,
        path=path,
        epochs=epochs,
        cached_views=views,
        selected_on=None if method.startswith(ZERO_SHOT) else
        result.get('selected_on') or None,
        num_test=result.get('num_images_evaluated'),
        trained_subset=run.get('class_subset'),
        pretrained=result.get('pretrained') and
        Path(str(result['pretrained'])).name,
        lists=result.get('lists'))


def top1_of(result: dict, path: Path) -> float:
    """Top-1 accuracy in percent of a result.

    Raises:
        ValueError: It has none.
    """
    metrics = result.get('metrics') or {}
    for name, value in metrics.items():
        if name.endswith('accuracy/top1'):
            return float(value)
    raise ValueError(f'{path} has no accuracy/top1 among its metrics '
                     f'({", ".join(metrics)}): test again.')


def _age(result: dict, path: Path) -> Tuple[str, float]:
    """What sorts results by age; copying a file does not make it newer."""
    return str(result.get('finished', '')), path.stat().st_mtime
