"""When the rest of the queue will start: the work ahead of each job, poured into the capacity that running jobs leave.

Blocked jobs beyond the booked ones are not placed one by one. A flavor's free capacity over time is a curve made of
the predicted ends of what runs; a job starts about when the curve has carried the work that stands before it.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from scheduler.predict import predicted_ms
from scheduler.snapshot import State


@dataclass(slots=True)
class Pool:
    """One flavor. ``ahead`` is the work queued so far, in thousandth-milliseconds."""

    now_ms: int
    capacity: int
    ends: list[tuple[int, int]]  # (predicted end, thousandths that it frees)
    ahead: int = 0
    _times: list[int] = field(default_factory=list)
    _carried: list[int] = field(default_factory=list)  # work that fits in before each time
    _free: list[int] = field(default_factory=list)  # thousandths free from each time on

    def occupy(self, until_ms: int, milli: int) -> None:
        """A job starts. Those that start once the curve is drawn fill gaps in it, and change nothing."""
        if not self._times:
            self.ends.append((until_ms, milli))

    def start(self, milli: int, work: int) -> int:
        """The time at which a job of ``milli`` starts behind ``work``: once so much is carried, and it fits in at all."""
        if not self._times:
            self._draw()
        position = bisect_left(self._carried, work)
        if position >= len(self._times):
            over = work - self._carried[-1]
            found = self._times[-1] + over // max(1, self.capacity)
        elif position == 0:
            found = self._times[0]
        else:
            low, high = self._carried[position - 1], self._carried[position]
            begin, end = self._times[position - 1], self._times[position]
            found = begin + (end - begin) * (work - low) // max(1, high - low)
        return max(found, self._room_at(milli))

    def _draw(self) -> None:
        self.ends.sort()
        free = self.capacity - sum(milli for _, milli in self.ends)
        self._times, self._carried, self._free = [self.now_ms], [0], [free]
        for at_ms, milli in self.ends:
            begun = self._times[-1]
            if at_ms > begun:
                self._carried.append(self._carried[-1] + max(0, free) * (at_ms - begun))
                self._times.append(at_ms)
                self._free.append(free)
            free += milli
            self._free[-1] = free

    def _room_at(self, milli: int) -> int:
        """The first time at which so much is free of what runs now."""
        return self._times[min(bisect_left(self._free, milli), len(self._times) - 1)]


def pools(state: State, capacity: dict[str, int], now_ms: int) -> dict[str, Pool]:
    """A pool for each flavor, with the predicted ends of what runs."""
    found = {flavor: Pool(now_ms, total, []) for flavor, total in capacity.items()}
    recent = state.recent
    for attempt in state.live:
        pool = found.get(attempt.flavor)
        if pool is not None:
            walltime_ms = attempt.ends_ms - attempt.started_ms
            end_ms = attempt.started_ms + predicted_ms(walltime_ms, recent.get(attempt.user_id, ()))
            # One that outlived its prediction may take its whole walltime.
            pool.ends.append((end_ms if end_ms > now_ms else max(attempt.ends_ms, now_ms + 1), attempt.milli))
    return found
