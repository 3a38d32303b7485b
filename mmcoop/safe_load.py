"""Read files of other people without running anything in them.

Files of ``torch.save`` are pickles, and TorchScript archives hold programs:
``torch.jit.load`` runs their ``__setstate__``, which may write files. Here the
first are read with ``weights_only=True``; of the second the tensors are read,
and their classes stand for bags of attributes.
"""
import collections
import os
import pickle
import re
import zipfile
from typing import Any, Dict, List, Optional, Set

import torch

STRETCHED = 2**30  # bytes that views of a file's tensors may have beyond it
STORAGES = dict(
    HalfStorage=torch.half, BFloat16Storage=torch.bfloat16,
    FloatStorage=torch.float, DoubleStorage=torch.double,
    LongStorage=torch.long, IntStorage=torch.int, ShortStorage=torch.short,
    CharStorage=torch.int8, ByteStorage=torch.uint8, BoolStorage=torch.bool)
# torch names the object that it will not make
_REFUSED = re.compile(
    r"(?:GLOBAL|unrecognized function) +(?:<\S+ \S+ )?'?([\w.]+)")


class UnsafeFileError(ValueError):
    """A file would run code if it were read as its format is meant to be."""


def check_is_safe(filename: str) -> Any:
    """Read a file of ``torch.save`` that holds tensors and plain values only.

    mmengine 0.11 disables this default of torch, so checkpoints go through
    here first.

    Args:
        filename: Path or http(s) URL of a checkpoint.

    Returns:
        What is in the file; None if there is none.

    Raises:
        UnsafeFileError: It holds other pickled objects.
        ValueError: The file is damaged, a TorchScript archive, takes far more
            memory than its size, or is on another kind of remote storage.
    """
    try:
        if filename.startswith(('http://', 'https://')):
            return torch.hub.load_state_dict_from_url(
                filename, map_location='cpu', weights_only=True)
        if '://' in filename:
            raise ValueError('copy it to this machine first, so that it can '
                             'be looked at before it is loaded')
        if not os.path.isfile(filename):
            return None
        if is_torchscript(filename):
            raise ValueError('it is a TorchScript archive, which holds a '
                             'program and no state dict')
        _check_unpacked_size(filename)
        content = torch.load(filename, map_location='cpu', weights_only=True)
        _check_tensors(content)
        return content
    except PermissionError:
        raise  # it names the file
    except Exception as error:  # a damaged pickle raises anything
        refuse_code(filename, error)
        raise ValueError(f'{filename} is damaged or no checkpoint: '
                         f'{reason_of(error)}') from error


def _check_unpacked_size(path: str) -> None:
    """Refuse an archive that a few kilobytes would make gigabytes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > os.path.getsize(path):  # torch does not compress
            raise ValueError(f'it unpacks to {size:,} bytes')


def _check_tensors(content: Any) -> None:
    """Refuse tensors that cannot be computed with, or only look large."""
    waiting, seen = [content], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, torch.Tensor):
            if part.layout != torch.strided or part.is_nested or \
                    part.device.type != 'cpu':
                raise ValueError('it holds a tensor that is sparse, nested or '
                                 'without values')
            size = part.numel() * part.element_size()
            if size > part.untyped_storage().nbytes() + STRETCHED:
                raise ValueError(f'it holds a tensor of {size:,} bytes that '
                                 'are not in the file')
        elif isinstance(part, (dict, list, tuple)) and id(part) not in seen:
            seen.add(id(part))  # they may hold themselves
            waiting += part.values() if isinstance(part, dict) else part


def refuse_code(path: str, error: Exception) -> None:
    """Say so if an object in a file was the reason that it was not read.

    Raises:
        UnsafeFileError: It was; the message names the object.
    """
    found = _REFUSED.search(str(error))
    if found is not None:
        raise UnsafeFileError(
            f'{path} holds pickled objects that would run code ({found[1]}), '
            'so nothing of it is read: only tensors and plain values are. '
            'Ask its maker for the state dict alone, or for safetensors.'
        ) from error


def reason_of(error: Exception) -> str:
    """One line of an error, without torch's advice to run the file's code."""
    lines = [line.split('WeightsUnpickler error: ')[-1].strip()
             for line in str(error).splitlines()]
    lines = [line[:200] for line in lines
             if line and not re.search('weights.only', line, re.IGNORECASE)]
    return ': '.join([type(error).__name__, *lines[:1]])


def is_torchscript(path: str) -> bool:
    """Whether a file is an archive of ``torch.jit.save``."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith('/constants.pkl')
                       for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False  # whoever reads it says so


def read_torchscript(path: str) -> Dict[str, torch.Tensor]:
    """``torch.jit.load(path).state_dict()``, without loading a program.

    Args:
        path: An archive of ``torch.jit.save``.

    Returns:
        Parameters and buffers by name, on the CPU.

    Raises:
        UnsafeFileError: Its pickle asks for other than TorchScript's objects.
        Exception: Whatever a damaged archive raises.
    """
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist()
                    if name.endswith('/constants.pkl'))
        root = name[:-len('constants.pkl')]
        with archive.open(f'{root}data.pkl') as file:
            try:
                module = _Unpickler(file, archive, root).load()
            except pickle.UnpicklingError as error:
                refuse_code(path, error)
                raise
        state: Dict[str, torch.Tensor] = {}
        _collect(module, '', state, archive, root, [])
    return state


class _Bag:
    """Stands for a TorchScript object; only its attributes are kept."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    """Makes tensors, plain values and bags; nothing else.

    Each name gives an object of its own, so that a pickle cannot change one
    that others use.
    """

    def __init__(self, file: Any, archive: zipfile.ZipFile,
                 root: str) -> None:
        super().__init__(file)
        self.archive, self.root = archive, root
        self.storages: Dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split('.')[0] == '__torch__':
            return type('Bag', (_Bag, ), dict(kind=f'{module}.{name}'))
        if module == 'torch' and name in STORAGES:
            return name
        if (module, name) == ('collections', 'OrderedDict'):
            return lambda *args: collections.OrderedDict(*args)
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return lambda storage, start, size, stride, *_: torch.as_strided(
                storage, size, stride, start)
        if module == 'torch.jit._pickle':  # lists and dicts with their type
            return lambda value, *_: value
        raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')

    def persistent_load(self, pid: Any) -> torch.Tensor:
        _, kind, key, _, count = pid  # 'storage', type, file, device, length
        if key not in self.storages:
            # as torch writes them: what unpacks to terabytes is refused
            info = self.archive.getinfo(f'{self.root}data/{key}')
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError('its tensors are compressed')
            raw = bytearray(self.archive.read(info))
            self.storages[key] = torch.frombuffer(
                raw, dtype=STORAGES[kind]) if raw else torch.empty(
                    0, dtype=STORAGES[kind])
        if len(self.storages[key]) < count:
            raise ValueError(f'its tensor {key} is cut short')
        return self.storages[key]


def _collect(module: Any, prefix: str, state: Dict[str, torch.Tensor],
             archive: zipfile.ZipFile, root: str, above: List[Any]) -> None:
    if any(module is other for other in above):
        raise ValueError('its modules contain themselves')
    names = _learned_names(module, archive, root)
    for key, value in vars(module).items():
        if isinstance(value, torch.Tensor):
            if names is None or key in names:
                state[prefix + key] = value
        elif isinstance(value, _Bag):
            _collect(value, f'{prefix}{key}.', state, archive, root,
                     [*above, module])


def _learned_names(module: _Bag, archive: zipfile.ZipFile,
                   root: str) -> Optional[Set[str]]:
    """Parameters and buffers of a class, of its text; None: it is silent."""
    *path, name = module.kind.split('.')
    place = f'{root}code/{"/".join(path)}.py'
    if place not in archive.NameToInfo:
        return None
    text = archive.read(place).decode()
    found = re.search(
        rf'^class {re.escape(name)}\(Module\):\n'
        r' +__parameters__ = \[(.*)\]\n +__buffers__ = \[(.*)\]',
        text, re.MULTILINE)
    return found and set(re.findall(r'"([^"]*)"', found[1] + found[2]))
