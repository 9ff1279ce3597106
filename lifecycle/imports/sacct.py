"""Past runs from ``sacct --parsable2``: what each took, when, for whom. The command to run is in docs/import.md.

The output has no escapes: a ``|`` in a job's name is told by the row's length, since only names are free text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from functools import lru_cache

from domain.errors import Invalid
from domain.jobs import AttemptState
from domain.quantities import DAY_MS, MINUTE_MS, SECOND_MS
from lifecycle.imports.words import Bundle, Faults, Finding, Options, Place, Run

MOST_RUNS = 200_000
CPU_ONLY, UNTYPED = "", "gpu"  # kinds of GPU of a run without any, and of one whose cluster does not tell kinds

NEEDED = ("JobID", "User", "Account", "State", "Submit", "Start", "End", "ElapsedRaw", "AllocTRES")
_NAME = "JobName"

# What ended a run, in our words. What is not here has not ended, or never ran.
STATES: Mapping[str, AttemptState] = {
    "COMPLETED": AttemptState.SUCCEEDED,
    "FAILED": AttemptState.FAILED,
    "OUT_OF_MEMORY": AttemptState.FAILED,
    "BOOT_FAIL": AttemptState.NODE_FAILED,
    "NODE_FAIL": AttemptState.NODE_FAILED,
    "CANCELLED": AttemptState.CANCELLED,
    "TIMEOUT": AttemptState.TIMED_OUT,
    "DEADLINE": AttemptState.TIMED_OUT,
    "PREEMPTED": AttemptState.PREEMPTED,
    "REQUEUED": AttemptState.PREEMPTED,
}
_UNFINISHED = frozenset({"RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "STAGE_OUT", "SIGNALING"})
_NEVER = frozenset({"PENDING", "REVOKED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_NO_TIME = frozenset({"Unknown", "None", "N/A", ""})

_JOB = re.compile(r"\d{1,12}([_+]\d{1,9})?")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
_GPU = re.compile(r"gres/gpu(?::([A-Za-z0-9_.-]{1,60}))?")
_MEMORY = re.compile(r"(\d{1,12})(?:\.(\d{1,4}))?([KMGTP]?)")
_MEMORY_UNITS = {"": 2**20, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}
_LONGEST_MS = 3_660 * DAY_MS
_COUNT_MOST = 10**7


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a run was given, over all its nodes: kinds of GPU with their numbers."""

    gpus: tuple[tuple[str, int], ...]
    nodes: int
    cpus: int
    memory_bytes: int


@dataclass(slots=True)
class _Reader:
    """Reads rows of one file; equal texts are worked out once, since a file has many rows and few shapes."""

    file: str
    zone: tzinfo
    faults: Faults
    bundle: Bundle
    found: dict[tuple[str, int, str], Run] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    time: Callable[[str], int] = field(init=False)

    def __post_init__(self) -> None:
        zone = self.zone
        self.time = lru_cache(maxsize=65_536)(lambda text: _read_time(text, zone))

    def leave(self, why: str) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def row(self, place: Place, cells: Mapping[str, str]) -> None:
        job, state = cells["JobID"], cells["State"].partition(" ")[0]
        if "." in job:
            return self.leave("steps of jobs, whose own row counts")
        if state in _UNFINISHED or (state in STATES and cells["End"] in _NO_TIME):
            return self.leave("runs that have not ended yet")
        if state in _NEVER or cells["Start"] in _NO_TIME:
            return self.leave("jobs that never started")
        if state not in STATES:
            return self.faults.add(place, "State", f"{state[:40]!r} is not known", "see docs/import.md for the states")
        if not _JOB.fullmatch(job):
            return self.faults.add(place, "JobID", f"{job[:40]!r} is no job's id")
        return self._run(place, cells, job, STATES[state].value)

    def _run(self, place: Place, cells: Mapping[str, str], job: str, state: str) -> None:
        times = [self.faults.catch(place, name, self.time, cells[name]) for name in ("Submit", "Start", "End")]
        elapsed_ms = self.faults.catch(place, "ElapsedRaw", _read_elapsed, cells["ElapsedRaw"])
        walltime_ms = _read_walltime(cells.get("TimelimitRaw", ""))
        taken = self.faults.catch(place, "AllocTRES", _read_tres, cells["AllocTRES"])
        for name in ("User", "Account"):
            if not cells[name]:
                self.faults.add(place, name, "is empty", "run sacct with --allusers, as one who may see all")
        submitted_ms, started_ms, ended_ms = times
        if submitted_ms is None or started_ms is None or ended_ms is None or elapsed_ms is None or taken is None:
            return
        if ended_ms < started_ms:
            self.faults.add(place, "End", "lies before Start")
            return
        if elapsed_ms == 0:
            self.leave("runs of less than a second")
            return
        for position, (gres, gpus) in enumerate(taken.gpus):
            first = position == 0  # cores and memory count once, whatever the kinds of GPU
            run = Run(
                job, cells["Account"], cells["User"], gres, gpus, taken.nodes, taken.cpus * first,
                taken.memory_bytes * first, cells.get("QOS", ""), state, min(submitted_ms, started_ms), started_ms,
                ended_ms, elapsed_ms, walltime_ms, place,
            )  # fmt: skip
            self._keep(run)

    def _keep(self, run: Run) -> None:
        key = (run.job, run.started_ms, run.gres)
        before = self.found.get(key)
        if before is None:
            self.found[key] = run
        elif _said(before) == _said(run):
            self.leave("rows that are there twice")
        else:
            why = f"is told otherwise in row {before.place.row}: the same job and start"
            self.faults.add(run.place, "JobID", why, "bring one export only")


def read(files: Mapping[str, str], options: Options) -> Bundle:
    """All runs that ended, of all files. Raises Invalid with every fault of every file."""
    faults, bundle = Faults(), Bundle()
    found: dict[tuple[str, int, str], Run] = {}
    left_out: dict[str, int] = {}
    for name, text in sorted(files.items()):
        reader = _Reader(name, options.zone, faults, bundle, found, left_out)
        _read_file(reader, text)
        if len(found) > MOST_RUNS:
            faults.add(Place(name, 1), None, f"there are more than {MOST_RUNS} runs", "import a year at a time")
            break
    faults.done()
    bundle.runs += sorted(found.values(), key=lambda run: (run.ended_ms, run.job, run.started_ms, run.gres))
    bundle.notes += [f"left out: {why} ({count})" for why, count in sorted(left_out.items())]
    return bundle


def unmapped(runs: Sequence[Run], what: str, why: str, name: str) -> Finding:
    """Many runs that do not map for one reason, as one finding."""
    hours = sum(max(1, run.gpus) * run.elapsed_ms for run in runs if run.gpus) // 36_000
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return Finding(what, name, f"{why}: {count}, {hours // 100}.{hours % 100:02} GPU-hours", str(runs[0].place))


def _read_file(reader: _Reader, text: str) -> None:
    lines = text.removeprefix("\ufeff").splitlines()
    first = Place(reader.file, 1)
    if "\0" in text or "\ufffd" in text:
        return reader.faults.add(first, None, "is not in UTF-8", "run sacct with LC_ALL=C.UTF-8")
    if not lines:
        return reader.faults.add(first, None, "is empty", "see docs/import.md for the command")
    names = lines[0].split("|")
    missing = [name for name in NEEDED if name not in names]
    for name in missing:
        reader.faults.add(first, name, "there is no such column", "see docs/import.md for the command")
    if missing:
        return None
    title = names.index(_NAME) if _NAME in names else None
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        cells = line.split("|")
        more = len(cells) - len(names)
        if more > 0 and title is not None:
            cells[title : title + more + 1] = ["|".join(cells[title : title + more + 1])]
        elif more:
            reader.faults.add(
                Place(reader.file, number), None, f"has {len(cells)} cells, the first line {len(names)}",
                "run sacct with --parsable2",
            )  # fmt: skip
            continue
        reader.row(Place(reader.file, number), dict(zip(names, cells, strict=True)))
    return None


def _said(run: Run) -> tuple[object, ...]:
    return (
        run.account, run.user, run.gpus, run.nodes, run.cpus, run.memory_bytes, run.state, run.ended_ms, run.elapsed_ms,
    )  # fmt: skip


def _read_time(text: str, zone: tzinfo) -> int:
    """A local time of the cluster, or seconds since 1970, as ms."""
    if re.fullmatch(r"\d{9,11}", text):
        return int(text) * SECOND_MS
    match = _TIME.fullmatch(text)
    try:
        found = datetime(*map(int, match.groups()), tzinfo=zone) if match else None  # type: ignore[misc,arg-type]
    except ValueError:
        found = None
    if found is None or not 1990 <= found.year <= 2200:
        raise Invalid(f"{text[:40]!r} is no time", fix="write 2026-12-31T23:59:59, as sacct does")
    return int(found.timestamp()) * SECOND_MS


def _read_elapsed(text: str) -> int:
    if not re.fullmatch(r"\d{1,10}", text) or int(text) * SECOND_MS > _LONGEST_MS:
        raise Invalid(f"{text[:40]!r} is no number of seconds", fix="use ElapsedRaw, not Elapsed")
    return int(text) * SECOND_MS


def _read_walltime(text: str) -> int | None:
    """Minutes; None for what is no number: UNLIMITED, Partition_Limit."""
    return int(text) * MINUTE_MS if re.fullmatch(r"\d{1,8}", text) else None


@lru_cache(maxsize=65_536)
def _read_tres(text: str) -> _Taken:
    """``billing=4,cpu=4,gres/gpu:a100=2,gres/gpu=2,mem=4000M,node=1``. Kinds that are named come before the sum of all."""
    counts: dict[str, str] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not equals:
            raise Invalid(f"{part[:40]!r} is no resource", fix="use AllocTRES as sacct prints it")
        counts[name] = value
    kinds: dict[str, int] = {}
    total = 0
    for name, value in counts.items():
        if match := _GPU.fullmatch(name):
            if match[1] is None:
                total = _count(name, value)
            else:
                kinds[match[1]] = _count(name, value)
        elif name.startswith(("gres/mps", "gres/shard")):
            raise Invalid(f"{name[:40]} is a part of a GPU, which has no flavor here", fix="leave these rows out")
    if total > sum(kinds.values()):
        kinds[UNTYPED] = total - sum(kinds.values())
    gpus = tuple((kind, count) for kind, count in sorted(kinds.items()) if count) or ((CPU_ONLY, 0),)
    return _Taken(
        gpus, _count("node", counts.get("node", "1")), _count("cpu", counts.get("cpu", "0")),
        _memory(counts.get("mem", "0")),
    )  # fmt: skip


def _count(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,8}", text) or int(text) > _COUNT_MOST:
        raise Invalid(f"{name[:40]}={text[:40]} is no number of things", fix="use AllocTRES as sacct prints it")
    return int(text)


def _memory(text: str) -> int:
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise Invalid(f"mem={text[:40]} is no size", fix="use AllocTRES as sacct prints it")
    unit = _MEMORY_UNITS[match[3]]
    return int(match[1]) * unit + int((match[2] or "").ljust(4, "0")) * unit // 10_000
