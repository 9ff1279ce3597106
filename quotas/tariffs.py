"""What used GPU time costs. 1 SU is one hour of the reference GPU; each flavor has dated rates (``domain.tariffs``)."""

from collections.abc import Sequence

from domain.quantities import HOUR_MS, MILLI
from domain.tariffs import Tariff


def rate_at(rates: Sequence[tuple[int, int]], now_ms: int) -> int | None:
    """The rate in force: of ``(from_ms, micro_su_per_hour)`` rows the newest that has begun; None if none has."""
    begun = [row for row in rates if row[0] <= now_ms]
    return max(begun)[1] if begun else None


def gpu_ms(milli: int, duration_ms: int) -> int:
    """GPU-milliseconds of ``milli`` thousandths of a GPU for a duration, rounded half up, once per attempt."""
    return (milli * duration_ms + MILLI // 2) // MILLI


def cost(used_gpu_ms: int, micro_su_per_hour: int) -> int:
    """Micro-SU for GPU-milliseconds at an hourly rate, rounded half up, once per attempt."""
    return (used_gpu_ms * micro_su_per_hour + HOUR_MS // 2) // HOUR_MS


def charge(milli: int, started_ms: int, until_ms: int, tariff: Tariff) -> int:
    """Micro-SU for use from one moment to another, each part of it at the rate of its time; rounded half up, once."""
    if not tariff.later:
        return cost(gpu_ms(milli, until_ms - started_ms), tariff.micro_su_per_hour)
    weighed = 0
    for begins_ms, ends_ms, rate in tariff.spans(started_ms, until_ms):
        weighed += (gpu_ms(milli, ends_ms - started_ms) - gpu_ms(milli, begins_ms - started_ms)) * rate
    return cost(weighed, 1)


def rerated(tariff: Tariff, from_ms: int, until_ms: int, micro_su_per_hour: int) -> Tariff:
    """The tariff as if another rate had been in force between two moments."""
    if from_ms >= until_ms:
        return tariff
    after = next(rate for _, _, rate in tariff.spans(until_ms, until_ms + 1))
    steps = [step for step in tariff.later if step[0] < from_ms]
    steps += [(from_ms, micro_su_per_hour), (until_ms, after)]
    steps += [step for step in tariff.later if step[0] > until_ms]
    return Tariff(tariff.micro_su_per_hour, tuple(steps))
