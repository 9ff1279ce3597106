"""Which consecutive jobs of a long trace to replay.

Traces hold stretches of all kinds: one sweep of a single person, or a week whose jobs run for months. Compressed into
seconds, most of them would end up as jobs of no length at all. So of all windows that are at least as mixed as the
trace's usual one (tenants, jobs of several GPUs) the one is taken that needs the least compression on the given pool.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from runtime.workload.trace import Request


def least_compressed(requests: Sequence[Request], count: int, pool_gpus: int, width: Callable[[Request], int]) -> int:
    """Where the window of ``count`` jobs begins. ``width`` is how many of the pool's GPUs a job takes."""
    starts = range(len(requests) - count + 1)
    if len(starts) < 2:
        return 0
    widths = [width(request) for request in requests]
    tenants = _kinds([request.tenant for request in requests], count)
    several = _sums([float(wide > 1) for wide in widths], count)
    usual = median(tenants), median(several)
    mixed = [start for start in starts if tenants[start] >= usual[0] and several[start] >= usual[1]]
    work = _sums([wide * request.runtime_s for wide, request in zip(widths, requests, strict=True)], count)

    def length(start: int) -> float:
        """Seconds that the pool needs for the window at least: for its arrivals, and for its work."""
        return max(requests[start + count - 1].submit_s - requests[start].submit_s, work[start] / pool_gpus)

    return min(mixed or starts, key=lambda start: (length(start), start))


def _sums(values: Sequence[float], count: int) -> list[float]:
    """The sum of each window."""
    total = [0.0]
    for value in values:
        total.append(total[-1] + value)
    return [total[start + count] - total[start] for start in range(len(values) - count + 1)]


def _kinds(values: Sequence[str], count: int) -> list[int]:
    """How many different values each window holds."""
    inside = Counter(values[:count])
    found = [len(inside)]
    for leaving, coming in zip(values, values[count:], strict=False):
        inside[leaving] -= 1
        if not inside[leaving]:
            del inside[leaving]
        inside[coming] += 1
        found.append(len(inside))
    return found
