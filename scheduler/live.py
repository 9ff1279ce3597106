"""The live attempts, kept between cycles as the planner looks at them: by node, by when they end, by when they probably end.

Like the queue it is changed by what changed, so that a cycle does not pay for what merely goes on running.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.jobs import Placement, Resources
from scheduler.predict import predicted_ms


@dataclass(frozen=True, slots=True)
class Running:
    """A live attempt, from its commitment until its end is known: what it holds, where, and until when at the most.

    ``ends_ms`` is when its walltime is over (or its grace period, once it was told to stop). ``resources`` is what each
    of its nodes gives. ``window`` names the reservation it runs in. ``lost``: its cluster is out of sight, so that nobody
    knows when it ends, and nobody can stop it.
    """

    job_id: int
    index: int
    project_id: int
    user_id: int
    qos: str
    cluster: str
    flavor: str
    placements: tuple[Placement, ...]
    resources: Resources
    milli: int
    started_ms: int
    ends_ms: int
    grace_ms: int = 0
    restartable: bool = False
    stopping: bool = False
    window: str | None = None
    lost: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """The task that it is the live attempt of."""
        return self.job_id, self.index


class Span(NamedTuple):
    """What leaves a node's free capacity from one time to another: for a job (its id), or for a window (its name).

    The window's ``owner`` and all below it may use what it keeps.
    """

    from_ms: int
    until_ms: int
    flavor: str
    gpus: int
    cpus: int
    memory_bytes: int
    who: int | str
    owner: int | None = None


NodeKey = tuple[str, str]


class End(NamedTuple):
    """A node gets emptier: at the latest at ``at_ms``, by what the span held."""

    at_ms: int
    node: NodeKey
    span: Span


class Expected(NamedTuple):
    """An attempt probably ends at ``at_ms``, at the latest at ``ends_ms``, and frees so many thousandths."""

    at_ms: int
    ends_ms: int
    milli: int
    task: tuple[int, int]


@dataclass(slots=True)
class Live:
    """``ends`` and ``expected`` are sorted by time, the latter by flavor. ``add`` replaces an attempt of the same task.

    ``shapes`` counts nodes by what is held of them: (flavor, devices, cores, memory).
    """

    attempts: dict[tuple[int, int], Running] = field(default_factory=dict)
    on_node: dict[NodeKey, dict[tuple[int, int], Span]] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)
    expected: dict[str, list[Expected]] = field(default_factory=dict)
    shapes: Counter[tuple[str, int, int, int]] = field(default_factory=Counter)
    _expected: dict[tuple[int, int], Expected] = field(default_factory=dict)

    @classmethod
    def of(cls, attempts: Iterable[Running]) -> "Live":
        live = cls()
        for attempt in attempts:
            live.add(attempt)
        return live

    def copy(self) -> "Live":
        """The same attempts, which stay when this one changes."""
        on_node = {node: dict(held) for node, held in self.on_node.items()}
        expected = {flavor: line[:] for flavor, line in self.expected.items()}
        return Live(dict(self.attempts), on_node, self.ends[:], expected, self.shapes.copy(), dict(self._expected))

    def __len__(self) -> int:
        return len(self.attempts)

    def __iter__(self) -> Iterator[Running]:
        return iter(self.attempts.values())

    def add(self, attempt: Running, recent: tuple[int, ...] = ()) -> None:
        """``recent`` are its user's last run times, which foretell its end."""
        if attempt.key in self.attempts:
            self.remove(*attempt.key)
        self.attempts[attempt.key] = attempt
        self.shapes[_shape(attempt)] += len(attempt.placements)
        for node, span in spans(attempt):
            self.on_node.setdefault(node, {})[attempt.key] = span
            insort(self.ends, End(span.until_ms, node, span), key=when)
        walltime_ms = max(0, attempt.ends_ms - attempt.started_ms)
        at_ms = attempt.started_ms + predicted_ms(walltime_ms, recent)
        expected = Expected(at_ms, attempt.ends_ms, attempt.milli, attempt.key)
        self._expected[attempt.key] = expected
        insort(self.expected.setdefault(attempt.flavor, []), expected)

    def remove(self, job_id: int, index: int) -> None:
        attempt = self.attempts.pop((job_id, index), None)
        if attempt is None:
            return
        shape = _shape(attempt)
        self.shapes[shape] -= len(attempt.placements)
        if not self.shapes[shape]:
            del self.shapes[shape]
        for node, span in spans(attempt):
            del self.on_node[node][attempt.key]
            end = End(span.until_ms, node, span)
            at = bisect_left(self.ends, when(end), key=when)
            while self.ends[at] != end:
                at += 1
            del self.ends[at]
        line = self.expected[attempt.flavor]
        del line[bisect_left(line, self._expected.pop(attempt.key))]


def spans(attempt: Running) -> Iterator[tuple[NodeKey, Span]]:
    """What the attempt holds on each of its nodes."""
    needs = attempt.resources
    for placement in attempt.placements:
        yield (attempt.cluster, placement.node), Span(
            attempt.started_ms, attempt.ends_ms, attempt.flavor, len(placement.devices), needs.cpus,
            needs.memory_bytes, attempt.job_id,
        )  # fmt: skip


def _shape(attempt: Running) -> tuple[str, int, int, int]:
    needs = attempt.resources
    return attempt.flavor, needs.gpus, needs.cpus, needs.memory_bytes


def when(end: End) -> tuple[int, NodeKey]:
    return end.at_ms, end.node
