"""A simulated cluster on a virtual clock: implements ``lifecycle.driving.Driver`` without a process or a file.

It outlives controllers as a real cluster does, so a test restarts the centre by building a new one around the same
driver. What a run does is read from the job's command (``run 90s exit 1``) or given by ``behaviour``. It counts runs
and watches that no device, core or byte is ever given twice: ``violations`` must stay empty.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from domain.clusters import Tenancy
from domain.errors import Conflict, Refused, Unavailable
from domain.fleet import CPU_FLAVOR, Inventory, LogChunk, Node
from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Observation, Output, Sight
from domain.quantities import parse_duration
from lifecycle.ports import Clock
from tests.support.channel import FakeChannel

_SIGTERM = 15
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a run goes. ``runs_ms`` None runs until it is stopped or its walltime is over."""

    starts_after_ms: int = 0
    runs_ms: int | None = 60_000
    exit_code: int = 0
    stops_after_ms: int = 0  # how long it takes to end once it is told to; its grace bounds that
    out_of_memory: bool = False
    prints: bytes = b""
    leaves: tuple[tuple[str, bytes], ...] = ()
    detail: str = ""


def by_command(launch: Launch) -> Behaviour:
    """``run 90s``, ``run forever``, ``run 5s exit 3``, ``run 5s stops-after 2s print hello``; a minute for all else."""
    words = launch.spec.command
    if not words or words[0] != "run":
        return Behaviour()
    runs_ms = None if words[1] == "forever" else parse_duration(words[1], "command")
    said = dict(zip(words[2::2], words[3::2], strict=True))
    return Behaviour(
        starts_after_ms=parse_duration(said.get("starts-after", "0s"), "command"),
        runs_ms=runs_ms,
        exit_code=int(said.get("exit", "0")),
        stops_after_ms=parse_duration(said.get("stops-after", "0s"), "command"),
        prints=said.get("print", "").encode(),
        leaves=(("result.txt", said["leave"].encode()),) if "leave" in said else (),
    )


@dataclass(slots=True)
class _Run:
    """One run of an attempt; everything that happens to it is a time."""

    launch: Launch
    behaviour: Behaviour
    accepted_ms: int
    told_ms: int | None = None
    kill_ms: int = 0  # told to stop, it is over by then
    broken_ms: int | None = None  # its node failed
    waits_for: str = ""  # what is said while it has not begun
    walltime_ms: int = 0  # if it was extended

    @property
    def started_ms(self) -> int:
        return self.accepted_ms + self.behaviour.starts_after_ms

    @property
    def walltime_end_ms(self) -> int:
        return self.started_ms + max(self.walltime_ms, self.launch.spec.resources.walltime_ms)

    def end(self) -> tuple[int, AttemptState]:
        """When it will end and how, as things stand: of all that may end it, what comes first."""
        ends = [(self.walltime_end_ms, 1, AttemptState.TIMED_OUT)]
        if self.behaviour.runs_ms is not None:
            bad = self.behaviour.exit_code or self.behaviour.out_of_memory
            natural = AttemptState.FAILED if bad else AttemptState.SUCCEEDED
            ends.append((self.started_ms + self.behaviour.runs_ms, 0, natural))
        if self.told_ms is not None:
            ends.append((self.told_ms, 2, AttemptState.CANCELLED))
        if self.broken_ms is not None:
            ends.append((self.broken_ms, 3, AttemptState.NODE_FAILED))
        at_ms, _, state = min(ends)
        if state is AttemptState.TIMED_OUT:
            at_ms += min(self.behaviour.stops_after_ms, self.launch.spec.grace_ms)
        elif state is AttemptState.CANCELLED and at_ms >= self.started_ms:
            at_ms = min(at_ms + self.behaviour.stops_after_ms, self.kill_ms)
        return at_ms, state

    def observation(self, now_ms: int) -> Observation:
        attempt = self.launch.attempt
        ended_ms, state = self.end()
        if ended_ms <= now_ms:
            return self._ended(ended_ms, state)
        if now_ms < self.started_ms:
            return Observation(attempt, AttemptState.STARTING, detail=self.waits_for)
        stopping = self.told_ms is not None or now_ms >= self.walltime_end_ms
        return Observation(attempt, AttemptState.STOPPING if stopping else AttemptState.RUNNING, self.started_ms)

    def _ended(self, ended_ms: int, state: AttemptState) -> Observation:
        begun = ended_ms >= self.started_ms
        natural = state in {AttemptState.SUCCEEDED, AttemptState.FAILED}
        killed = state is AttemptState.TIMED_OUT or (
            state is AttemptState.CANCELLED and self.behaviour.stops_after_ms > ended_ms - (self.told_ms or ended_ms)
        )
        return Observation(
            self.launch.attempt,
            state,
            self.started_ms if begun else None,
            ended_ms,
            self.behaviour.exit_code if natural else None,
            None if natural or not begun else _SIGKILL if killed else _SIGTERM,
            self._detail(state, begun=begun, killed=killed),
            self.behaviour.out_of_memory and natural,
            self._outputs() if natural else (),
        )

    def _detail(self, state: AttemptState, *, begun: bool, killed: bool) -> str:
        if state is AttemptState.TIMED_OUT:
            return "its walltime was over"
        if state is AttemptState.NODE_FAILED:
            return "its node failed"
        if not begun:
            return "it was stopped before it began"
        return "it was killed after its grace period" if killed else self.behaviour.detail

    def _outputs(self) -> tuple[Output, ...]:
        return tuple(
            Output(path, len(data), hashlib.sha256(data).hexdigest())
            for path, data in self.behaviour.leaves
            if any(fnmatch(path, pattern) for pattern in self.launch.spec.outputs)
        )


@dataclass(slots=True)
class FakeDriver:
    """See the module. ``away`` makes it refuse starts; ``blind`` makes it show nothing at all; ``shells`` lets people in."""

    clock: Clock
    nodes: Sequence[Node]
    behaviour: Callable[[Launch], Behaviour] = by_command
    objects: Callable[[Launch], tuple[Mapping[str, Any], ...]] = lambda _: ()
    wake: Callable[[], None] = lambda: None
    notes: tuple[str, ...] = ()
    away: bool = False
    blind: bool = False
    shells: bool = True
    channels: list[FakeChannel] = field(default_factory=list)
    opening: Callable[[], object] = bool  # called before a channel is there
    runs: Counter[AttemptId] = field(default_factory=Counter)
    stops: Counter[AttemptId] = field(default_factory=Counter)
    extensions: Counter[AttemptId] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _known: dict[AttemptId, _Run] = field(default_factory=dict)
    _forgotten: set[AttemptId] = field(default_factory=set)
    _lost: set[AttemptId] = field(default_factory=set)
    _blind_ms: int | None = None  # since when
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def inventory(self) -> Inventory:
        return Inventory(tuple(self.nodes), self.notes)

    def start(self, launch: Launch) -> None:
        if self.away:
            raise Unavailable("the cluster does not answer")
        with self._lock:
            if launch.attempt in self._known:
                self._forgotten.discard(launch.attempt)
                return
            run = _Run(launch, self.behaviour(launch), self.clock.now_ms())
            self._watch(run)
            self._known[launch.attempt] = run
            self.runs[launch.attempt] += 1
        self.wake()

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        with self._lock:
            self.stops[attempt] += 1
            run, now_ms = self._known.get(attempt), self.clock.now_ms()
            if run is None or self._over(run):
                return
            kill_ms = now_ms + grace_ms
            run.kill_ms = kill_ms if run.told_ms is None else min(kill_ms, run.kill_ms)
            run.told_ms = now_ms if run.told_ms is None else run.told_ms
        self.wake()

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        if self.away:
            raise Unavailable("the cluster does not answer")
        with self._lock:
            self.extensions[attempt] += 1
            run = self._known.get(attempt)
            if run is not None and not self._over(run) and self.clock.now_ms() < run.walltime_end_ms:
                run.walltime_ms = max(run.walltime_ms, walltime_ms)

    def observe(self) -> Sight:
        if self.blind:
            self._blind_ms = self.clock.now_ms() if self._blind_ms is None else self._blind_ms
            return Sight(whole=False, silent_ms=self._blind_ms)
        self._blind_ms = None
        with self._lock:
            hidden = self._forgotten | self._lost
            now_ms = self.clock.now_ms()
            return Sight(
                tuple(run.observation(now_ms) for attempt, run in self._known.items() if attempt not in hidden)
            )

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:
        return self.objects(launch)

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:
        return ()

    def forget(self, attempt: AttemptId) -> None:
        with self._lock:
            run = self._known.get(attempt)
            if run is not None and self._over(run):
                self._forgotten.add(attempt)

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        run = self._known.get(attempt)
        text = b"" if run is None or self.clock.now_ms() < run.started_ms else run.behaviour.prints
        data = text[offset : offset + limit]
        ended = run is not None and self._over(run)
        return LogChunk(data, offset, offset + len(data), complete=ended and offset + len(data) >= len(text))

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        run = self._known.get(attempt)
        if run is None or not self._over(run):
            return None
        kept = {output.path for output in run.observation(self.clock.now_ms()).outputs}
        data = dict(run.behaviour.leaves).get(path)
        return None if data is None or path not in kept else data[offset : offset + limit]

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> FakeChannel:
        self._enter(attempt)
        self.opening()
        self.channels.append(FakeChannel.running(rank, command, tty=tty))
        return self.channels[-1]

    def forward(self, attempt: AttemptId, rank: int, port: int) -> FakeChannel:
        self._enter(attempt)
        self.channels.append(FakeChannel(rank, port=port))
        return self.channels[-1]

    def _enter(self, attempt: AttemptId) -> None:
        if not self.shells:
            raise Refused("the cluster sim lets nobody into jobs", code="exec-refused")
        if self.away:
            raise Unavailable("the cluster does not answer")
        run = self._known.get(attempt)
        if run is None or self._over(run) or self.clock.now_ms() < run.started_ms:
            raise Conflict(f"{attempt} does not run", "job", code="not-running")

    def close(self) -> None:
        """What runs goes on."""

    # What a test does to the cluster.

    def say(self, attempt: AttemptId, waits_for: str) -> None:
        """What an attempt that has not begun waits for."""
        self._known[attempt].waits_for = waits_for

    def vanish(self, attempt: AttemptId) -> None:
        """It is gone without a result."""
        self._lost.add(attempt)

    def fail_node(self, name: str) -> None:
        """Everything that runs on the node ends at once."""
        now_ms = self.clock.now_ms()
        for run in self._known.values():
            if not self._over(run) and any(placement.node == name for placement in run.launch.placements):
                run.broken_ms = now_ms

    def next_event_ms(self) -> int | None:
        """When something will change by itself; None if nothing will."""
        now_ms = self.clock.now_ms()
        times = [
            at_ms
            for attempt, run in self._known.items()
            if attempt not in self._lost and not self._over(run)
            for at_ms in (run.started_ms, run.walltime_end_ms, run.end()[0])
            if at_ms > now_ms
        ]
        return min(times, default=None)

    def _over(self, run: _Run) -> bool:
        return run.end()[0] <= self.clock.now_ms()

    def _watch(self, run: _Run) -> None:
        """Note it if the new run is given what another still has."""
        if self.runs[run.launch.attempt]:
            self.violations.append(f"{run.launch.attempt} was run twice")
        alive = [other for attempt, other in self._known.items() if attempt not in self._lost and not self._over(other)]
        same = [other for other in alive if other.launch.attempt.task == run.launch.attempt.task]
        self.violations += [f"{other.launch.attempt} still runs beside {run.launch.attempt}" for other in same]
        for node in self.nodes:
            here = [other for other in (*alive, run) if any(p.node == node.name for p in other.launch.placements)]
            self._watch_node(node, here)

    def _watch_node(self, node: Node, here: Sequence[_Run]) -> None:
        cpus = sum(run.launch.spec.resources.cpus for run in here)
        memory = sum(run.launch.spec.resources.memory_bytes for run in here)
        if cpus > node.cpus or memory > node.memory_bytes:
            self.violations.append(f"node {node.name} was given {cpus} cores and {memory} bytes")
        given = Counter(
            (run.launch.flavor, ordinal)
            for run in here
            if run.launch.flavor != CPU_FLAVOR
            for placement in run.launch.placements
            if placement.node == node.name
            for ordinal in placement.devices
        )
        for (flavor, ordinal), times in given.items():
            if times > 1 or ordinal >= node.devices.get(flavor, 0):
                self.violations.append(f"device {ordinal} of {flavor} on {node.name} was given {times} times")
