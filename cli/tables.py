"""Columns of answers, and plain aligned tables made of them.

Long lists are common (a queue of 10,000), so the work is done per column, and a column of plain ASCII, which is nearly
every one, is measured and padded without looking at its letters.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from cli import words

GAP: Final = "  "
FLEX_MIN: Final = 12


@dataclass(frozen=True, slots=True)
class Column:
    """``path`` is the dotted place of the value in an answer, and the column's name in CSV.

    An empty path gives ``show`` the whole row; such a column is not in CSV.
    ``right``: for numbers. ``wide``: only with ``-o wide`` and in CSV. ``flex``: cut to the terminal's width.
    ``sparse``: left out of a table in which no row has a value for it. ``as_shown``: in CSV too, instead of the raw value.
    """

    header: str
    path: str
    show: Callable[[Any], str] = words.plain
    right: bool = False
    wide: bool = False
    flex: bool = False
    sparse: bool = False
    as_shown: bool = False


@dataclass(frozen=True, slots=True)
class Columnar:
    """Rows that are given as columns: ``path`` → values. A row is its number."""

    data: Mapping[str, Sequence[Any]]
    count: int

    def __len__(self) -> int:
        return self.count

    def values(self, path: str) -> list[Any]:
        return list(self.data.get(path) or [None] * self.count) if path else list(range(self.count))


Rows = Sequence[Mapping[str, Any]] | Columnar


def values(rows: Rows, path: str) -> list[Any]:
    """The column's raw values; None where an answer has none."""
    if isinstance(rows, Columnar):
        return rows.values(path)
    if not path:
        return list(rows)
    first, *rest = path.split(".")
    try:
        found: list[Any] = list(map(itemgetter(first), rows))
    except KeyError:
        found = [row.get(first) for row in rows]
    for part in rest:
        found = [value.get(part) if isinstance(value, Mapping) else None for value in found]
    return found


def lines(rows: Rows, columns: Sequence[Column], terminal_width: int | None, *, colour: bool = False) -> list[str]:
    """A header and a line for each row. ``terminal_width`` None: nothing is cut."""
    raw = [(column, values(rows, column.path)) for column in columns]
    shown = [(column, found) for column, found in raw if not column.sparse or any(v is not None for v in found)]
    laid = [_Laid(column, found) for column, found in shown]
    if not laid:
        return []
    if terminal_width is not None:
        _fit(laid, terminal_width)
    pattern = GAP.join([*(part.pattern() for part in laid[:-1]), laid[-1].pattern(last=True)])
    texts = [part.painted() if colour and part.column.path == "state" else part.texts for part in laid]
    return [(pattern % row).rstrip() for row in zip(*texts, strict=True)]


def pairs(fields: Sequence[tuple[str, str]]) -> list[str]:
    """``label  value`` lines, the values aligned; a value of several lines hangs below its first."""
    left = max((words.width(label) for label, _ in fields), default=0)
    found = []
    for label, value in fields:
        first, *more = value.split("\n")
        found.append(f"{_ljust(label, left)}{GAP}{words.clean(first)}".rstrip())
        found.extend(f"{' ' * left}{GAP}{words.clean(line)}".rstrip() for line in more)
    return found


def paint_state(padded: str) -> str:
    """Colour beside the word, never instead of it."""
    colour = _STATE_COLOURS.get(padded.strip())
    return f"\x1b[{colour}m{padded}\x1b[0m" if colour else padded


_STATE_COLOURS: Final = {
    "running": 32, "active": 32, "starting": 36, "stopping": 36, "pending": 33, "held": 35, "draining": 33,
    "succeeded": 32, "failed": 31, "timed_out": 31, "node_failed": 31, "vanished": 31, "lost": 31, "cancelled": 90,
}  # fmt: skip


class _Laid:
    """The cells of one column, header first, and their width."""

    def __init__(self, column: Column, found: list[Any]) -> None:
        self.column = column
        self.texts = [column.header, *_shown(column, found)]
        joined = "".join(self.texts)
        if not joined.isprintable():
            self.texts = [words.clean(text) for text in self.texts]
        self.plain = joined.isascii()
        self.width = max(map(len if self.plain else words.width, self.texts))

    def cut(self, width: int) -> None:
        self.texts = [words.cut(text, width) for text in self.texts]
        self.plain = "".join(self.texts).isascii()
        self.width = width

    def pattern(self, *, last: bool = False) -> str:
        """How ``%`` lays out a cell. A column that is not plain ASCII is padded here, since ``%`` counts letters."""
        if not self.plain:
            self.texts = [self._padded(text) for text in self.texts]
            return "%s"
        if self.column.right:
            return f"%{self.width}s"
        return "%s" if last else f"%-{self.width}s"

    def painted(self) -> list[str]:
        """Coloured after it was padded, since colours take letters and no room."""
        padded = [self._padded(text) for text in self.texts]
        return [padded[0], *map(paint_state, padded[1:])]

    def _padded(self, text: str) -> str:
        room = " " * (self.width - words.width(text))
        return room + text if self.column.right else text + room


def _shown(column: Column, found: list[Any]) -> list[str]:
    if column.show is words.plain and set(map(type, found)) == {str}:
        return found if all(found) else [text or "-" for text in found]
    return list(map(column.show, found))


def _fit(laid: list[_Laid], terminal_width: int) -> None:
    """Cut the flexible columns until the table is as wide as the terminal, the widest first."""
    over = sum(part.width for part in laid) + len(GAP) * (len(laid) - 1) - terminal_width
    for part in sorted((part for part in laid if part.column.flex), key=lambda part: -part.width):
        if over <= 0:
            return
        target = max(FLEX_MIN, len(part.column.header), part.width - over)
        if target < part.width:
            over -= part.width - target
            part.cut(target)


def _ljust(text: str, wide: int) -> str:
    return text + " " * (wide - words.width(text))
