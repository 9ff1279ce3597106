"""Reservations and when they happen: once, daily, or weekly on given days. Pure integer arithmetic, no clock.

The days of a reservation are those of its own fixed offset from UTC, in minutes: the tenth of December begins there at
midnight by that offset. See docs/decisions/0010-calendars-have-a-fixed-offset.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS

PHNOM_PENH = 7 * 60  # minutes east of UTC
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Repeat(StrEnum):
    NONE = "none"
    DAILY = "daily"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept, for whom, and when.

    Kept for ``account_id`` and all below it; None is maintenance: nothing runs there. Either ``gpus`` devices of
    ``flavor`` are kept, on ``cluster`` if it is named; or ``nodes`` of ``cluster`` whole, all of them if none is named.

    ``starts_ms`` is the first start, or with ``days`` (0 is Monday) the time from which the first of them counts.
    No occurrence starts at or after ``until_ms``.
    """

    id: int
    name: str
    account_id: int | None
    starts_ms: int
    length_ms: int
    repeat: Repeat = Repeat.NONE
    days: tuple[int, ...] = ()
    until_ms: int | None = None
    offset_minutes: int = PHNOM_PENH
    cluster: str | None = None
    nodes: tuple[str, ...] = ()
    flavor: str | None = None
    gpus: int = 0


def occurrences(one: Reservation, from_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """Its occurrences that overlap ``[from_ms, until_ms)``, in order, each as (start, end)."""
    found = []
    for start in _starts(one, from_ms - one.length_ms + 1):
        if start >= until_ms:
            break
        found.append((start, start + one.length_ms))
    return found


def gap_ms(one: Reservation) -> int | None:
    """The shortest time from one start to the next; None if it happens once."""
    if one.repeat is Repeat.NONE:
        return None
    if one.repeat is Repeat.DAILY:
        return DAY_MS
    days = sorted(set(one.days or (_weekday(_day(one)),)))
    steps = [(later - day) % 7 or 7 for day, later in zip(days, [*days[1:], days[0]], strict=True)]
    return min(steps) * DAY_MS


def occurrence_name(one: Reservation, start_ms: int) -> str:
    """What names one occurrence: the reservation's name, and the day if it repeats: ``class@2026-12-01``."""
    if one.repeat is Repeat.NONE:
        return one.name
    return f"{one.name}@{local_time(start_ms, one.offset_minutes)[:10]}"


def local_time(at_ms: int, offset_minutes: int) -> str:
    """A time for people, by an offset: ``2026-12-01 09:00``."""
    days, rest = divmod(at_ms + offset_minutes * MINUTE_MS, DAY_MS)
    year, month, day = civil_date(days)
    return f"{year:04}-{month:02}-{day:02} {rest // HOUR_MS:02}:{rest % HOUR_MS // MINUTE_MS:02}"


def civil_date(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day that is so many days after 1970-01-01 (Gregorian).

    Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    """
    era, of_era = divmod(days + 719_468, 146_097)  # days since 0000-03-01, in eras of 400 years
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153  # months since March
    month = shifted + 3 if shifted < 10 else shifted - 9
    return era * 400 + year_of_era + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1


def _starts(one: Reservation, from_ms: int) -> Iterator[int]:
    """Every start at or after ``from_ms``, in order; without end if the reservation has none."""
    ends_ms = one.until_ms
    if one.repeat is Repeat.NONE:
        if one.starts_ms >= from_ms and (ends_ms is None or one.starts_ms < ends_ms):
            yield one.starts_ms
        return
    first = _day(one)
    wanted = set(one.days or (_weekday(first),)) if one.repeat is Repeat.WEEKLY else set(range(7))
    nth = max(0, -(-(from_ms - one.starts_ms) // DAY_MS))  # days after the first
    while True:
        start = one.starts_ms + nth * DAY_MS
        if ends_ms is not None and start >= ends_ms:
            return
        if _weekday(first + nth) in wanted:
            yield start
        nth += 1


def _day(one: Reservation) -> int:
    """The day of the first start, in days after 1970-01-01 by the reservation's offset."""
    return (one.starts_ms + one.offset_minutes * MINUTE_MS) // DAY_MS


def _weekday(day: int) -> int:
    return (day + _FIRST_WEEKDAY) % 7
