"""Files of the published codes of CoOp, CoCoOp, KgCoOp, ProGrad and MaPLe.

All of them save through Dassl: ``<run>/<module>/model.pth.tar-<epoch>`` with
the state dict of what is learned, and beside it the pickled optimiser and
scheduler, whose code is never run here. Sources: KaiyangZhou/CoOp
(``trainers/coop.py``, ``cocoop.py``), muzairkhattak/multimodal-prompt-learning
(``trainers/maple.py``), KaiyangZhou/Dassl.pytorch (``utils/torchtools.py``).
"""
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Union

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from ..files import replacing
from ..safe_load import reason_of, refuse_code

BUFFERS = ('token_prefix', 'token_suffix')
# KgCoOp's code makes and saves them, and never uses them
UNUSED = ('bias_vectors', 'meta_net.linear1.weight', 'meta_net.linear1.bias')
# what optimisers and schedulers are made of
KNOWN_MODULES = ('torch.optim.', 'dassl.', 'collections.', 'numpy.')
# files of torch before 1.6 cannot be searched for what they ask for
USUAL_NAMES = ('torch.optim.sgd.SGD', 'collections.defaultdict',
               'torch.optim.lr_scheduler.CosineAnnealingLR', 'builtins.dict')
MODULE = dict(MaPLe='MultiModalPromptLearner')  # the others': prompt_learner


@dataclass(frozen=True)
class Published:
    """What a published checkpoint holds.

    Attributes:
        path: The file.
        method: ``CoOp`` (or KgCoOp, ProGrad, which save the same),
            ``CoCoOp`` or ``MaPLe``.
        tensors: What is learned, by its published names; ``ctx`` is (M, D) or
            (K, M, D).
        buffers: ``token_prefix`` (K, 1, D) and ``token_suffix`` (K, n, D), the
            embedded class names; a file may lack them.
        epoch: The epoch after which it was saved.
    """
    path: Path
    method: str
    tensors: Dict[str, torch.Tensor]
    buffers: Dict[str, torch.Tensor]
    epoch: int

    @property
    def precision(self) -> str:
        """``fp16`` or ``fp32``, of the context."""
        return 'fp16' if self.tensors['ctx'].dtype == torch.half else 'fp32'


def find_published(path: Union[str, os.PathLike]) -> Path:
    """The checkpoint of a path: itself, or of a run's folder the best or last.

    Raises:
        FileNotFoundError: There is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    for folder in (path, path / 'prompt_learner', path / MODULE['MaPLe']):
        best, note = folder / 'model-best.pth.tar', folder / 'checkpoint'
        if best.is_file():
            return best
        if note.is_file():
            last = folder / Path(note.read_text().strip()).name
            if last.is_file():
                return last
    raise FileNotFoundError(
        f'there is no published checkpoint at {path}: give a '
        'model.pth.tar-N, or the folder of a run (.../seed1).')


def read_published(path: Union[str, os.PathLike]) -> Published:
    """Read a published checkpoint, without running the code of its pickles.

    Args:
        path: A ``model.pth.tar-N``, or the folder of a run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, asks for code that has no place in such a
            file, or has no learned context.
    """
    path = find_published(path)
    content = _read_inert(path)
    state = content.get('state_dict') if isinstance(content, dict) else None
    state = {} if not isinstance(state, dict) else {
        str(key).removeprefix('module.'): value  # DataParallel's
        for key, value in state.items() if isinstance(value, torch.Tensor)}
    if 'prompt_learner.ctx' in state:  # MaPLe saves the whole CLIP as well
        state = {key.removeprefix('prompt_learner.'): value
                 for key, value in state.items()
                 if key.startswith('prompt_learner.')}
    if 'ctx' not in state or state['ctx'].ndim not in (2, 3):
        raise ValueError(
            f'{path} holds no learned context (state_dict["ctx"]): it is no '
            'checkpoint of CoOp, CoCoOp, KgCoOp, ProGrad or MaPLe.')
    buffers = {key: state.pop(key) for key in BUFFERS if key in state}
    method = 'MaPLe' if 'proj.weight' in state else \
        'CoCoOp' if 'meta_net.linear2.weight' in state else 'CoOp'
    if method == 'CoOp':
        state = {key: value for key, value in state.items()
                 if key not in UNUSED}
    epoch = content.get('epoch')
    return Published(path, method, state, buffers,
                     epoch if isinstance(epoch, int) else 0)


class _Inert:
    """Stands for an object of a pickle; it keeps and does nothing."""

    def __init__(self, *args) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _read_inert(path: Path) -> Any:
    """``torch.load`` with ``weights_only=True``, and inert stand-ins.

    Raises:
        ValueError: It is damaged, or asks for anything else.
    """
    try:
        with path.open('rb') as file:
            is_archive = file.read(4) == b'PK\x03\x04'
        names = get_unsafe_globals_in_checkpoint(path) if is_archive \
            else USUAL_NAMES
        odd = [name for name in names if name != 'builtins.dict'
               and not name.startswith(KNOWN_MODULES)]
        if not odd:
            with safe_globals([_stand_in(name) for name in names]):
                return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        refuse_code(str(path), error)
        raise ValueError(
            f'{path} is damaged or no checkpoint of the published codes: '
            f'{reason_of(error)}') from error
    raise ValueError(
        f'{path} asks for {", ".join(odd)}, which has no place in a '
        'checkpoint of the published codes: nothing of it is read.')


def _stand_in(name: str) -> Callable:
    # torch.load knows what is allowed by its module and name
    module, _, name = name.rpartition('.')
    if name == 'defaultdict':  # the momenta of an optimiser; torch fills them
        def plain(*args) -> dict:
            return {}
        plain.__module__ = module
        plain.__name__ = plain.__qualname__ = name  # torch 2.6 reads __name__
        return plain
    return type(name, (_Inert, ), dict(__module__=module))


def write_published(published: Published, run: Path) -> Path:
    """Write a checkpoint as the published codes do, less the optimiser.

    They load it with ``--model-dir RUN --load-epoch N``.

    Args:
        published: Its ``path`` is not read.
        run: The folder of the run.

    Returns:
        ``RUN/prompt_learner/model.pth.tar-N``.
    """
    maple = published.method == 'MaPLe'
    folder = run / MODULE.get(published.method, 'prompt_learner')
    path = folder / f'model.pth.tar-{published.epoch}'
    state = OrderedDict(
        (f'prompt_learner.{key}' if maple else key, value.contiguous())
        for key, value in {**published.tensors, **published.buffers}.items())
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(dict(state_dict=state, epoch=published.epoch,
                        val_result=None), temporary)
    with replacing(folder / 'checkpoint') as temporary:
        temporary.write_text(f'{path.name}\n')
    return path
