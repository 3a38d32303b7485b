"""Progress of long work: a bar on a terminal, now and then a line elsewhere.

Work of any part reports to :func:`begin`; it is shown while a
:class:`Display` is open (:class:`mmcoop.ConsoleHook` opens one) and otherwise
costs nothing.
"""
import sys
import time
from typing import Any, List, Optional

PARTS = 10  # lines of a bar where there is no terminal, at most
FIRST, GAP = 3, 5  # seconds until its first line; between two lines
REFRESH = 0.2  # seconds between two updates of a bar

_open: List['Display'] = []


class Bar:
    """The progress of one kind of work.

    Args:
        display: Where it is shown; None: nowhere.
        what: What is done, in a word or two.
        total: How many of them; None: not known.
    """

    def __init__(self, display: Optional['Display'], what: str,
                 total: Optional[int]) -> None:
        self.display, self.what, self.total = display, what, total
        self.start = self.last = time.perf_counter()
        self.next = 0.
        if display is not None:
            display.show(self, 0, '')

    def due(self) -> bool:
        """Whether an update would be shown: what it says may be costly."""
        return self.display is not None and (
            time.perf_counter() - self.last >= REFRESH)

    def update(self, done: int, detail: str = '') -> None:
        """Say how many are done, and a detail such as the loss."""
        if self.display is not None:
            self.last = time.perf_counter()
            self.display.show(self, done, detail)

    def end(self, detail: Optional[str] = None) -> None:
        """Take the bar away; with a detail it is shown a last time."""
        if self.display is not None:
            self.display.remove(self, detail)
            self.display = None

    def seconds_left(self, done: int) -> Optional[float]:
        """By the speed until now."""
        if not self.total or not done:
            return None
        passed = time.perf_counter() - self.start
        return passed / done * (self.total - done)


class Display:
    """Shows bars and lines on the standard output.

    Args:
        console: A ``rich.console.Console``; None makes one.
    """

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console

        # files are read by people with wide windows
        self.console = console or Console(
            highlight=False, width=None if sys.stdout.isatty() else 100)
        self._live: Any = None
        self._tasks = {}
        self._last = -GAP

    def __enter__(self) -> 'Display':
        _open.append(self)
        return self

    def __exit__(self, *args) -> None:
        self.close()

    def close(self) -> None:
        """Take bars away, whatever has happened: the cursor comes back."""
        if self in _open:
            _open.remove(self)
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._tasks.clear()  # work that an error ended may say so later

    def print(self, *lines: Any) -> None:
        """Print text as it is, or what rich can draw."""
        # brackets and colons of a path are no markup
        self.console.print(*lines, sep='\n', soft_wrap=True, markup=False,
                           emoji=False)

    def show(self, bar: Bar, done: int, detail: str) -> None:
        """Show how far a bar is."""
        if self.console.is_terminal:
            left = bar.seconds_left(done)
            self._task(bar, completed=done, detail=detail, left=''
                       if left is None else f'{about(left)} left')
            return
        now, part = time.perf_counter(), PARTS * done / (bar.total or 1)
        if part < bar.next or now - bar.start < FIRST or \
                now - self._last < GAP:
            return
        self._last, bar.next = now, int(part) + 1
        left = bar.seconds_left(done)
        self.print(f'{bar.what}: {detail or f"{done} of {bar.total}"}' + (
            '' if left is None else f', {about(left)} left'))

    def remove(self, bar: Bar, detail: Optional[str]) -> None:
        """Take a bar away."""
        if detail is not None:
            passed = time.perf_counter() - bar.start
            self.print(f'{bar.what}: {detail}, {duration(passed)}')
        if bar in self._tasks:
            self._live.remove_task(self._tasks.pop(bar))
            if not self._tasks:
                self._live.stop()
                self._live = None

    def _task(self, bar: Bar, **fields: Any) -> None:
        if self._live is None:
            from rich.progress import (BarColumn, Progress, TextColumn,
                                       TimeElapsedColumn)
            self._live = Progress(
                TextColumn('{task.description}', markup=False),
                BarColumn(bar_width=24),
                TextColumn('{task.fields[detail]}', markup=False),
                TextColumn('{task.fields[left]}', markup=False),
                TimeElapsedColumn(), console=self.console, transient=True)
            self._live.start()
        if bar not in self._tasks:
            self._tasks[bar] = self._live.add_task(
                bar.what, total=bar.total, detail='', left='')
        self._live.update(self._tasks[bar], **fields)


def begin(what: str, total: Optional[int] = None) -> Bar:
    """Begin to show the progress of some work, if a display is open."""
    return Bar(_open[-1] if _open else None, what, total)


def print_line(line: Any) -> None:
    """Print text or what rich can draw, above the bars."""
    display = _open[-1] if _open else Display()
    display.print(line)


def duration(seconds: float) -> str:
    """``4 s``, ``3 min`` or ``2 h 10 min``."""
    if seconds < 99.5:
        return f'{seconds:.0f} s' if seconds >= 9.95 else f'{seconds:.1f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 100 else \
        f'{minutes // 60} h {minutes % 60} min'


def about(seconds: float) -> str:
    """``about 3 min``."""
    return f'about {duration(max(seconds, 1)).replace(".0 ", " ")}'
