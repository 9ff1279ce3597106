"""When the rest of the queue will start: the work ahead of each job, poured into the capacity that running jobs leave.

Blocked jobs beyond the booked ones are not placed one by one. A flavor's free capacity over time is a curve made of
the predicted ends of what runs; a job starts about when the curve has carried the work that stands before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scheduler.live import Expected
from scheduler.outlook import Column

Work: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One flavor from now on. Between two ``times`` what is ``free`` stays; ``carried`` is the work that fits in before.

    Work is in thousandth-milliseconds, in floats, which hold it to well below a millisecond's error; after the last time
    all of ``capacity`` is free.
    """

    times: Column
    free: Column
    carried: Column
    capacity: int

    @classmethod
    def of(
        cls, now_ms: int, capacity: int, running: Iterable[Expected], starting: Iterable[tuple[int, int]]
    ) -> "Curve":
        """``starting`` are (expected end, thousandths) of what this plan starts."""
        # One that outlived its prediction may take its whole walltime.
        ends = [(one.at_ms if one.at_ms > now_ms else max(one.ends_ms, now_ms + 1), one.milli) for one in running]
        ends += starting
        pairs = np.array(sorted(ends), np.int64).reshape(-1, 2)
        times = np.concatenate(([now_ms], pairs[:, 0]))
        free = np.concatenate(([0], np.cumsum(pairs[:, 1]))) + (capacity - int(pairs[:, 1].sum()))
        carried = np.concatenate(([0], np.cumsum(np.maximum(free[:-1], 0) * np.diff(times))))
        return cls(times, free, carried, max(1, capacity))

    def when(self, work: Work) -> Column:
        """The times by which so much work has been carried."""
        over = np.maximum(work - self.carried[-1], 0) // self.capacity
        reached: Column = (np.interp(work, self.carried, self.times) + over).astype(np.int64)
        return reached

    def room_at(self, milli: Column) -> Column:
        """The first times at which so much is free of what runs now."""
        most = np.maximum.accumulate(self.free)
        found: Column = self.times[np.minimum(np.searchsorted(most, milli), len(self.times) - 1)]
        return found
