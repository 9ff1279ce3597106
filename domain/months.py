"""Months of the centre, in which its books are closed: by a fixed offset from UTC, like its calendar.

See docs/decisions/0010-calendars-have-a-fixed-offset.md. Pure integer arithmetic, no clock.
"""

import re
from collections.abc import Iterator

from domain.calendar import PHNOM_PENH, civil_date
from domain.errors import Invalid
from domain.quantities import DAY_MS, MINUTE_MS

OFFSET_MS = PHNOM_PENH * MINUTE_MS

_NAME = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")  # each month has one name
_FIRST_YEAR, _LAST_YEAR = 1970, 9999


def month_of(at_ms: int) -> str:
    """The month of a moment: ``2026-10``."""
    year, month, _ = civil_date((at_ms + OFFSET_MS) // DAY_MS)
    return f"{year:04}-{month:02}"


def month_span(name: str, field: str = "period") -> tuple[int, int]:
    """From when until when (not included) a month lasts. Raises Invalid for what names none."""
    match = _NAME.fullmatch(name)
    if match is None or not _FIRST_YEAR <= int(match[1]) <= _LAST_YEAR:
        raise Invalid(f"{name[:40]!r} is no month", field, fix="write a month such as 2026-10")
    year, month = int(match[1]), int(match[2])
    return _begin_ms(year, month), _begin_ms(year + month // 12, month % 12 + 1)


def month_end_ms(at_ms: int) -> int:
    """When the month of a moment is over: the first moment of the next one."""
    year, month, _ = civil_date((at_ms + OFFSET_MS) // DAY_MS)
    return _begin_ms(year + month // 12, month % 12 + 1)


def month_ends(from_ms: int, until_ms: int) -> Iterator[int]:
    """The ends of months between two moments, neither of them included."""
    end_ms = month_end_ms(from_ms)
    while end_ms < until_ms:
        yield end_ms
        end_ms = month_end_ms(end_ms)


def _begin_ms(year: int, month: int) -> int:
    return _days(year, month) * DAY_MS - OFFSET_MS


def _days(year: int, month: int) -> int:
    """The first of a month, in days after 1970-01-01 (Gregorian): the inverse of ``calendar.civil_date``."""
    year -= month <= 2  # years that begin in March have their leap day last
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5
    return 365 * year + year // 4 - year // 100 + year // 400 + of_year - 719_468
