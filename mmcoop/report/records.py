"""Results of runs: read from JSON files, and as a pandas DataFrame."""
import json
import logging
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import (TYPE_CHECKING, Iterable, List, Optional, Sequence, Tuple,
                    Union)

from ..methods import find_method
from .names import ALL_IMAGES
from .protocols import VAL_FREE, protocol_of

if TYPE_CHECKING:
    from pandas import DataFrame

FILES = ('result.json', 'result_test.json')
# runs that differ only in these settings are rows of the same table
CELL = ['dataset', 'method', 'backbone', 'shots', 'class_subset',
        'trained_on', 'trained_subset']
SETTINGS = ['epochs', 'cached_views', 'protocol', 'selection', 'pretrained',
            'noise_seed']
# where a setting is compared, if not in a cell: a method has one protocol in
# all of a table, and a way to select only counts beside others of its protocol
COMPARED_IN = {'protocol': ['method'], 'selection': [*CELL, 'protocol']}


@dataclass(frozen=True)
class Record:
    """One evaluation on test images, with the settings of its training."""
    dataset: str  # tested on
    method: str  # its name in the metafiles
    backbone: str  # open_clip's name of the CLIP
    shots: Optional[int]  # None: all training images, or zero-shot
    seed: Optional[int]  # of the training run; None: nothing is random
    top1: float  # in percent
    class_subset: Optional[str]  # tested on 'base', 'new' or None (all)
    trained_on: Optional[str]  # the data set, if it is another one
    path: Path  # the result file
    epochs: Optional[int] = None
    cached_views: Optional[int] = None  # per image, if limited to some
    selected_on: Optional[str] = None  # what a checkpoint was selected by
    num_test: Optional[int] = None  # number of test images
    trained_subset: Optional[str] = None  # like class_subset
    pretrained: Optional[str] = None  # open_clip's tag, or a file's name
    lists: Optional[str] = None  # 'published', or how image lists differ
    protocol: str = VAL_FREE  # a key of PROTOCOLS
    noise: float = 0.  # the part of the training labels that is wrong
    noise_kind: Optional[str] = None
    noise_seed: Optional[int] = None  # if it is not that of the draw
    # these follow from the run: they do not tell two runs apart
    recipe_epochs: Optional[int] = field(default=None, compare=False)
    learned_parameters: Optional[int] = field(default=None, compare=False)
    # measured in the run
    wrong: Optional[float] = field(default=None, compare=False)  # of noise
    ece: Optional[float] = field(default=None, compare=False)  # in percent
    seconds: Optional[float] = field(default=None, compare=False)
    host_mib: Optional[int] = field(default=None, compare=False)
    gpu_mib: Optional[int] = field(default=None, compare=False)
    device: Optional[str] = field(default=None, compare=False)
    selected: Tuple[str, ...] = field(default=(), compare=False)

    @property
    def zero_shot(self) -> bool:
        """Whether nothing was trained."""
        return is_zero_shot(self.method, self.learned_parameters)

    @property
    def key(self) -> 'Record':
        """What identifies the run; results of the same run have the same."""
        return replace(self, top1=0, path=Path(), num_test=None, lists=None,
                       selected_on=self.selection)

    @property
    def selection(self) -> Optional[str]:
        """What a checkpoint was selected by, without details."""
        return self.selected_on and self.selected_on.split(',')[0]


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
    from mmengine.logging import print_log  # imports torch
    newest, unnamed = {}, 0
    for path in _find_files(folders):
        result = load_result(path)
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
            print_log(f'two results of one run: {record.path} counts, the '
                      f'older {old.path} does not.', 'current',
                      logging.WARNING)
        newest[record.key] = age, record
    if unnamed:
        print_log(f'{unnamed} result files name no method or no data set: '
                  'left out.', 'current')
    return [record for _, record in newest.values()]


def load_result(path: Path) -> dict:
    """Load a result file.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        result = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f'{path} is no JSON ({error}): remove it, and run '
                         'again.') from None
    if not isinstance(result, dict):
        raise ValueError(f'{path} is no result of a run: remove it.')
    return result


def top1_of(result: dict, path: Path) -> float:
    """The top-1 accuracy of a result, in percent.

    Raises:
        ValueError: The result has none.
    """
    top1 = _metric(result, 'accuracy/top1')
    if top1 is None:
        raise ValueError(f'{path} has no accuracy/top1 among its metrics '
                         f'({", ".join(result.get("metrics") or {})}): test '
                         'again.')
    return top1


def _metric(result: dict, name: str) -> Optional[float]:
    return next((float(value) for key, value
                 in (result.get('metrics') or {}).items()
                 if key.endswith(name)), None)


def load_pandas():
    """Import pandas; without it, raise an ImportError with the remedy."""
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "tables need pandas: pip install -e '.[report]'") from None
    return pandas


def make_frame(records: Sequence[Record]) -> 'DataFrame':
    """Make a DataFrame with a row for each record.

    The columns are the attributes of a Record (None stays None), but shots
    are 0 for zero-shot and ``ALL_IMAGES`` for all images, and the seed is -1
    where nothing is random. The name of a method is in the column ``name``;
    in ``method`` settings that differ from other runs follow it in brackets.
    ``learns`` says whether anything was trained, and ``selection`` what a
    checkpoint was selected by, without details.
    """
    pandas = load_pandas()
    frame = pandas.DataFrame(
        [vars(record) for record in records], dtype=object,
        columns=[column.name for column in fields(Record)])
    learns = [not record.zero_shot for record in records]
    frame = frame.assign(
        name=frame.method,
        learns=learns,
        shots=[(ALL_IMAGES if shots is None else shots) if learned else 0
               for shots, learned in zip(frame.shots, learns)],
        seed=[-1 if seed is None else seed for seed in frame.seed],
        selection=pandas.Series([record.selection for record in records],
                                dtype=object))
    frame = frame.astype(dict(top1=float, shots=float, seed=int, learns=bool,
                              noise=float))
    varies = [frame.groupby(COMPARED_IN.get(name, CELL), dropna=False)[name]
              .transform('nunique', dropna=False) > 1 for name in SETTINGS]
    return frame.assign(
        method=list(map(_name_run, frame.itertuples(), zip(*varies))))


def _name_run(run, varies: Sequence[bool]) -> str:
    """Name seeds differently that must not be averaged together."""
    labels = (
        run.epochs != run.recipe_epochs and f'{run.epochs} epochs',
        run.cached_views and f'{run.cached_views} views',
        run.protocol,
        run.selection or 'nothing selected',
        run.pretrained != 'openai' and run.pretrained,
        run.noise_seed is not None and f'noise seed {run.noise_seed}')
    shown = [label for label, varied in zip(labels, varies)
             if varied and label]
    return f'{run.name} ({", ".join(shown)})' if shown else run.name


def most_shots(frame: 'DataFrame') -> Optional[float]:
    """The largest number of shots, None if nothing was trained.

    Runs on all images count only if there are no others.
    """
    shots = set(frame.shots) - {0}
    return max(shots - {ALL_IMAGES} or shots, default=None)


def select_methods(frame: 'DataFrame', *names: Optional[str]) -> 'DataFrame':
    """Select the runs of methods, whatever their settings."""
    return frame[frame.name.isin(names)]


def _find_files(folders: Iterable[Union[str, Path]]) -> List[Path]:
    paths = {}  # in order; a folder may lie in another one
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise FileNotFoundError(
                f'there is no folder {folder}: name the work folders of runs.')
        found = (path for name in FILES for path in folder.rglob(name))
        paths.update((path.resolve(), path) for path in sorted(found))
    return list(paths.values())


def _make_record(result: dict, path: Path) -> Record:
    parameters = result.get('learned_parameters')
    zero_shot = is_zero_shot(result['method'], parameters)
    if zero_shot:
        run = dict(dataset=result['dataset'])
        if result.get('tta'):  # its views or order are random
            run['seed'] = result.get('seed')
    else:  # a test has the settings of the training run in trained_on
        run = result.get('trained_on') or dict(
            result, max_epochs=result.get('epochs'))
    source, epochs = run.get('dataset'), run.get('max_epochs')
    views = run.get('cached_views')
    if views and epochs and views >= epochs:
        views = None  # a new view in every epoch, as in the recipe
    pretrained, noise = result.get('pretrained'), run.get('label_noise') or {}
    memory = result.get('peak_memory_mib') or {}
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
        protocol=protocol_of(dict(result, selected_on=None)
                             if zero_shot else result),
        noise=noise.get('rate', 0.),
        noise_kind=noise.get('kind'),
        noise_seed=None if noise.get('seed') == run.get('seed')
        else noise.get('seed'),
        recipe_epochs=run.get('recipe_epochs', result.get('recipe_epochs')),
        learned_parameters=parameters,
        wrong=noise['flipped'] / noise['images'] if noise else None,
        ece=_metric(result, 'calibration/ece'),
        seconds=result.get('seconds_of_training'),
        host_mib=memory.get('host'),
        gpu_mib=memory.get('gpu'),
        device=result.get('device'),
        selected=tuple(result.get('selected') or ()))
