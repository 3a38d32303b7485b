"""Writing files that are whole or not there."""
import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from pathlib import Path
from typing import Iterator, Set, Union

TEMPORARY = '.{name}.{unique}.tmp'
PROBE = 'mmcoop'
FULL = errno.ENOSPC, errno.EDQUOT
READ_ONLY = errno.EROFS, errno.EACCES, errno.EPERM


@contextlib.contextmanager
def replacing(path: Union[str, Path]) -> Iterator[Path]:
    """Write to a temporary file, which becomes ``path`` at the end.

    Whatever happens in between (an error, a kill, a full disk, no power),
    ``path`` is what it was before or what was written, never a part of it.
    A temporary file that a killed process left of the same path is removed.

    Args:
        path: The file to make or to replace, in a folder that exists.

    Yields:
        The temporary path, in the same folder, to write to.

    Raises:
        OSError: It cannot be written; the message names the file, the reason
            and the remedy.

    Example:
        >>> with replacing('result.json') as temporary:
        ...     temporary.write_text('{}')
    """
    path = Path(path)
    temporary = path.with_name(TEMPORARY.format(
        name=path.name, unique=uuid.uuid4().hex))
    with explain_errors(path, temporary):
        remove_leftovers(path.parent, path.name)
        held = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with contextlib.suppress(OSError):  # not on every file system
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            # else a crash of the machine could leave an empty file
            with open(temporary, 'rb+') as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            os.close(held)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Union[str, Path], name: str = '*') -> None:
    """Remove temporary files that killed processes left in a folder.

    Those that a living process writes are locked, and stay.

    Args:
        folder: The folder.
        name: The file that they were to become; any by default.
    """
    if name != '*':
        name = ''.join(f'[{c}]' if c in '*?[' else c for c in name)
    pattern = TEMPORARY.format(name=name, unique='[0-9a-f]' * 32)
    for path in Path(folder).glob(pattern):
        with contextlib.suppress(OSError):
            held = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(held)


@contextlib.contextmanager
def holding(folder: Union[str, Path], first: bool = True) -> Iterator[None]:
    """Let one run at a time work in a folder, where locks are known.

    Args:
        folder: The folder.
        first: Whether this is the run's first process, which holds it.

    Raises:
        RuntimeError: Another run does.
    """
    if not first:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f'another run is writing into {folder}, and each would '
                'replace what the other saves: name another --work-dir, or '
                'wait for its end.') from None
        except OSError:  # not on every file system
            pass
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    while _held:
        os.close(_held.pop())


_held: Set[int] = set()
# loader processes, which may outlive a killed run for seconds
os.register_at_fork(after_in_child=_let_go)


def check_writable(folder: Union[str, Path]) -> None:
    """Make a folder, and check that a file can be written into it.

    To be called before expensive work.

    Raises:
        OSError: It cannot.
    """
    folder = Path(folder)
    probe = folder / TEMPORARY.format(name=PROBE, unique=uuid.uuid4().hex)
    with explain_errors(folder, folder):
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, PROBE)
        try:
            with open(probe, 'wb') as file:
                file.write(b'0' * 4096)  # a page: an empty file always fits
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain(error, folder) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)


@contextlib.contextmanager
def explain_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Say what could not be written, in one sentence.

    Args:
        path: What is written.
        temporary: The file, or folder, that is opened for it.
    """
    try:
        yield
    except OSError as error:
        named = error.filename is not None and \
            str(error.filename) == str(temporary)
        if is_explained(error) or not (named or is_full(error)):
            raise
        raise explain(error, path) from error
    except RuntimeError as error:
        # torch.save into a path; its errors have no type and no reason
        if 'PytorchStreamWriter' not in str(error) and \
                'inline_container' not in str(error):
            raise
        raise explain(OSError(errno.ENOSPC, 'torch could not write all of '
                              'it, as on a full disk'), path) from error


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk is full or read-only.

    Those of one file's permissions count only where it is named.
    """
    return error.errno in (*FULL, errno.EROFS, errno.EIO)


def is_explained(error: OSError) -> bool:
    """Whether it is an error that :func:`explain` made."""
    return error.errno is not None and error.strerror is None


def explain(error: OSError, path: Union[str, Path]) -> OSError:
    """The same error with a sentence that names file, reason and remedy."""
    path = Path(path)
    reason, remedy = error.strerror or str(error), 'Write to another folder.'
    if error.errno in FULL:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(_existing(path)).free
            reason += f' ({free / 2**20:.1f} MiB free)'
        remedy = 'Free some space, or write to another folder.'
    elif error.errno in READ_ONLY:
        remedy = 'Make it writable, or write to another folder.'
    elif error.errno == errno.ENOENT and not path.parent.exists():
        reason, remedy = f'there is no folder {path.parent}', 'Make it first.'
    explained = type(error)(f'cannot write {path}: {reason}. {remedy}')
    explained.errno = error.errno
    return explained


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if place.exists()),
                Path('/'))
