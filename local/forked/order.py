"""What driver and supervisor tell each other about one attempt: the order there, the result back.

An order travels as one JSON line ``{"order": …, "secrets": …}`` from the driver through the warden to the supervisor.
The order alone is kept on disk as ``spec.json``; secrets never touch the disk. Both sides import this file, so it
imports next to nothing.
"""

from typing import NotRequired, TypedDict

# Names of the files in an attempt's directory.
CLAIM = "claim"
STOP = "stop"
WALLTIME = "walltime"  # a longer one than the order's: in ms, and in words
SPEC = "spec.json"
SCRIPT = "script"
WORK = "work"
SCRATCH = "scratch"
RESULT = "result.json"
OUTPUTS = "outputs"


def script_name(role: int | None = None) -> str:
    return SCRIPT if role is None else f"{SCRIPT}.{role}"


def log_name(rank: int) -> str:
    return f"log.{rank}"


class CgroupOrder(TypedDict):
    """A control group to make, and what to write into which of its files."""

    path: str
    limits: dict[str, str]


class RankOrder(TypedDict):
    """One process of the attempt: the part of it that runs on one node."""

    node: str
    env: dict[str, str]  # the centre's own variables; nothing of the user's overrides them
    role: NotRequired["RoleOrder | None"]  # what it runs, if that is not what all of them run
    cgroups: list[CgroupOrder]
    cores: list[int]  # pin it to these; empty: not pinned
    data_limit: int  # RLIMIT_DATA in bytes; 0: none
    memory: str  # its memory in words, for people


class RoleOrder(TypedDict):
    """What the ranks of one role run: as in the order. ``env`` goes over that of the order."""

    number: int  # of its script, among those of all roles
    script: str | None
    command: list[str]
    env: dict[str, str]


class Order(TypedDict):
    """All that a supervisor needs to know. Exactly one of ``script`` and ``command`` is set, unless each rank has a role."""

    attempt: str
    place: str  # the attempt's directory
    front: str  # the directory of the job's own: its script, and the working directory
    work: str  # where the job runs
    scratch: NotRequired[str]  # a directory to be made for it, if it wants one
    uid: int  # user and group to run as; -1: the service's own
    shell: str
    script: str | None
    command: list[str]
    source: str | None  # a .tar.gz to unpack into the working directory
    env: dict[str, str]
    ranks: list[RankOrder]
    walltime_ms: int
    walltime: str  # the same in words, for people
    stop_signal: int
    grace_ms: int
    outputs: list[str]
    log_limit: int
    output_limit: int
    secret: bool  # whether secrets travel beside it
    remarks: list[str]  # sentences that belong into the detail, whatever happens


class OutputEntry(TypedDict):
    """One collected file."""

    path: str
    size: int
    sha256: str


class RankResult(TypedDict):
    """How one process ended: with an exit code or by a signal; neither if it never ran."""

    node: str
    exit_code: int | None
    signal: int | None


class Result(TypedDict):
    """``result.json``: written once, whole, when nothing of the attempt runs any more. ``state`` is an end state."""

    state: str
    started_ms: int | None
    ended_ms: int
    exit_code: int | None
    signal: int | None
    detail: str
    out_of_memory: bool
    ranks: list[RankResult]
    outputs: list[OutputEntry]


def without_run(state: str, detail: str, now_ms: int, started_ms: int | None = None) -> Result:
    """The result of an attempt that no supervisor can tell of."""
    return {
        "state": state,
        "started_ms": started_ms,
        "ended_ms": max(now_ms, started_ms or 0),
        "exit_code": None,
        "signal": None,
        "detail": detail,
        "out_of_memory": False,
        "ranks": [],
        "outputs": [],
    }
