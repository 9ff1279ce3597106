"""What a plan answers: starts, stops, bookings, and the outlook: rank, reason and estimated start of all that wait.

The outlook is kept in columns, one row a job; a ``Ranked`` line is made when someone looks at it.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from scheduler.predict import Calibration
from scheduler.snapshot import Booked, Estimate, Ranked, Reason, Start, Stop

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Jobs of one lane that stand together in the queue: their ids, and when the first and the one after the last
    would start. ``starts_ms`` None: nobody can say.
    """

    ids: "array[int]"
    share: int
    reason: Reason
    starts_ms: int | None = None
    until_ms: int = 0


@dataclass(frozen=True, eq=False)
class Outlook:
    """All jobs that wait, in the order of the queue: rank is place."""

    now_ms: int = 0
    stretches: tuple[Stretch, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outlook) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((self.now_ms, len(self)))

    def __iter__(self) -> Iterator[Ranked]:
        return (self._line(row) for row in range(len(self)))

    def of(self, job_id: int) -> Ranked | None:
        """The line of a job; None if it does not wait."""
        order, ids = self._by_id
        at = int(np.searchsorted(ids, job_id))
        return self._line(int(order[at])) if at < len(ids) and ids[at] == job_id else None

    @cached_property
    def ids(self) -> Column:
        parts = [np.frombuffer(stretch.ids, dtype=np.int64) for stretch in self.stretches]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @cached_property
    def starts_ms(self) -> Column:
        """Estimated starts, -1 where nobody can say; within a stretch evenly spread."""
        counts = np.diff(self._begins)
        begins = np.array([-1 if s.starts_ms is None else s.starts_ms for s in self.stretches], np.int64)
        ends = np.array([-1 if s.starts_ms is None else s.until_ms for s in self.stretches], np.int64)
        place = np.arange(self._begins[-1]) - np.repeat(self._begins[:-1], counts)
        step = (ends - begins) // np.maximum(counts, 1)
        starts: Column = np.repeat(begins, counts) + place * np.repeat(step, counts)
        return starts

    @cached_property
    def _begins(self) -> Column:
        counts = [len(stretch.ids) for stretch in self.stretches]
        return np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)

    @cached_property
    def _by_id(self) -> tuple[Column, Column]:
        order = np.argsort(self.ids, kind="stable")
        return order, self.ids[order]

    def _line(self, row: int) -> Ranked:
        stretch = self.stretches[bisect_right(self._begins, row) - 1]
        return Ranked(
            int(self.ids[row]), row + 1, stretch.share, stretch.reason, self._estimate(int(self.starts_ms[row]))
        )

    def _estimate(self, starts_ms: int) -> Estimate | None:
        if starts_ms < 0:
            return None
        wait_ms = max(0, starts_ms - self.now_ms)
        low, middle, high = self.calibration.of(wait_ms)
        at = [self.now_ms + wait_ms * ratio // 1_000 for ratio in (middle, low, high)]
        return Estimate(*at)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in order; what to stop for it; what is booked for the blocked; and the outlook of all that wait.

    ``warnings`` are sentences for administrators, such as a reservation that will lack GPUs when it begins.
    """

    starts: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    booked: tuple[Booked, ...] = ()
    outlook: Outlook = field(default_factory=Outlook)
    warnings: tuple[str, ...] = ()
