"""Writing files that are whole or not there."""
import contextlib
import os
import uuid
from pathlib import Path
from typing import Iterator, Union

TEMPORARY = '.{name}.{unique}.tmp'


@contextlib.contextmanager
def replacing(path: Union[str, Path]) -> Iterator[Path]:
    """Write to a temporary file, which becomes ``path`` at the end.

    Whatever happens in between (an error, a kill, a full disk, no power),
    ``path`` is what it was before or what was written, never a part of it.

    Args:
        path: The file to make or to replace, in a folder that exists.

    Yields:
        The temporary path, in the same folder, to write to.

    Example:
        >>> with replacing('result.json') as temporary:
        ...     temporary.write_text('{}')
    """
    path = Path(path)
    temporary = path.with_name(TEMPORARY.format(
        name=path.name, unique=uuid.uuid4().hex))
    try:
        yield temporary
        # else a crash of the machine could leave an empty file
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove temporary files that killed processes left in a folder."""
    pattern = TEMPORARY.format(name='*', unique='[0-9a-f]' * 32)
    for path in Path(folder).glob(pattern):
        with contextlib.suppress(OSError):
            path.unlink()
