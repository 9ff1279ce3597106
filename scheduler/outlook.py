"""What a plan answers: starts, stops, bookings, and the outlook: rank, reason and estimated start of all that wait.

The outlook is kept in columns, one row a job in the order of the queue; a ``Ranked`` line is made when someone looks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scheduler.predict import LEAST_MS, Calibration
from scheduler.snapshot import Booked, Estimate, Ranked, Reason, Start, Stop

Column: TypeAlias = npt.NDArray[np.int64]


def _none() -> Column:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Outlook:
    """All jobs that wait: rank is place. ``starts_ms`` is -1 where nobody can say; ``reason`` counts into ``reasons``."""

    now_ms: int = 0
    ids: Column = field(default_factory=_none)
    starts_ms: Column = field(default_factory=_none)
    share: Column = field(default_factory=_none)
    reason: Column = field(default_factory=_none)
    reasons: tuple[Reason, ...] = ()
    calibration: Calibration = field(default_factory=Calibration)

    def __len__(self) -> int:
        return len(self.ids)

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

    def waits(self, job_ids: Sequence[int]) -> dict[int, int]:
        """How long these jobs would wait, before any correction; without those of which nobody can say."""
        order, ids = self._by_id
        at = np.searchsorted(ids, job_ids)
        rows = [int(order[row]) for row, job in zip(at, job_ids, strict=True) if row < len(ids) and ids[row] == job]
        known = ((int(self.ids[row]), int(self.starts_ms[row])) for row in rows)
        return {job_id: max(0, starts_ms - self.now_ms) for job_id, starts_ms in known if starts_ms >= 0}

    def intervals(self) -> tuple[Column, Column, Column]:
        """What ``Estimate`` says, for all: expected starts, lows and highs; -1 where nobody can say."""
        wait_ms = np.maximum(0, self.starts_ms - self.now_ms)
        ratios = np.array(self.calibration.ratios, np.int64)[np.searchsorted(self.calibration.bounds, wait_ms, "right")]
        low, middle, high = (
            self.now_ms + np.stack((wait_ms, wait_ms, np.maximum(wait_ms, LEAST_MS))) * ratios.T // 1_000
        )
        known = self.starts_ms >= 0
        return np.where(known, middle, -1), np.where(known, low, -1), np.where(known, high, -1)

    @cached_property
    def _by_id(self) -> tuple[Column, Column]:
        order = np.argsort(self.ids, kind="stable")
        return order, self.ids[order]

    def _line(self, row: int) -> Ranked:
        reason = self.reasons[int(self.reason[row])]
        return Ranked(
            int(self.ids[row]), row + 1, int(self.share[row]), reason, self._estimate(int(self.starts_ms[row]))
        )

    def _estimate(self, starts_ms: int) -> Estimate | None:
        if starts_ms < 0:
            return None
        wait_ms = max(0, starts_ms - self.now_ms)
        low, middle, high = self.calibration.waits(wait_ms)
        return Estimate(self.now_ms + middle, self.now_ms + low, self.now_ms + high)


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
