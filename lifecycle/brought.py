"""What an import leaves behind, so that it can be repeated: the port to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lifecycle.paging import Page

# A run at its place of origin: (job, start in ms, kind of GPU there). A requeued job ran several times.
RunKey = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One import that was applied: by whom, why, and what it added."""

    id: int
    kind: str
    origin: str
    digest: str
    user_id: int
    reason: str
    created_ms: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has no name of its own here, known by its key at the origin, with what was said of it then."""

    key: str
    target_id: int
    facts: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A past run as it is kept. Amounts are over all its nodes; ``milli`` is thousandths of a GPU (or core).

    ``job``, ``started_ms`` and ``gres`` are its key at the origin. ``elapsed_ms`` leaves out when it was suspended.
    ``posting`` is the name of its transaction in the ledger.
    """

    job: str
    started_ms: int
    gres: str
    project_id: int
    user_id: int
    allocation_id: int
    flavor: str
    qos: str
    state: str
    milli: int
    nodes: int
    cpus: int
    memory_bytes: int
    submitted_ms: int
    ended_ms: int
    elapsed_ms: int
    walltime_ms: int | None
    gpu_ms: int
    cpu_ms: int
    memory_mib_ms: int
    micro_su: int
    posting: str

    @property
    def key(self) -> RunKey:
        return self.job, self.started_ms, self.gres


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a run that is there must not change."""

    project_id: int
    user_id: int
    flavor: str
    gpu_ms: int
    ended_ms: int


class Imports(Protocol):
    """What was brought along from other centres."""

    def add_batch(self, batch: Batch) -> int: ...
    def batches(self, page: Page) -> list[Batch]: ...
    def things(self, origin: str, kind: str) -> dict[str, Thing]: ...
    def add_things(self, batch_id: int, origin: str, kind: str, things: Sequence[Thing]) -> None: ...
    def runs(self, origin: str, from_ms: int, until_ms: int) -> dict[RunKey, Kept]: ...
    def add_runs(self, batch_id: int, origin: str, runs: Sequence[RunRecord]) -> None: ...
    def metered(self, from_ms: int | None, until_ms: int | None, projects: frozenset[int] | None) -> dict[str, int]: ...
