"""Reads the fields of a scenario document, and notes each fault with the field's dotted path instead of stopping."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import Fault, Invalid
from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, parse_bytes, parse_duration

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(?:Z|\+00:00)?)?")
_MOST = 10**9
_LONGEST = 10**12


@dataclass(slots=True)
class Fields:
    """One mapping of a document. A wrong or missing value is noted in ``faults`` and read as its default."""

    values: Mapping[str, Any]
    path: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, value: Any, path: str, faults: list[Fault]) -> "Fields":
        if isinstance(value, Mapping):
            return cls(value, path, faults)
        faults.append(Fault(f"{path or 'the document'} is no mapping of names to values", path or None))
        return cls({}, path, faults)

    def fault(self, name: str, message: str, fix: str | None = None) -> None:
        where = self.at(name)
        self.faults.append(Fault(f"{where}: {message}", where, fix))

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any:
        self.seen.add(name)
        return self.values.get(name)

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty. Without a default it is needed."""
        value = self.get(name)
        if isinstance(value, str) and 0 < len(value) <= 200:
            return value
        if value is None and default is not None:
            return default
        self.fault(name, "is missing" if value is None else f"{str(value)[:40]!r} is no name")
        return default or ""

    def whole(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number. Without a default it is needed."""
        value = self.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST:
            return value
        told = "is missing" if value is None else f"{_told(value)} is no whole number from {least} to {_MOST}"
        self.fault(name, told)
        return least if default is None else default

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.fault(name, f"{_told(value)} is neither true nor false")
        return default

    def duration(self, name: str, default: int) -> int:
        """A duration as text (``90m``) or whole seconds, in ms."""
        found = self._measured(name, lambda text: parse_duration(text, self.at(name)), SECOND_MS)
        return default if found is None else found

    def size(self, name: str) -> int | None:
        """A size as text (``256Gi``) or whole bytes; None if it is not said."""
        return self._measured(name, lambda text: parse_bytes(text, self.at(name)), 1)

    def time(self, name: str, zero_ms: int | None, default: int | None = None) -> int | None:
        """A time in ms of the trace: seconds or a duration after its zero, or a date if the zero has one."""
        value = self.get(name)
        if isinstance(value, str) and (date := _DATE.fullmatch(value)):
            if zero_ms is None:
                self.fault(
                    name, "the trace's zero has no date", "say `date:`, or give the time as a duration such as 14d"
                )
                return default
            if (at_ms := _date_ms(*(int(part or 0) for part in date.groups()))) is None:
                self.fault(name, f"{value!r} is no date")
                return default
            return at_ms - zero_ms
        found = self._measured(name, lambda text: parse_duration(text, self.at(name)), SECOND_MS)
        return default if found is None else found

    def labels(self, name: str) -> dict[str, str]:
        value = self.get(name)
        if value is None:
            return {}
        if isinstance(value, Mapping) and all(isinstance(x, str) for pair in value.items() for x in pair):
            return dict(value)
        self.fault(name, "is no mapping of texts to texts")
        return {}

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.get(name)
        if value is None:
            return ()
        if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(x, str) for x in value):
            return tuple(value)
        self.fault(name, "is no list of texts")
        return ()

    def each(self, name: str) -> Iterator["Fields"]:
        """The mappings of a list."""
        value = self.get(name)
        if value is None:
            return
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.fault(name, "is no list")
            return
        for number, item in enumerate(value):
            yield Fields.of(item, f"{self.at(name)}[{number}]", self.faults)

    def named(self, name: str) -> Iterator[tuple[str, "Fields"]]:
        """The mappings of a mapping, by their names. A name with nothing after it is an empty one."""
        value = self.get(name)
        if value is None:
            return
        if not isinstance(value, Mapping):
            self.fault(name, "is no mapping of names to values")
            return
        for key, item in value.items():
            if isinstance(key, str) and key:
                yield key, Fields.of({} if item is None else item, f"{self.at(name)}.{key}", self.faults)
            else:
                self.fault(name, f"{_told(key)} is no name", "put it in quotes")

    def finish(self) -> None:
        """Fields that nobody asked for are faults: a misspelt one would silently change nothing."""
        for name in self.values:
            if name not in self.seen:
                self.fault(str(name), "there is no such field", f"the fields are {', '.join(sorted(self.seen))}")

    def _measured(self, name: str, parse: Callable[[str], int], unit: int) -> int | None:
        """A whole number of units, or a text that ``parse`` understands; None if it is neither, or not said."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LONGEST:
            return value * unit
        try:
            return parse(value if isinstance(value, str) else str(value))
        except Invalid as error:
            self.faults += [
                Fault(f"{self.at(name)}: {fault.message}", self.at(name), fault.fix) for fault in error.faults
            ]
            return None


def _told(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    return repr(str(value)[:40])


def _date_ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int | None:
    """Milliseconds since 1970 of a UTC date; None if there is no such date. By the Gregorian calendar's days."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour < 24 and minute < 60 and second < 60):
        return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719_162  # of 1970-01-01
    days += sum(lengths[: month - 1]) + day - 1
    return days * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * SECOND_MS
