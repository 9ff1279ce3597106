"""Reads a workload trace: a CSV file, gzipped or not, in the schema of ``COLUMNS``.

``submit_s`` counts from any zero and never falls from row to row; ``runtime_s`` is how long the job held its GPUs.
Fractions of a GPU occur. Anything that cannot be read ends the reading with one message that names line and column:
half a trace is never replayed.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from domain.errors import Invalid

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("job_id", "tenant", "user", "submit_s", "gpus", "gpu_type", "nodes", "cpus", "mem_gib",
           "requested_walltime_s", "runtime_s", "final_status")  # fmt: skip
NEEDED = ("tenant", "submit_s", "gpus", "runtime_s")

_GZIP = b"\x1f\x8b"
_MOST = 1e12  # seconds or GPUs; no trace of this world holds more
_FIX = (
    f"nothing was replayed; a trace is CSV with the columns {', '.join(COLUMNS)}, "
    f"of which {', '.join(NEEDED)} are needed"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What one job of a workload asked for, and how long it ran."""

    submit_s: float
    runtime_s: float
    gpus: float
    tenant: str


@dataclass(frozen=True, slots=True)
class Trace:
    """``without_gpus`` counts the rows that asked for no GPU and are left out."""

    requests: tuple[Request, ...]
    without_gpus: int


def read_trace(path: Path) -> Trace:
    """All jobs of the file that ask for GPUs. Raises Invalid."""
    try:
        with path.open("rb") as file:
            return _read(path.name, file)
    except (OSError, EOFError, zlib.error) as error:  # a broken archive among them
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise Invalid(f"{path}: cannot be read: {reason}", "trace", fix=_FIX) from error


def _read(name: str, file: IO[bytes]) -> Trace:
    zipped = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    raw = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file
    with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        try:
            every = list(_requests(name, rows))
        except csv.Error as error:
            raise Invalid(f"{name}: line {rows.line_num}: is no CSV: {error}", "trace", fix=_FIX) from error
        except UnicodeDecodeError as error:
            raise Invalid(f"{name}: after line {rows.line_num}: is no UTF-8 text", "trace", fix=_FIX) from error
    kept = tuple(request for request in every if request.gpus > 0)
    if not kept:
        raise Invalid(f"{name}: holds no job that asks for GPUs", "trace", fix=_FIX)
    return Trace(kept, len(every) - len(kept))


def _requests(name: str, rows: "Reader") -> Iterator[Request]:
    header = [title.strip() for title in next(rows, [])]
    missing = [title for title in NEEDED if title not in header]
    if missing:
        are = "column is" if len(missing) == 1 else "columns are"
        raise Invalid(f"{name}: line 1: {len(missing)} {are} missing: {', '.join(missing)}", "trace", fix=_FIX)
    tenant, submit, gpus, runtime = (header.index(title) for title in NEEDED)
    before = -math.inf
    for row in rows:
        if not row:
            continue  # a blank line
        where = f"{name}: line {rows.line_num}"
        if len(row) != len(header):
            raise Invalid(f"{where}: {len(row)} fields, where the header has {len(header)}", "trace", fix=_FIX)
        submit_s = _number(where, "submit_s", row[submit])
        if submit_s < before:
            fix = "nothing was replayed; sort the rows by submit_s"
            raise Invalid(
                f"{where}, column submit_s: {row[submit]} is before {before:g}, the row above", "trace", fix=fix
            )
        before = submit_s
        yield Request(
            submit_s, _number(where, "runtime_s", row[runtime]), _number(where, "gpus", row[gpus]), row[tenant]
        )


def _number(where: str, column: str, text: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MOST:  # not a number is neither
        what = "is empty" if not text.strip() else f"{text[:40]!r} is no number from 0 to {_MOST:g}"
        raise Invalid(f"{where}, column {column}: {what}", "trace", fix=_FIX)
    return value
