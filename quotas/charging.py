"""How an attempt's measured use becomes charges: cumulative, capped by its hold, the same whatever the slices."""

import math

from domain.records import Attempt
from domain.tariffs import effective
from quotas.ledger import Settled
from quotas.tariffs import charge, gpu_ms, rerated


def settled_until(attempt: Attempt, until_ms: int) -> Settled:
    """What the attempt owes from its start to ``until_ms``, in all.

    GPU time is as measured. The charge never exceeds the hold: what runs past the walltime, because stopping takes a
    moment, is the centre's cost.
    """
    started_ms = attempt.started_ms
    if started_ms is None:
        return Settled()
    until_ms = max(started_ms, until_ms)
    owed = charge(attempt.milli, started_ms, until_ms, attempt.tariff)
    return Settled(min(attempt.hold, owed), gpu_ms(attempt.milli, until_ms - started_ms))


def price_of_change(attempt: Attempt, from_ms: int, until_ms: int, micro_su_per_hour: int, walltime_ms: int) -> int:
    """What another rate between two moments would have changed of the attempt's charge, in micro-SU.

    ``micro_su_per_hour`` is the flavor's; the attempt's factor applies. What ran past the walltime is nobody's cost but
    the centre's, at any rate.
    """
    if attempt.started_ms is None or attempt.metered_ms is None:
        return 0
    ends_ms = min(attempt.metered_ms, attempt.started_ms + walltime_ms)
    from_ms, until_ms = max(from_ms, attempt.started_ms), min(until_ms, ends_ms)
    other = rerated(attempt.tariff, from_ms, until_ms, effective(micro_su_per_hour, attempt.factor))
    span = (attempt.milli, attempt.started_ms, ends_ms)
    return charge(*span, other) - charge(*span, attempt.tariff)


def decayed(micro_su: int, elapsed_ms: int, half_life_ms: int) -> int:
    """Usage after ``elapsed_ms``, halved every half-life."""
    return int(micro_su * math.pow(0.5, max(0, elapsed_ms) / half_life_ms))
