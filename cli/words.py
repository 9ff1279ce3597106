"""Times, durations, sizes and amounts as people read them. Short, and local where it is a time."""

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from cli.failures import CliError

HALF_A_YEAR_MIN: Final = 180 * 24 * 60

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(r"(\d{1,6})([dhms])")
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2}))?")


def now_ms() -> int:
    """Read the clock: the only place of the command line that does."""
    return time.time_ns() // 1_000_000


def short_time(ms: int | None, now: int) -> str:
    """``14:20`` today, ``Nov 21 14:20`` within half a year, ``2025-03-01`` else; ``-`` if there is none."""
    return short_times(now)(ms)


def short_times(now: int) -> Callable[[int | None], str]:
    """``short_time`` for many: each quarter of an hour is worked out once. No zone begins within one."""
    today, this_minute = time.localtime(now // 1000), now // 60_000

    @lru_cache(maxsize=65_536)
    def quarter(number: int) -> tuple[str, int | None]:
        """What stands before the minutes, and the first of them; None if they are not told."""
        then = time.localtime(number * 900)
        if (then.tm_year, then.tm_yday) == (today.tm_year, today.tm_yday):
            return f"{then.tm_hour:02}:", then.tm_min
        if abs(this_minute - number * 15) < HALF_A_YEAR_MIN:
            return f"{time.strftime('%b', then)} {then.tm_mday:2} {then.tm_hour:02}:", then.tm_min
        return f"{then.tm_year}-{then.tm_mon:02}-{then.tm_mday:02}", None

    @lru_cache(maxsize=65_536)
    def show(minute: int) -> str:
        before, first = quarter(minute // 15)
        return before if first is None else f"{before}{first + minute % 15:02}"

    return lambda ms: "-" if ms is None else show(ms // 60_000)


def long_time(ms: int | None) -> str:
    """Local time to the second, with its zone."""
    return "-" if ms is None else time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(ms // 1000))


def day(ms: int | None) -> str:
    return "-" if ms is None else time.strftime("%Y-%m-%d", time.localtime(ms // 1000))


@lru_cache(maxsize=65_536)
def short_duration(ms: int | None) -> str:
    """Read a length of time by its two largest units: ``45s``, ``3h20m``, ``2d4h``."""
    if ms is None:
        return "-"
    left = max(0, ms) // 1000
    parts: list[str] = []
    for letter, seconds in _UNITS.items():
        count, left = divmod(left, seconds)
        if count or parts:
            parts.append(f"{count}{letter}" if count else "")
    return "".join(parts[:2]) or "0s"


def elapsed(start_ms: int | None, end_ms: int | None, now: int) -> str:
    return "-" if start_ms is None else short_duration((now if end_ms is None else end_ms) - start_ms)


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def memory(value: Any) -> str:
    """Sizes of machines, which are seldom round: ``24684092Ki`` is 23.5 GiB."""
    match = re.fullmatch(r"(\d+)(Ki|Mi)?", str(value))
    return size(int(match[1]) * {"Ki": 1 << 10, "Mi": 1 << 20}.get(match[2] or "", 1)) if match else plain(value)


def count(number: int, what: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def gpu_hours(ms: int) -> str:
    return f"{ms / 3_600_000:.2f}"


def plain(value: Any) -> str:
    """Any value of an answer as one cell."""
    if type(value) is str:
        return value or "-"
    if value is None or value in ([], {}):
        return "-"
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(plain, value))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={plain(entry)}" for key, entry in value.items())
    return str(value)


def limit(value: Any) -> str:
    """A bound, where null is no bound."""
    return "no limit" if value is None else str(value)


def clean(text: str) -> str:
    """The text without what could steer a terminal or break a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def width(text: str) -> int:
    """Columns on a terminal: Khmer signs stack on their base, East Asian letters take two."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(c: str) -> int:
    import unicodedata

    if unicodedata.category(c) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """The text, shortened to a number of columns."""
    if width(text) <= columns:
        return text
    kept, used = [], 1
    for c in text:
        used += _columns(c)
        if used > columns:
            break
        kept.append(c)
    return "".join(kept).rstrip() + "…"


def parse_time(text: str, now: int, option: str) -> int:
    """``2026-01-31``, ``2026-01-31 14:00`` (local), ``today``, or a span before now such as ``7d``; as ms."""
    if text == "now":
        return now
    if text == "today":
        here = time.localtime(now / 1000)
        return int(time.mktime((here.tm_year, here.tm_mon, here.tm_mday, 0, 0, 0, 0, 0, -1))) * 1000
    if _is_span(text):
        return now - span_ms(text)
    match = _DATE.fullmatch(text)
    if match:
        year, month, date, hour, minute = (int(part or 0) for part in match.groups())
        if year >= 1970 and 1 <= month <= 12 and 1 <= date <= 31 and hour < 24 and minute < 60:
            return int(time.mktime((year, month, date, hour, minute, 0, 0, 0, -1))) * 1000
    raise CliError(f"{option}: {text!r} is no time", 2, fixes=["write 2026-01-31, '2026-01-31 14:00', today or 7d"])


def parse_future(text: str, now: int, option: str) -> int:
    """As ``parse_time``, but a span lies after now."""
    return now + span_ms(text) if _is_span(text) else parse_time(text, now, option)


def _is_span(text: str) -> bool:
    return bool(text) and _SPAN.sub("", text) == ""


def span_ms(text: str) -> int:
    return sum(int(count) * _UNITS[unit] for count, unit in _SPAN.findall(text)) * 1000
