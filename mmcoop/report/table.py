"""A table as Markdown, CSV and aligned text."""
import csv
import io
import re
from dataclasses import dataclass, field
from typing import List, Optional, Tuple, Union

from .scores import Score

Cell = Union[None, str, float, Score]
EMPTY = '-'
GAIN = re.compile(r'[+-]\d')


@dataclass
class Table:
    """Rows of words, numbers and scores.

    Attributes:
        name: A name that files can have.
        title: What it shows.
        header: The name of each column.
        rows: A cell each column: words, a number (a percentage), a score
            over seeds, or None where there is nothing.
        notes: What must be known to read it.
    """
    name: str
    title: str
    header: List[str]
    rows: List[List[Cell]]
    notes: List[str] = field(default_factory=list)

    @property
    def seeds(self) -> Tuple[int, ...]:
        """Seeds of any score in the table."""
        return tuple(sorted({
            seed
            for row in self.rows for cell in row if isinstance(cell, Score)
            for seed in cell.seeds
        }))

    def markdown(self) -> str:
        """The title as a heading, the table, the notes as a list."""
        cells = [[text.replace('|', r'\|') for text in row]
                 for row in self._cells()]
        rule = ['---'] + ['---:' if right else '---'
                          for right in self._numeric()[1:]]
        lines = ['| ' + ' | '.join(row) + ' |'
                 for row in (cells[0], rule, *cells[1:])]
        notes = [''] + [f'- {note}' for note in self.notes]
        return '\n'.join([f'## {self.title}', '', *lines,
                          *(notes if self.notes else [])]) + '\n'

    def text(self) -> str:
        """The same for a terminal."""
        cells, numeric = self._cells(), self._numeric()
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = ['  '.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric)).rstrip()
                 for row in cells]
        lines.insert(1, '-' * (sum(widths) + 2 * len(widths) - 2))
        notes = [f'  {note}' for note in self.notes]
        return '\n'.join([self.title, *lines, *notes]) + '\n'

    def csv(self) -> str:
        """Numbers for programs, without notes.

        A column of scores over seeds becomes three: mean, population
        standard deviation and number of seeds. Empty cells are '-', which
        ``pandas.read_csv(na_values='-')`` understands.
        """
        wide = [any(isinstance(row[i], Score) and row[i].seeds
                    for row in self.rows) for i in range(len(self.header))]
        header = []
        for name, three in zip(self.header, wide):
            header += [name, f'{name} std', f'{name} seeds'] if three \
                else [name]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator='\n')
        writer.writerow(header)
        for row in self.rows:
            values = []
            for cell, three in zip(row, wide):
                values += _numbers(cell) if three else _numbers(cell)[:1]
            writer.writerow(values)
        return out.getvalue()

    def _numeric(self) -> List[bool]:
        return [any(isinstance(row[i], (float, Score)) or
                    GAIN.match(str(row[i])) for row in self.rows)
                for i in range(len(self.header))]

    def _cells(self) -> List[List[str]]:
        seeds = self.seeds
        return [self.header] + [[_text(cell, seeds) for cell in row]
                                for row in self.rows]


def slug(*words: Optional[str]) -> str:
    """Words joined to a name that files can have."""
    name = '-'.join(word for word in words if word)
    return re.sub(r'[^\w.+-]+', '_', name)


def _text(cell: Cell, seeds: Tuple[int, ...]) -> str:
    if cell is None:
        return EMPTY
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float):
        return f'{cell:.2f}'
    if cell.seeds and cell.seeds != seeds:
        plural = 's' if len(cell.seeds) > 1 else ''
        return f'{cell} ({len(cell.seeds)} seed{plural})'
    return str(cell)


def _numbers(cell: Cell) -> List[str]:
    if not isinstance(cell, Score):
        return [_text(cell, ()), EMPTY, EMPTY]
    return [f'{cell.mean:.4f}', _deviation(cell.deviation),
            str(len(cell.seeds)) if cell.seeds else EMPTY]


def _deviation(value: Optional[float]) -> str:
    return EMPTY if value is None else f'{value:.4f}'
