"""The last checkpoint of a run, whatever has happened to its folder."""
import logging
import os
from pathlib import Path
from typing import Optional, Tuple, Union

from mmengine.logging import print_log

from .safe_load import check_is_safe, reason_of

NOTE = 'last_checkpoint'  # where mmengine's CheckpointHook writes its path


def find_last_checkpoint(folder: Union[str, os.PathLike]) -> Optional[str]:
    """The last whole checkpoint of a run.

    It is the one that ``last_checkpoint`` names, looked for in ``folder``
    first: a run may have been moved or copied. If a kill left that note empty
    or it names no whole checkpoint, the latest whole one of ``folder`` is
    taken. Files that cannot be read are left out with a warning;
    ``best_*.pth`` are, as they hold no state to go on from.

    Args:
        folder: The work directory of the run.

    Returns:
        Its path; None if there is no checkpoint.

    Raises:
        ValueError: There are checkpoints, and none can be read.
    """
    folder, damaged = Path(folder), {}
    noted = _read_note(folder)
    for path in filter(None, (noted and folder / noted.name, noted)):
        if path.is_file():
            if _read(path, damaged) is not None:
                return str(path)
            break
    found = []
    for path in sorted(folder.glob('*.pth')):
        if path.name.startswith('best_') or str(path) in damaged:
            continue
        order = _read(path, damaged)
        if order is not None:
            found.append((order, str(path)))
    if found:
        last = max(found)[1]
        if damaged:
            print_log(f'{_list(damaged)}: left out; {last} is taken.',
                      'current', logging.WARNING)
        return last
    if damaged:
        raise ValueError(
            f'no checkpoint in {folder} can be read: {_list(damaged)}. Remove '
            'them to start anew.')
    return None


def _read_note(folder: Path) -> Optional[Path]:
    try:
        text = (folder / NOTE).read_text(encoding='utf-8').strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Path(text) if text else None


def _read(path: Path, damaged: dict) -> Optional[Tuple[str, int, int]]:
    """When a checkpoint was written; None, and a reason, if it is not whole.
    """
    try:
        content = check_is_safe(str(path))
    except (OSError, ValueError) as error:
        damaged[str(path)] = reason_of(error.__cause__ or error)
        return None
    if not isinstance(content, dict) or 'state_dict' not in content:
        damaged[str(path)] = 'it is no checkpoint of a run'
        return None
    meta = content.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    count = meta.get('iter')
    return (str(meta.get('time', '')), count if isinstance(count, int) else 0,
            path.stat().st_mtime_ns)


def _list(damaged: dict) -> str:
    return '; '.join(f'{path} ({reason})' for path, reason in damaged.items())
