"""Run times as people's last runs foretell them, and how far such foresight is to be trusted. Never used to kill."""

from bisect import bisect_right
from dataclasses import dataclass

from domain.quantities import MINUTE_MS

LEAST_MS = MINUTE_MS  # the latest wait is never told of less: an estimate of nothing is not sure to a millisecond


def predicted_ms(walltime_ms: int, recent: tuple[int, ...]) -> int:
    """The mean of the user's last two run times, at most the walltime; the walltime where nothing is known.

    Source: Tsafrir, Etsion, Feitelson, "Backfilling using system-generated predictions" (TPDS 2007).
    """
    last = recent[-2:]
    return min(walltime_ms, sum(last) // len(last)) if last else walltime_ms


@dataclass(frozen=True, slots=True)
class Calibration:
    """How real waits compared with the estimated ones, learnt from jobs that started.

    ``bounds`` are upper edges of estimated waits in ms, ascending; ``ratios`` has for each bin (one more than edges)
    the 5th percentile, the median and the 95th percentile of real over estimated wait, in thousandths.
    """

    bounds: tuple[int, ...] = ()
    ratios: tuple[tuple[int, int, int], ...] = ((200, 1_000, 2_000),)

    def of(self, wait_ms: int) -> tuple[int, int, int]:
        """The three ratios for an estimated wait."""
        return self.ratios[bisect_right(self.bounds, wait_ms)]

    def waits(self, wait_ms: int) -> tuple[int, int, int]:
        """The earliest, the middle and the latest wait that an estimated one may come to, in ms."""
        low, middle, high = self.of(wait_ms)
        return wait_ms * low // 1_000, wait_ms * middle // 1_000, max(wait_ms, LEAST_MS) * high // 1_000
