"""A table as Markdown, CSV and aligned text."""
import csv
import io
import re
from dataclasses import dataclass, field
from typing import List, Optional, Tuple, Union

EMPTY = '-'
SIGNED = re.compile(r'[+-]\d')


@dataclass(frozen=True)
class Score:
    """Top-1 accuracy in percent over the seeds of a run.

    Attributes:
        mean: Mean over seeds.
        std: Population standard deviation over seeds; None for one run.
        seeds: The seeds; empty where nothing is random, or for an average
            over data sets that were run with different seeds.
    """
    mean: float
    std: Optional[float] = None
    seeds: Tuple[int, ...] = ()

    def __str__(self) -> str:
        spread = '' if self.std is None else f' ± {self.std:.2f}'
        return f'{self.mean:.2f}{spread}'


Cell = Union[None, str, int, float, Score]


@dataclass
class Table:
    """Rows of text, numbers and scores.

    Attributes:
        name: The name of its files.
        title: What it shows.
        header: The name of each column.
        rows: One cell per column: text, a whole number, a number (with two
            digits), a score over seeds, or None where there is no value.
        notes: What a reader must know to compare the numbers.
    """
    name: str
    title: str
    header: List[str]
    rows: List[List[Cell]]
    notes: List[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The title as a heading, the table, and the notes as a list."""
        header, *rows = [[cell.replace('|', r'\|') for cell in row]
                         for row in self._format_cells()]
        rule = ['---'] + ['---:' if numeric else '---'
                          for numeric in self._find_numeric()[1:]]
        lines = [f'| {" | ".join(row)} |' for row in (header, rule, *rows)]
        if self.notes:
            lines += ['', *(f'- {note}' for note in self.notes)]
        return '\n'.join([f'## {self.title}', '', *lines]) + '\n'

    def text(self) -> str:
        """Aligned columns for a terminal."""
        cells, numeric = self._format_cells(), self._find_numeric()
        widths = [max(map(len, column)) for column in zip(*cells)]
        lines = ['  '.join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric)).rstrip()
                 for row in cells]
        lines.insert(1, '-' * (sum(widths) + 2 * len(widths) - 2))
        notes = [f'  {note}' for note in self.notes]
        return '\n'.join([self.title, *lines, *notes]) + '\n'

    def csv(self) -> str:
        """Numbers for programs, without the notes.

        A column of scores over seeds becomes three: mean, population
        standard deviation and number of seeds. Empty cells are '-':
        ``pandas.read_csv(na_values='-')`` reads them.
        """
        columns = []
        for name, cells in zip(self.header, self._columns()):
            column = [(name, f'{name} std', f'{name} seeds')]
            column += [_split_score(cell) for cell in cells]
            seeded = any(isinstance(c, Score) and c.seeds for c in cells)
            columns.append(column if seeded else [row[:1] for row in column])
        out = io.StringIO()
        writer = csv.writer(out, lineterminator='\n')
        writer.writerows(sum(row, ()) for row in zip(*columns))
        return out.getvalue()

    def _columns(self) -> List[Tuple[Cell, ...]]:
        return list(zip(*self.rows)) or [()] * len(self.header)

    def _find_numeric(self) -> List[bool]:
        return [any(isinstance(cell, (int, float, Score))
                    or SIGNED.match(str(cell)) for cell in column)
                for column in self._columns()]

    def _format_cells(self) -> List[List[str]]:
        seeds = tuple(sorted({
            seed for row in self.rows for cell in row
            if isinstance(cell, Score) for seed in cell.seeds}))
        return [self.header] + [[_format(cell, seeds) for cell in row]
                                for row in self.rows]


def slug(*words: Optional[str]) -> str:
    """Join words to a name that a file can have."""
    name = '-'.join(word for word in words if word)
    return re.sub(r'[^\w.+-]+', '_', name)


def _format(cell: Cell, seeds: Tuple[int, ...] = ()) -> str:
    """The text of a cell; a score over fewer than all seeds says so."""
    if cell is None:
        return EMPTY
    if isinstance(cell, float):
        return f'{cell:.2f}'
    if isinstance(cell, Score) and cell.seeds and cell.seeds != seeds:
        plural = 's' if len(cell.seeds) > 1 else ''
        return f'{cell} ({len(cell.seeds)} seed{plural})'
    return str(cell)


def _split_score(cell: Cell) -> Tuple[str, str, str]:
    """Mean, standard deviation and number of seeds of a cell."""
    if not isinstance(cell, Score):
        return _format(cell), EMPTY, EMPTY
    std = EMPTY if cell.std is None else f'{cell.std:.4f}'
    return f'{cell.mean:.4f}', std, str(len(cell.seeds) or EMPTY)
