"""What a command prints, in every format: data on stdout, messages on stderr.

``json`` and ``yaml`` are exactly what the API answers (a list is the array of the items of all its pages); ``csv`` has
a fixed set of flat columns with raw values; ``name`` is one id a line. ``table`` and ``wide`` are for people.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cli import tables
from cli.tables import Column, Columnar, Rows

CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"

Item = Mapping[str, Any]
Fields = Sequence[tuple[str, str]]


@dataclass
class Output:
    format: str
    quiet: bool
    terminal: bool
    colour: bool
    width: int
    frame: list[str] | None = field(default=None)  # with --watch: collects what is shown at once

    def items(
        self, found: Iterable[Item], columns: Sequence[Column], key: str, *, empty: str = "nothing to show"
    ) -> None:
        """A list. ``key`` is the path of an item's id."""
        rows = list(found)
        match self.format:
            case "json":
                self._write(_json_lines(rows))
            case "yaml":
                self._write(to_yaml(rows))
            case "csv":
                self._write(_csv(rows, columns))
            case "name":
                self._write("".join(f"{value}\n" for value in tables.values(rows, key)))
            case _:
                self._table(rows, columns, empty)

    def columnar(self, rows: Columnar, columns: Sequence[Column], key: str, *, empty: str) -> None:
        """A long list that came as columns, in a format that is made of columns."""
        match self.format:
            case "csv":
                self._write(_csv(rows, columns))
            case "name":
                self._write("".join(f"{value}\n" for value in rows.values(key)))
            case _:
                self._table(rows, columns, empty)

    def item(self, found: Item, fields: Callable[[], Fields], columns: Sequence[Column], key: str) -> None:
        """One thing. ``fields`` makes its lines for people; ``columns`` its CSV."""
        if self.format in {"table", "wide"}:
            self.lines(tables.pairs(fields()))
        else:
            self.machine(found, columns, key)

    def outcome(self, message: str, found: Item | None, columns: Sequence[Column] = (), key: str = "id") -> None:
        """What an action came to: a sentence for people, the API's answer (if there is one) for machines."""
        if self.format in {"table", "wide"}:
            self.lines([message])
        elif found is not None:
            self.machine(found, columns, key)

    def machine(self, found: Item, columns: Sequence[Column], key: str) -> None:
        match self.format:
            case "yaml":
                self._write(to_yaml(found))
            case "csv":
                self._write(_csv([found], columns or _columns_of(found)))
            case "name":
                self._write(f"{tables.values([found], key)[0]}\n")
            case _:
                self._write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")

    def lines(self, texts: Iterable[str]) -> None:
        self._write("".join(f"{text}\n" for text in texts))

    def table(self, rows: Rows, columns: Sequence[Column]) -> list[str]:
        """The lines of a table, for a page made of several parts."""
        chosen = [column for column in columns if self.format == "wide" or not column.wide]
        limit = self.width if self.terminal and self.format != "wide" else None
        return tables.lines(rows, chosen, limit, colour=self.colour)

    def note(self, text: str) -> None:
        """A message beside the data; silent with -q."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def raw(self, data: bytes) -> None:
        """Bytes of a log, as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def show_frame(self) -> None:
        """Put what was collected on the screen at once, so that a watched page does not flicker."""
        text = "".join(self.frame or ())
        self.frame = []
        sys.stdout.write(CLEAR + text if self.terminal else text)
        sys.stdout.flush()

    def _table(self, rows: Rows, columns: Sequence[Column], empty: str) -> None:
        if len(rows):
            self.lines(self.table(rows, columns))
        else:
            self.note(empty)

    def _write(self, text: str) -> None:
        if self.frame is not None:
            self.frame.append(text)
        else:
            sys.stdout.write(text)


def _json_lines(rows: Sequence[Item]) -> str:
    """An array with one item a line: quick to make, easy to grep, and still one JSON document."""
    if not rows:
        return "[]\n"
    dump = json.JSONEncoder(ensure_ascii=False).encode
    return "[\n" + ",\n".join([dump(row) for row in rows]) + "\n]\n"


def _csv(rows: Rows, columns: Sequence[Column]) -> str:
    import csv
    import io

    chosen: dict[str, Column] = {}
    for column in columns:
        if column.path:
            chosen.setdefault(column.path, column)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(chosen)
    cells = [[_flat(column, value) for value in tables.values(rows, path)] for path, column in chosen.items()]
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue()


def _columns_of(found: Item) -> list[Column]:
    return [Column(name, name) for name in found]


def _flat(column: Column, value: Any) -> Any:
    if column.as_shown and value is not None:
        return column.show(value)
    if value is True or value is False:
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _is_block(text: str) -> bool:
    """Whether it is lines, such as a script's, that every reader of YAML takes as they stand."""
    if "\n" not in text or text[0].isspace():
        return False
    lines = text.expandtabs(1).split("\n")
    return all(line.isprintable() and not line.endswith(" ") for line in lines)


def to_yaml(data: Any) -> str:
    """YAML that readers of 1.1 and 1.2 understand alike: every text that is not a plain word is quoted."""
    import io
    import re

    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.representer import SafeRepresenter

    word = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9_./-]*", re.IGNORECASE)

    class Representer(SafeRepresenter):
        def represent_str(self, data: str) -> ScalarNode:
            style = None if word.fullmatch(data) else "|" if _is_block(data) else '"'
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

        def ignore_aliases(self, data: Any) -> bool:
            del data
            return True

    Representer.add_representer(str, Representer.represent_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 10_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(data, text)
    return text.getvalue()
