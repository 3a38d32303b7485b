"""Tables and pictures as files."""
from pathlib import Path
from typing import List, Sequence, Union

from .pictures import draw
from .records import Record
from .tables import table


def write(kind: str, records: Sequence[Record],
          folder: Union[str, Path]) -> List[Path]:
    """Write the tables and pictures of a kind.

    Args:
        kind: One of :data:`mmcoop.protocol.tables.KINDS`.
        records: Results of any kinds.
        folder: Where to; made if it is not there.

    Returns:
        ``KIND.md`` with all of it, a CSV for each table, a PNG for each
        picture; nothing where no record belongs to the kind.
    """
    tables = table(kind, records)
    if not tables:
        return []
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw(kind, records, folder)
    parts = [f'# {kind}\n']
    parts += [f'![{path.stem}]({path.name})\n' for path in pictures]
    parts += [part.markdown() for part in tables]
    report = folder / f'{kind}.md'
    report.write_text('\n'.join(parts), encoding='utf-8')
    sheets = []
    for part in tables:
        sheets.append(folder / f'{part.name}.csv')
        sheets[-1].write_text(part.csv(), encoding='utf-8')
    return [report, *sheets, *pictures]
