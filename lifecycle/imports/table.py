"""Reads a CSV file as spreadsheets write it: into rows of typed cells, with every fault by file, row and column."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import Invalid
from lifecycle.imports.words import Faults, Place

MOST_ROWS = 100_000
_CELL_LENGTH = 1_000
_SPACES = "\u00a0\u200b\u202f\ufeff \t"
_SPREADSHEET_ERROR = re.compile(r"#(REF!|N/A|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|SPILL!)")
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True)
class Col:
    """A column: how its cells are read. Without ``default`` a cell must say something, and the column must be there."""

    read: Callable[[str], Any]
    default: Any = ...

    @property
    def needed(self) -> bool:
        return self.default is ...

    def checked(self, text: str) -> Any:
        """What a cell says. Raises Invalid."""
        return self.read(_cell(text))


@dataclass(frozen=True, slots=True)
class Row:
    place: Place
    cells: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.cells[column]


def read_table(file: str, text: str, columns: Mapping[str, Col], faults: Faults, notes: list[str]) -> list[Row]:
    """The rows without a fault. Columns that are not known are told in ``notes``."""
    if "\0" in text or "\ufffd" in text:
        faults.add(Place(file, 1), None, "is not in UTF-8", "save it as 'CSV UTF-8'")
        return []
    lines = _lines(file, text, faults)
    header = next(lines, None)
    if header is None:
        if not faults.found:
            faults.add(Place(file, 1), None, "is empty", f"begin with a line of columns: {','.join(columns)}")
        return []
    names = _header(Place(file, header[0]), header[1], columns, faults, notes)
    if names is None:
        return []
    found = []
    for row, cells in lines:
        if row > MOST_ROWS:
            faults.add(Place(file, row), None, f"has more than {MOST_ROWS} rows", "bring it in several imports")
            break
        if (read := _row(Place(file, row), names, cells, columns, faults)) is not None:
            found.append(read)
    return found


def _lines(file: str, text: str, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """The lines that say anything, each with the number of the line that it begins on."""
    text = text.removeprefix("\ufeff")
    first, _, rest = text.partition("\n")
    delimiter = ","
    if match := re.fullmatch(r"sep=(.)\r?", first):
        delimiter, text, skipped = match[1], rest, 1
    else:
        skipped = 0
        delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = reader.line_num + 1 + skipped
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.add(Place(file, begins), None, f"cannot be read: {error}", "mind the quotes")
            return
        if any(cell.strip(_SPACES) for cell in cells):
            yield begins, cells


def _header(
    place: Place, cells: Sequence[str], columns: Mapping[str, Col], faults: Faults, notes: list[str]
) -> list[str] | None:
    """The columns' names in their order, '' for one that is not read; None if there can be no rows."""
    names = [re.sub(r"[\s-]+", "_", cell.strip(_SPACES).lower()) for cell in cells]
    wrong = False
    for name in sorted({name for name in names if name and names.count(name) > 1}):
        faults.add(place, name, "there are two columns of this name", "leave one out")
        wrong = True
    for name in [name for name, column in columns.items() if column.needed and name not in names]:
        faults.add(place, name, "there is no such column", "add it to the first line")
        wrong = True
    unknown = [name for name in names if name and name not in columns]
    if unknown:
        notes.append(f"{place.file}: the columns {', '.join(one[:40] for one in unknown[:20])} are not read")
    return None if wrong else [name if name in columns else "" for name in names]


def _row(
    place: Place, names: Sequence[str], cells: Sequence[str], columns: Mapping[str, Col], faults: Faults
) -> Row | None:
    """All cells read, each fault told; None if there was one."""
    before = len(faults.found) + faults.more
    if any(cell.strip(_SPACES) for cell in cells[len(names) :]):
        faults.add(place, None, f"has {len(cells)} cells, the first line {len(names)}", "quote cells with a comma")
        return None
    given = {name: cell.strip(_SPACES + "\r\n") for name, cell in zip(names, cells, strict=False) if name}
    found: dict[str, Any] = {}
    for name, column in columns.items():
        text = given.get(name, "")
        if text:
            found[name] = faults.catch(place, name, column.checked, text)
        elif column.needed:
            faults.add(place, name, "is empty", "give it")
        else:
            found[name] = column.default
    return None if len(faults.found) + faults.more > before else Row(place, found)


def _cell(text: str) -> str:
    """A cell that is safe to show and to write into a spreadsheet again. Raises Invalid."""
    if len(text) > _CELL_LENGTH:
        raise Invalid(f"is {len(text)} letters long", fix=f"use {_CELL_LENGTH} at most")
    if not text.isprintable():
        raise Invalid("holds a line break or a letter that cannot be printed", fix="remove it")
    if _SPREADSHEET_ERROR.match(text):
        raise Invalid(f"{text[:20]!r} is an error of a spreadsheet", fix="mend its formula, then save again")
    if text.startswith(_FORMULA):
        raise Invalid(
            f"begins with {text[0]!r}: a spreadsheet would take it for a formula", fix="begin with a letter or digit"
        )
    return text
