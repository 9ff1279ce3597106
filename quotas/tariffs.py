"""Rates: what GPU time costs. 1 SU is one hour of the reference GPU; each flavor has a dated rate."""

from collections.abc import Sequence

from domain.quantities import HOUR_MS, MILLI


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
