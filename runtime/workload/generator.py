"""A generated workload, for machines that have no trace. It is fitted to published statistics of GPU clusters:

- **sizes** and **run times**: the distributions that Gavel (Narayanan et al., "Heterogeneity-Aware Cluster Scheduling
  Policies for Deep Learning Workloads", OSDI 2020) fits to Microsoft's Philly trace: 70 % of jobs on 1 GPU, 10 % on 2,
  15 % on 4, 5 % on 8; 80 % run 10^1.5 to 10^3 minutes and 20 % run 10^3 to 10^4 minutes, uniform in the exponent.
- **arrivals by hour**: Poisson, with the day's shape that Helios shows (Hu et al., "Characterization and Prediction of
  Deep Learning Workloads in Large-Scale GPU Datacenters", SC 2021): quiet nights, dips at lunch and at dinner. The
  paper draws the curve; ``HOURS`` is our reading of it.
- **tenants**: a few submit most. Shares fall as 1/rank here: steeper than the groups of SDSC SP2 (9 % for the first,
  Parallel Workloads Archive), gentler than Philly's virtual clusters (77 % for the first in September and October
  2017; Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads", ATC 2019).

The mean rate of arrivals is what keeps a given number of GPUs busy to a given load. The same seed gives the same jobs.
"""

import math
import random
from bisect import bisect
from itertools import accumulate

from runtime.workload.trace import Request

SIZES = ((1, 0.70), (2, 0.10), (4, 0.15), (8, 0.05))
LONG_SHARE = 0.2
SHORT_EXPONENTS, LONG_EXPONENTS = (1.5, 3.0), (3.0, 4.0)  # powers of ten, in minutes
TENANTS = 12
HOURS = (
    0.60, 0.50, 0.40, 0.35, 0.30, 0.30, 0.35, 0.50, 0.85, 1.30, 1.55, 1.50,
    1.05, 1.25, 1.60, 1.70, 1.65, 1.50, 1.10, 1.25, 1.40, 1.30, 1.10, 0.85,
)  # fmt: skip

_HOUR_S = 3600
_DAY_HOURS = 24


def generate(seed: int, count: int, *, gpus: int, load: float = 1.0) -> tuple[Request, ...]:
    """``count`` jobs that ask, over the long run, for ``load`` times what ``gpus`` GPUs give."""
    rng = random.Random(seed)  # noqa: S311 - a workload, no secret
    per_second = load * gpus / (mean_size() * mean_runtime_s())
    weights = list(accumulate(1 / rank for rank in range(1, TENANTS + 1)))
    sizes = list(accumulate(share for _, share in SIZES))
    requests, now = [], 0.0
    for _ in range(count):
        now = _next_arrival(rng, now, per_second)
        requests.append(
            Request(
                submit_s=now,
                runtime_s=_runtime_s(rng),
                gpus=SIZES[_pick(rng, sizes)][0],
                tenant=f"tenant-{_pick(rng, weights) + 1}",
            )
        )
    return tuple(requests)


def mean_size() -> float:
    """GPUs of a job, on average."""
    return sum(size * share for size, share in SIZES)


def mean_runtime_s() -> float:
    """Seconds that a job runs, on average."""
    short, long = (_mean_of_power(*bounds) for bounds in (SHORT_EXPONENTS, LONG_EXPONENTS))
    return 60 * ((1 - LONG_SHARE) * short + LONG_SHARE * long)


def _mean_of_power(low: float, high: float) -> float:
    """The mean of 10**x for x uniform between two bounds."""
    return float((10**high - 10**low) / ((high - low) * math.log(10)))


def _runtime_s(rng: random.Random) -> float:
    low, high = LONG_EXPONENTS if rng.random() < LONG_SHARE else SHORT_EXPONENTS
    return float(60 * 10 ** (low + (high - low) * rng.random()))


def _next_arrival(rng: random.Random, now: float, per_second: float) -> float:
    """By thinning: draw arrivals at the busiest hour's rate, keep each with the share of its own hour."""
    busiest, mean = max(HOURS), sum(HOURS) / _DAY_HOURS
    while True:
        now -= math.log(1 - rng.random()) * mean / (per_second * busiest)
        if rng.random() * busiest < HOURS[int(now // _HOUR_S) % _DAY_HOURS]:
            return now


def _pick(rng: random.Random, cumulated: list[float]) -> int:
    return min(bisect(cumulated, rng.random() * cumulated[-1]), len(cumulated) - 1)
