"""A simulated cluster by the real clock: an attempt ends of itself some time after its start, and is heard of at once."""

import heapq
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.clusters import Tenancy
from domain.errors import Refused
from domain.fleet import Inventory, LogChunk, Node
from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Observation, Sight
from lifecycle.driving import Channel


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class SimulatedCluster:
    """Implements ``lifecycle.driving.Driver``. ``runs_ms`` tells how long a launch runs; ``ended`` is called at each end."""

    nodes: Sequence[Node]
    runs_ms: Callable[[Launch], int]
    ended: Callable[[], None] = lambda: None
    finished: int = 0  # attempts that succeeded and whose end is committed, since the centre let them be forgotten
    _seen: dict[AttemptId, Observation] = field(default_factory=dict)
    _ends: list[tuple[int, int, AttemptId]] = field(default_factory=list)
    _count: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def inventory(self) -> Inventory:
        return Inventory(tuple(self.nodes), ())

    def start(self, launch: Launch) -> None:
        at_ms = now_ms()
        with self._changed:
            if launch.attempt in self._seen:
                return
            self._seen[launch.attempt] = Observation(launch.attempt, AttemptState.RUNNING, at_ms)
            self._count += 1
            heapq.heappush(self._ends, (at_ms + self.runs_ms(launch), self._count, launch.attempt))
            if self._ends[0][1] == self._count:
                self._changed.notify()

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:  # noqa: ARG002 - it stops at once
        with self._changed:
            seen = self._seen.get(attempt)
            if seen is None or seen.state.final:
                return
            self._seen[attempt] = Observation(attempt, AttemptState.CANCELLED, seen.started_ms, now_ms(), signal=15)
        self.ended()

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        """No walltime is enforced here."""

    def observe(self) -> Sight:
        with self._changed:
            return Sight(tuple(self._seen.values()))

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:  # noqa: ARG002
        return ()

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def forget(self, attempt: AttemptId) -> None:
        with self._changed:
            seen = self._seen.get(attempt)
            if seen is not None and seen.state.final:
                del self._seen[attempt]
                self.finished += seen.state is AttemptState.SUCCEEDED

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:  # noqa: ARG002
        return LogChunk(b"", offset, offset, complete=True)

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:  # noqa: ARG002
        return None

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> Channel:  # noqa: ARG002
        raise Refused("nothing really runs here")

    def forward(self, attempt: AttemptId, rank: int, port: int) -> Channel:  # noqa: ARG002
        raise Refused("nothing really runs here")

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """End what is due, until closed; in a thread of its own."""
        while True:
            with self._changed:
                if self._closed:
                    return
                due_ms = self._ends[0][0] if self._ends else None
                wait_ms = None if due_ms is None else due_ms - now_ms()
                if wait_ms is None or wait_ms > 0:
                    self._changed.wait(None if wait_ms is None else wait_ms / 1000)
                    continue
                while self._ends and self._ends[0][0] <= now_ms():
                    self._end(*heapq.heappop(self._ends))
            self.ended()

    def _end(self, at_ms: int, _: int, attempt: AttemptId) -> None:
        seen = self._seen.get(attempt)
        if seen is not None and not seen.state.final:
            self._seen[attempt] = Observation(attempt, AttemptState.SUCCEEDED, seen.started_ms, at_ms, exit_code=0)
