"""Learns how far start estimates are to be trusted, from jobs that started: ``Learner`` makes ``predict.Calibration``.

The live centre and the simulator use it alike. Memory is bounded: the newest pairs of each bin are kept.

Percentiles of the past are too narrow for what comes: waits change with the load, and the jobs that wait longest are
learnt from last. So each bin watches how often its interval misses, and moves its percentiles outwards until one in
twenty misses on either side (Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift", NeurIPS 2021).
"""

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass, field

from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS
from scheduler.predict import LEAST_MS, Calibration

# Upper edges of the bins of estimated waits: few, so that each learns soon.
EDGES_MS = (5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 8 * HOUR_MS, DAY_MS, 4 * DAY_MS)
KEEP = 2_000  # pairs of a bin
REFRESH = 20  # pairs after which the ratios are computed again

# What every bin begins with, in thousandths: much is possible, until more is known.
PRIOR = (20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000, 1_000, 1_100, 1_200, 1_400, 1_600, 2_000, 3_000,
         4_000)  # fmt: skip
ENOUGH = len(PRIOR)

_ALL = 1_000
_MISSED, _HIT = 19, 1  # thousandths by which a percentile moves: in balance at one miss in twenty
_LOW, _LOWEST, _LOW_START = 100, -250, 50
_HIGH, _HIGHEST, _HIGH_START = 900, 1_500, 950
_STRETCH = 4  # beyond the last ratio that was seen, this much of it more for each thousandth


@dataclass(slots=True)
class _Bin:
    """The newest ratios, by age and by size, and which percentiles bound the interval. Percentiles beyond all stretch."""

    newest: deque[int] = field(default_factory=lambda: deque(PRIOR))
    ordered: list[int] = field(default_factory=lambda: sorted(PRIOR))
    low: int = _LOW_START
    high: int = _HIGH_START

    def add(self, ratio: int, keep: int) -> None:
        known = self.ratios()
        self.low = self._moved(self.low, -1, missed=ratio < known[0], bounds=(_LOWEST, _LOW))
        self.high = self._moved(self.high, 1, missed=ratio > known[2], bounds=(_HIGH, _HIGHEST))
        if len(self.newest) >= keep:
            del self.ordered[bisect_right(self.ordered, self.newest.popleft()) - 1]
        self.newest.append(ratio)
        insort(self.ordered, ratio)

    def ratios(self) -> tuple[int, int, int]:
        return self._at(self.low), self._at(_ALL // 2), self._at(self.high)

    def _at(self, level: int) -> int:
        ordered = self.ordered
        if level > _ALL:
            return ordered[-1] * (_ALL + _STRETCH * (level - _ALL)) // _ALL
        if level < 0:
            return ordered[0] * max(0, _ALL + _STRETCH * level) // _ALL
        return ordered[(len(ordered) - 1) * level // _ALL]

    @staticmethod
    def _moved(level: int, outwards: int, *, missed: bool, bounds: tuple[int, int]) -> int:
        level += outwards * _MISSED if missed else -outwards * _HIT
        return min(max(level, bounds[0]), bounds[1])


@dataclass(slots=True)
class Learner:
    """Feed it with ``observe``; ``calibration`` is what is known so far, refreshed now and then.

    Ratios are real over estimated wait in thousandths; an estimate below ``LEAST_MS`` counts as that.
    """

    keep: int = KEEP
    refresh: int = REFRESH
    calibration: Calibration = field(default_factory=Calibration)
    bins: list[_Bin] = field(default_factory=lambda: [_Bin() for _ in range(len(EDGES_MS) + 1)])
    unseen: int = 0

    def observe(self, estimated_ms: int, waited_ms: int) -> None:
        """A job started ``waited_ms`` after it was estimated to wait for ``estimated_ms``."""
        ratio = max(0, waited_ms) * _ALL // max(LEAST_MS, estimated_ms)
        self.bins[bisect_right(EDGES_MS, estimated_ms)].add(ratio, self.keep)
        self.unseen += 1
        if self.unseen >= self.refresh:
            self.unseen = 0
            self.calibration = self.learnt()

    def learnt(self) -> Calibration:
        """The ratios of each bin."""
        return Calibration(EDGES_MS, tuple(one.ratios() for one in self.bins))
