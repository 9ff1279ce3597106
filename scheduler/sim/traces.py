"""Reads a workload: the CSV schema of ``COLUMNS``, or the Standard Workload Format 2.2. Lines of text in, jobs out.

Rules, the same for both:

- An empty field (``-1`` in SWF) is unknown. Rows with less than one GPU or without a run time are skipped and counted.
- Fractions of a GPU are rounded up, times are rounded to whole milliseconds.
- Submission times never fall from row to row. Rows are counted as lines of the file, from 1.
- A file with faults is refused as a whole: all faults are named, up to ``FAULTS``.
"""

import csv
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from domain.errors import Fault, Invalid
from domain.quantities import SECOND_MS

COLUMNS = ("job_id", "tenant", "user", "submit_s", "gpus", "gpu_type", "nodes", "cpus", "mem_gib",
           "requested_walltime_s", "runtime_s", "final_status")  # fmt: skip
MORE_COLUMNS = ("project", "qos")  # what a centre's own history adds
NEEDED = ("tenant", "submit_s", "gpus", "runtime_s")
FAULTS = 20

_MOST = 1e12  # of anything; no workload of this world holds more
_GIB = 2**30
_FIX = f"nothing was replayed; the columns are {', '.join(COLUMNS)}, of which {', '.join(NEEDED)} are needed"
_SWF_FIELDS = 18
_SWF_FIX = "nothing was replayed; each row of SWF 2.2 has 18 numbers, -1 where unknown"
_SWF_STATUS = {0: "FAILED", 1: "COMPLETED", 5: "CANCELLED"}


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a workload: what it asked for, and how long it ran. None and empty are unknown.

    ``gpus``, ``cpus`` and ``memory_bytes`` are the whole job's, over all its nodes.
    """

    name: str
    tenant: str
    submit_ms: int
    gpus: int
    runtime_ms: int
    user: str = ""
    gpu_type: str = ""
    nodes: int | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    walltime_ms: int | None = None
    status: str = ""
    project: str = ""
    qos: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs in the order of submission. ``skipped`` counts the rows that were left out, by why."""

    jobs: tuple[TraceJob, ...]
    skipped: dict[str, int] = field(default_factory=dict)

    def part(self, *, limit: int | None = None, from_ms: int | None = None, until_ms: int | None = None) -> "Trace":
        """The jobs submitted from ``from_ms`` and before ``until_ms``, ``limit`` of them at the most."""
        low = -math.inf if from_ms is None else from_ms
        high = math.inf if until_ms is None else until_ms
        inside = tuple(job for job in self.jobs if low <= job.submit_ms < high)
        return Trace(inside[:limit], self.skipped)


@dataclass(slots=True)
class _Reader:
    """Gathers jobs and faults. ``flavors`` are those that any capacity offers; None takes every name."""

    flavors: Collection[str] | None
    fix: str
    jobs: list[TraceJob] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    latest: float = -math.inf

    def fault(self, line: int, column: str, message: str, fix: str | None = None) -> None:
        self.faults.append(Fault(f"row {line}, column {column}: {message}", f"row {line}.{column}", fix or self.fix))

    def number(self, line: int, column: str, text: str, *, needed: bool = False) -> float | None:
        """The number of a field; None if it is unknown, or if it was wrong, which is noted."""
        if not text.strip():
            if needed:
                self.fault(line, column, "is empty")
            return None
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= _MOST:  # not a number is neither
            self.fault(line, column, f"{text[:40]!r} is no number from 0 to {_MOST:g}")
            return None
        return value

    def ordered(self, line: int, column: str, submit_s: float) -> None:
        if submit_s < self.latest:
            self.fault(
                line, column, f"{submit_s:g} is before {self.latest:g}, the row above",
                "nothing was replayed; sort the rows by their time of submission",
            )  # fmt: skip
        self.latest = max(self.latest, submit_s)

    def offered(self, line: int, column: str, gpu_type: str) -> None:
        if gpu_type and self.flavors is not None and gpu_type not in self.flavors:
            self.fault(
                line, column, f"no capacity offers {gpu_type[:60]!r}",
                f"nothing was replayed; the capacity offers {', '.join(sorted(self.flavors))}: "
                "add a pool of this flavor to the scenario, or rename it in the trace",
            )  # fmt: skip

    def skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def take(self, gpus: float | None, runtime_s: float | None, make: Callable[[int, int], TraceJob]) -> None:
        """Keep the job if it asks for GPUs and ran."""
        if not gpus:
            self.skip("no GPUs")
        elif not runtime_s or not _ms(runtime_s):
            self.skip("no run time")
        else:
            self.jobs.append(make(math.ceil(gpus), _ms(runtime_s)))

    def done(self) -> Trace:
        if not self.faults and not self.jobs:
            raise Invalid("the trace holds no job that asks for GPUs and ran", "trace", fix=self.fix)
        if self.faults:
            raise Invalid.many(self.faults)
        return Trace(tuple(self.jobs), self.skipped)

    @property
    def full(self) -> bool:
        return len(self.faults) >= FAULTS


def read_csv(lines: Iterable[str], flavors: Collection[str] | None = None) -> Trace:
    """The jobs of a CSV file with a header. Raises Invalid with a fault for each wrong field."""
    reader = _Reader(flavors, _FIX)
    rows = csv.reader(lines, strict=True)
    try:
        header = [title.strip().removeprefix("\ufeff") for title in next(rows, [])]
        if missing := [title for title in NEEDED if title not in header]:
            raise Invalid.many(
                [Fault(f"row 1: column {title} is missing", f"row 1.{title}", _FIX) for title in missing]
            )
        columns = {title: header.index(title) for title in (*COLUMNS, *MORE_COLUMNS) if title in header}
        for row in rows:
            if reader.full:
                break
            if len(row) == len(header):
                _csv_row(reader, rows.line_num, {title: row[at] for title, at in columns.items()})
            elif row:  # a blank line is no row
                reader.fault(rows.line_num, header[min(len(row), len(header) - 1)],
                             f"{len(row)} fields, where the header has {len(header)}")  # fmt: skip
    except csv.Error as error:
        raise Invalid(f"row {rows.line_num}: is no CSV: {error}", f"row {rows.line_num}", fix=_FIX) from error
    return reader.done()


def _csv_row(reader: _Reader, line: int, row: dict[str, str]) -> None:
    submit_s = reader.number(line, "submit_s", row["submit_s"], needed=True)
    gpus = reader.number(line, "gpus", row["gpus"])
    runtime_s = reader.number(line, "runtime_s", row["runtime_s"])
    nodes, cpus, memory, walltime = (
        reader.number(line, title, row.get(title, "")) for title in ("nodes", "cpus", "mem_gib", "requested_walltime_s")
    )
    reader.offered(line, "gpu_type", row.get("gpu_type", ""))
    if submit_s is None:
        return
    reader.ordered(line, "submit_s", submit_s)
    reader.take(
        gpus, runtime_s,
        lambda whole, runtime_ms: TraceJob(
            row.get("job_id", ""), row["tenant"], _ms(submit_s), whole, runtime_ms,
            row.get("user", ""), row.get("gpu_type", ""), _whole(nodes), _whole(cpus), _bytes(memory),
            _ms(walltime) if walltime else None, row.get("final_status", ""), row.get("project", ""), row.get("qos", ""),
        ),
    )  # fmt: skip


def read_swf(lines: Iterable[str], flavors: Collection[str] | None = None) -> Trace:
    """The jobs of a log in the Standard Workload Format: a processor counts as a GPU, a group is a tenant.

    The processors are the allocated ones, or the requested where those are unknown. Raises Invalid.
    """
    reader = _Reader(flavors, _SWF_FIX)
    for line, fields in _swf_rows(lines):
        if reader.full:
            break
        if len(fields) != _SWF_FIELDS:
            reader.fault(line, str(min(len(fields) + 1, _SWF_FIELDS)), f"{len(fields)} fields instead of {_SWF_FIELDS}")
            continue
        _swf_row(reader, line, fields)
    return reader.done()


def _swf_rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(lines, start=1):
        fields = text.split()
        if fields and not fields[0].startswith(";"):
            yield line, fields


def _swf_row(reader: _Reader, line: int, fields: Sequence[str]) -> None:
    def at(position: int, name: str) -> float | None:
        """A field by its position from 1; ``-1`` is unknown."""
        text = fields[position - 1]
        return None if text in {"-1", "-1.0"} else reader.number(line, f"{position} ({name})", text, needed=True)

    submit_s, runtime_s = at(2, "submit time"), at(4, "run time")
    given, asked = at(5, "allocated processors"), at(8, "requested processors")
    walltime_s, memory_kib = at(9, "requested time"), at(10, "requested memory")
    status, user, group = at(11, "status"), at(12, "user"), at(13, "group")
    if submit_s is None:
        if fields[1].startswith("-1"):
            reader.fault(line, "2 (submit time)", "is unknown")
        return
    reader.ordered(line, "2 (submit time)", submit_s)
    reader.take(
        given or asked, runtime_s,
        lambda whole, runtime_ms: TraceJob(
            fields[0], _named("g", group), _ms(submit_s), whole, runtime_ms, _named("u", user),
            memory_bytes=None if memory_kib is None else int(memory_kib) * 1024 * whole,
            walltime_ms=_ms(walltime_s) if walltime_s else None,
            status="" if status is None else _SWF_STATUS.get(int(status), str(int(status))),
        ),
    )  # fmt: skip


def _ms(seconds: float) -> int:
    return round(seconds * SECOND_MS)


def _whole(value: float | None) -> int | None:
    return math.ceil(value) if value else None


def _bytes(gib: float | None) -> int | None:
    return math.ceil(gib * _GIB) if gib else None


def _named(letter: str, number: float | None) -> str:
    return "" if number is None else f"{letter}{int(number)}"
