"""What an hour of a GPU costs, by when it is used: dated rates, and what an attempt keeps of them.

Integers only: micro-SU, milliseconds, thousandths of a GPU. A QoS factor is in thousandths too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from domain.quantities import HOUR_MS, MILLI

Rates: TypeAlias = tuple[tuple[int, int], ...]
"""Dated rates, ascending: (from_ms, micro-SU an hour). Each holds until the next one begins."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What an attempt pays: the rate in force at its beginning, and those known then to come later."""

    micro_su_per_hour: int
    later: Rates = ()

    def spans(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, int, int]]:
        """The time from one moment to another, cut where the rate changes: (from, until, rate)."""
        rate = self.micro_su_per_hour
        for begins_ms, next_rate in self.later:
            if begins_ms >= until_ms:
                break
            if begins_ms > from_ms:
                yield from_ms, begins_ms, rate
                from_ms = begins_ms
            rate = next_rate
        yield from_ms, until_ms, rate

    def booking(self, milli: int, from_ms: int, length_ms: int) -> int:
        """What so many thousandths of a GPU cost for all of that time, in micro-SU, rounded up."""
        if not self.later:
            return booking(milli, length_ms, self.micro_su_per_hour)
        spans = self.spans(from_ms, from_ms + length_ms)
        return -(-milli * sum((until - begin) * rate for begin, until, rate in spans) // (MILLI * HOUR_MS))

    def affords_ms(self, micro_su: int, milli: int, from_ms: int, most_ms: int) -> int:
        """The longest time, up to ``most_ms``, whose booking is no more than ``micro_su``."""
        low, high = 0, most_ms
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.booking(milli, from_ms, middle) <= micro_su else (low, middle - 1)
        return low


def booking(milli: int, walltime_ms: int, micro_su_per_hour: int) -> int:
    """The hold of an attempt: its thousandths of a GPU for the whole walltime at one rate, in micro-SU, rounded up."""
    return -(-milli * walltime_ms * micro_su_per_hour // (MILLI * HOUR_MS))


def effective(micro_su_per_hour: int, factor: int) -> int:
    """A rate times a QoS factor in thousandths, rounded half up, once."""
    return micro_su_per_hour if factor == MILLI else (micro_su_per_hour * factor + MILLI // 2) // MILLI


def tariff_at(rates: Sequence[tuple[int, int]], now_ms: int, factor: int = MILLI) -> Tariff | None:
    """Of ascending dated rates, the one in force and those to come, times a factor; None if none is in force."""
    begun = None
    for nth, (begins_ms, _) in enumerate(rates):
        if begins_ms > now_ms:
            break
        begun = nth
    if begun is None:
        return None
    later = tuple((begins_ms, effective(rate, factor)) for begins_ms, rate in rates[begun + 1 :])
    return Tariff(effective(rates[begun][1], factor), later)


def within(tariff: Tariff, until_ms: int) -> Tariff:
    """The tariff without what begins at ``until_ms`` or later."""
    if not tariff.later or tariff.later[-1][0] < until_ms:
        return tariff
    return Tariff(tariff.micro_su_per_hour, tuple(step for step in tariff.later if step[0] < until_ms))
