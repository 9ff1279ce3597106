"""How an attempt's measured use becomes charges: cumulative, capped by its hold, the same whatever the slices."""

import math

from domain.records import Attempt
from quotas.ledger import Settled
from quotas.tariffs import cost, gpu_ms


def settled_until(attempt: Attempt, until_ms: int) -> Settled:
    """What the attempt owes from its start to ``until_ms``, in all.

    GPU time is as measured. The charge never exceeds the hold: what runs past the walltime, because stopping takes a
    moment, is the centre's cost.
    """
    if attempt.started_ms is None:
        return Settled()
    used = gpu_ms(attempt.milli, max(0, until_ms - attempt.started_ms))
    return Settled(min(attempt.hold, cost(used, attempt.micro_su_per_hour)), used)


def decayed(micro_su: int, elapsed_ms: int, half_life_ms: int) -> int:
    """Usage after ``elapsed_ms``, halved every half-life."""
    return int(micro_su * math.pow(0.5, max(0, elapsed_ms) / half_life_ms))
