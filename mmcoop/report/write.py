"""Write tables and figures to files."""
from pathlib import Path
from typing import List, Sequence, Union

from ..files import replacing
from .records import Record
from .table import Table
from .tables import table


def write(kind: str, records: Sequence[Record],
          folder: Union[str, Path]) -> List[Path]:
    """Write the tables and figures of a kind.

    Args:
        kind: One of :data:`mmcoop.report.KINDS`.
        records: Results, also of other kinds.
        folder: The folder to write to; it is made if it does not exist.

    Returns:
        The files: those of :func:`write_tables`, and a PNG for each figure;
        none where no record belongs to the kind.
    """
    tables = table(kind, records)
    if not tables:
        return []
    from .pictures import draw  # imports matplotlib
    Path(folder).mkdir(parents=True, exist_ok=True)
    return write_tables(kind, tables, folder, draw(kind, records, folder))


def write_tables(kind: str, tables: Sequence[Table],
                 folder: Union[str, Path],
                 pictures: Sequence[Path] = ()) -> List[Path]:
    """Write ``KIND.md`` with tables and figures, and a CSV for each table."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f'# {kind}\n']
    parts += [f'![{path.stem}]({path.name})\n' for path in pictures]
    parts += [part.markdown() for part in tables]
    report = folder / f'{kind}.md'
    _write(report, '\n'.join(parts))
    sheets = []
    for part in tables:
        sheets.append(folder / f'{part.name}.csv')
        _write(sheets[-1], part.csv())
    return [report, *sheets, *pictures]


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')
