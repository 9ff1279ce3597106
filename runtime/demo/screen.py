"""What the visitor sees: headings with the time so far, sentences, tables, and bars that move.

On a terminal by rich; elsewhere plain lines with the same words, and a bar says a line at each quarter of its way.
"""

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

_WIDEST = 110
_INDENT, _GAP = "  ", "   "
_FEWEST = 8  # characters of words; fewer say nothing
_QUARTERS = 4


def _console() -> Console:
    """Plain text keeps its width whatever reads it; a character that the output cannot show does not end the demo."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    console.width = min(console.width, _WIDEST) if console.is_terminal else _WIDEST
    return console


@dataclass(frozen=True, slots=True)
class Column:
    """``words`` may be cut where the screen is narrow; nothing else ever is."""

    title: str
    right: bool = False
    words: bool = False


class Bar:
    """Counts to ``total``; ``status`` is a few words on what is happening."""

    def __init__(self, screen: "Screen", title: str, total: int) -> None:
        self._screen, self._title, self._total = screen, title, total
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._quarter = 0

    def start(self) -> None:
        if self._screen.terminal:
            columns = (
                TextColumn(_INDENT + "{task.description}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TextColumn("[dim]{task.fields[status]}"),
            )
            self._progress = Progress(*columns, console=self._screen.console)
            self._task = self._progress.add_task(self._title, total=self._total, status="")
            self._progress.start()

    def update(self, done: int, status: str) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=done, status=status)
            return
        quarter = _QUARTERS * done // max(1, self._total)
        if quarter > self._quarter:
            self._quarter = quarter
            self._screen.say(f"{self._title}: {done}/{self._total}  {status}")

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


@dataclass(slots=True)
class Screen:
    console: Console = field(default_factory=_console)
    _begun: float = field(default_factory=time.perf_counter)

    @property
    def terminal(self) -> bool:
        return self.console.is_terminal

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._begun

    def heading(self, text: str) -> None:
        self.console.print()
        line = Text(f"{self.elapsed_s():5.1f} s ", style="dim") + Text(f" {text}", style="bold not dim")
        self.console.print(line, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(_INDENT + text, style=style), soft_wrap=True)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] = ()) -> None:
        """``total`` is a last line, set apart."""
        lines = [[column.title for column in columns], *rows, *([total] if total else [])]
        widths = self._widths(columns, lines)
        self.console.print()
        for number, line in enumerate(lines):
            style = "dim" if number == 0 else "bold" if line is total else ""
            self.say(_row(columns, widths, line), style)

    def _widths(self, columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> list[int]:
        """As wide as the widest cell; words have to make do with what is left."""
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        over = len(_INDENT) + sum(widths) + len(_GAP) * (len(widths) - 1) - self.console.width
        for position, column in enumerate(columns):
            if column.words and over > 0:
                widths[position] = max(_FEWEST, widths[position] - over)
        return widths

    @contextmanager
    def bar(self, title: str, total: int) -> Generator[Bar]:
        bar = Bar(self, title, total)
        bar.start()
        try:
            yield bar
        finally:
            bar.stop()


def _row(columns: Sequence[Column], widths: Sequence[int], line: Sequence[str]) -> str:
    cells = []
    for column, width, cell in zip(columns, widths, line, strict=True):
        fitting = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        cells.append(fitting.rjust(width) if column.right else fitting.ljust(width))
    return _GAP.join(cells).rstrip()
