"""All data about a person in one file: JSON for machines, CSV for tables, a page for people.

It is written once over, row by row, so that it takes the same memory for ten rows and for ten million.
"""

import csv
import html
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

from domain.people import User
from domain.personal import AUDIT, PLACES, RECORDS, Field, Record
from domain.retention import Keep, Term
from lifecycle.ports import UnitOfWork, Vault

_SHOWN = 200  # rows of a kind on the page; the tables have all of them
_MOMENT = (1980, 1, 1, 0, 0, 0)  # of each file in the archive: when it was made is in data.json


@dataclass(frozen=True, slots=True)
class Dossier:
    """Writes the file for one person. ``contact``: where to turn to if something is wrong with it."""

    uow: UnitOfWork
    vault: Vault
    user: User
    terms: Mapping[Keep, Term]
    contact: str
    now_ms: int

    def write(self, target: IO[bytes]) -> None:
        with ExitStack() as stack:
            archive = stack.enter_context(zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED))
            data, page = (stack.enter_context(TemporaryFile()) for _ in range(2))
            self._begin(data, page)
            for record in (*RECORDS, AUDIT):
                self._kind(record, archive, data, page)
            data.write(b"}}\n")
            self._end(page)
            for name, file in (("data.json", data), ("index.html", page)):
                file.seek(0)
                with _entry(archive, name) as entry:
                    while chunk := file.read(1 << 16):
                        entry.write(chunk)

    def _rows(self, record: Record) -> Iterator[dict[str, Any]]:
        if record is AUDIT:
            return self.uow.custody.entries(self.user)
        accounts = {one.id: one.name for one in self.uow.directory().tree.accounts.values()}
        return self.uow.custody.rows(record, self.user, accounts)

    def _kind(self, record: Record, archive: zipfile.ZipFile, data: IO[bytes], page: IO[bytes]) -> None:
        """One kind into all three; there is no table of what there is none of."""
        data.write(b"" if record is RECORDS[0] else b",")
        data.write(f"\n{json.dumps(record.kind)}: [".encode())
        page.write(self._heading(record).encode())
        rows, count = self._rows(record), 0
        first = next(rows, None)
        if first is not None:
            names = list(first)
            with _entry(archive, f"{record.kind}.csv") as entry:
                table = csv.writer(text := io.TextIOWrapper(entry, encoding="utf-8", newline=""))
                table.writerow(names)
                row: dict[str, Any] | None = first
                while row is not None:
                    plain = {name: self._open(name, value) for name, value in row.items()}
                    data.write(b"" if count == 0 else b",")
                    data.write(b"\n" + json.dumps(plain, ensure_ascii=False).encode())
                    table.writerow([_cell(plain.get(name)) for name in names])
                    if count < _SHOWN:
                        page.write(_html_row(plain, names, head=count == 0).encode())
                    count += 1
                    row = next(rows, None)
                text.flush()
                text.detach()
        data.write(b"]")
        page.write(_html_end(record, count).encode())

    def _open(self, name: str, value: Any) -> Any:
        """Sealed values are opened: they are the person's own."""
        if isinstance(value, bytes):
            return self.vault.open(value) if name == "sealed" else value.hex()
        return value

    def _begin(self, data: IO[bytes], page: IO[bytes]) -> None:
        told = {"about": self.user.name, "at_ms": self.now_ms, "contact": self.contact}
        data.write(json.dumps(told, ensure_ascii=False).encode()[:-1] + b', "data": {')
        page.write(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Data about you</title>'
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            "<style>body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
            "table{border-collapse:collapse;font-size:.85rem}td,th{border:1px solid #999;padding:.2rem .5rem;"
            "text-align:left;overflow-wrap:anywhere}dt{font-weight:bold}</style></head><body>"
            f"<h1>Data about {html.escape(self.user.name)}</h1>"
            "<p>This is all that the centre has about you. The same is in data.json, and in a .csv for each kind. "
            "Times are milliseconds since 1970, UTC. Other people are called “somebody else”.</p>"
            f"<p>{html.escape(self.contact)}</p>".encode()
        )

    def _heading(self, record: Record) -> str:
        term = self.terms[record.keep]
        days = "no fixed time" if term.days is None else f"{term.days} days"
        fields = "".join(f"<dt>{html.escape(field.column)}</dt><dd>{_says(field)}</dd>" for field in record.fields)
        return (
            f"<h2>{html.escape(record.kind)}</h2><p>{html.escape(record.says)} Kept {html.escape(record.purpose)}. "
            f"Basis: {html.escape(term.basis)} ({html.escape(term.source)}). Kept for {days}: "
            f"{html.escape(term.since)}.</p><dl>{fields}</dl>"
        )

    def _end(self, page: IO[bytes]) -> None:
        items = "".join(
            f"<li>{html.escape(place.name)}: {html.escape(place.says)}; {html.escape(place.goes)}.</li>"
            for place in PLACES
        )
        page.write(f"<h2>Beside the database</h2><ul>{items}</ul></body></html>\n".encode())


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    about = zipfile.ZipInfo(name, _MOMENT)
    about.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(about, "w", force_zip64=True)


def _says(field: Field) -> str:
    hidden = f" Not in this file: {field.hidden}." if field.hidden else ""
    return html.escape(f"{field.says[:1].upper()}{field.says[1:]}. When you are erased: {field.goes}.{hidden}")


def _cell(value: Any) -> Any:
    """As text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if isinstance(value, str) and text[:1] in set("=+-@\t\r") else text


def _html_row(row: Mapping[str, Any], names: list[str], *, head: bool) -> str:
    top = "<table><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in names) + "</tr>" if head else ""
    cells = "".join(f"<td>{html.escape(str(_cell(row.get(name))))}</td>" for name in names)
    return f"{top}<tr>{cells}</tr>"


def _html_end(record: Record, count: int) -> str:
    if count == 0:
        return "<p>Nothing.</p>"
    more = f"<p>{count} rows; all of them are in {html.escape(record.kind)}.csv.</p>" if count > _SHOWN else ""
    return f"</table>{more}"
