"""Learns how far start estimates are to be trusted, from jobs that started: ``Learner`` makes ``predict.Calibration``.

The live centre and the simulator use it alike. Memory is bounded: the newest pairs of each bin are kept.
"""

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field

from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from scheduler.predict import Calibration

# Upper edges of the bins of estimated waits.
EDGES_MS = (
    MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS,
    16 * HOUR_MS, DAY_MS, 2 * DAY_MS, 4 * DAY_MS, 8 * DAY_MS,
)  # fmt: skip
KEEP = 400  # pairs of a bin
ENOUGH = 20  # pairs that a bin's ratios rest on; with fewer, its neighbours' or the default ones are used
REFRESH = 50  # pairs after which the ratios are computed again

_PERCENTILES = (50, 500, 950)  # in thousandths
_THOUSAND = 1_000


@dataclass(slots=True)
class _Bin:
    """The newest ratios, by age and by size."""

    newest: deque[int] = field(default_factory=deque)
    ordered: list[int] = field(default_factory=list)

    def add(self, ratio: int, keep: int) -> None:
        if len(self.newest) == keep:
            del self.ordered[bisect_right(self.ordered, self.newest.popleft()) - 1]
        self.newest.append(ratio)
        insort(self.ordered, ratio)


@dataclass(slots=True)
class Learner:
    """Feed it with ``observe``; ``calibration`` is what is known so far, refreshed now and then.

    Ratios are real over estimated wait in thousandths; an estimate below a second counts as one.
    """

    keep: int = KEEP
    refresh: int = REFRESH
    calibration: Calibration = field(default_factory=Calibration)
    bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(len(EDGES_MS) + 1)])
    unseen: int = 0

    def observe(self, estimated_ms: int, waited_ms: int) -> None:
        """A job started ``waited_ms`` after it was estimated to wait for ``estimated_ms``."""
        ratio = max(0, waited_ms) * _THOUSAND // max(SECOND_MS, estimated_ms)
        self.bins[bisect_right(EDGES_MS, estimated_ms)].add(ratio, self.keep)
        self.unseen += 1
        if self.unseen >= self.refresh:
            self.unseen = 0
            self.calibration = self.learnt()

    def learnt(self) -> Calibration:
        """The ratios of each bin; a bin with too few pairs has the default ones."""
        default = Calibration().ratios[0]
        ratios = tuple(_ratios(bin_.ordered) if len(bin_.ordered) >= ENOUGH else default for bin_ in self.bins)
        return Calibration(EDGES_MS, ratios)


def _ratios(ordered: list[int]) -> tuple[int, int, int]:
    low, middle, high = (ordered[(len(ordered) - 1) * part // _THOUSAND] for part in _PERCENTILES)
    return low, middle, high
