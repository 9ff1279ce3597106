"""What files can say of a centre, and the faults that they can have.

Readers answer a ``Bundle``; nothing in it has been compared with the centre yet. Times are ms since the epoch, money
micro-SU.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from domain.errors import BarayError, Fault, Invalid

Value = TypeVar("Value")

KINDS = ("csv", "coldfront", "sacct")
FAULTS_SHOWN = 100
_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file says something; rows count from 1, the header's line included."""

    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}:{self.row}"


@dataclass(slots=True)
class Faults:
    """Gathers what is wrong with files: the first hundred in full, the others as a number."""

    found: list[Fault] = field(default_factory=list)
    more: int = 0

    def add(self, place: Place, column: str | None, message: str, fix: str | None = None) -> None:
        if len(self.found) >= FAULTS_SHOWN:
            self.more += 1
            return
        self.found.append(Fault(message, f"{place}:{column}" if column else str(place), fix))

    def catch(self, place: Place, column: str, read: Callable[[str], Value], text: str) -> Value | None:
        """What ``read`` makes of a cell; None, and its faults kept, if it refuses."""
        try:
            return read(text)
        except BarayError as error:
            for fault in error.faults:
                self.add(place, column, fault.message, fault.fix)
            return None

    def done(self) -> None:
        """Raise Invalid if there is any."""
        if not self.found:
            return
        rest = [Fault(f"and {self.more} more", None, "mend these first")] if self.more else []
        raise Invalid.many([*self.found, *rest])


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be brought along, or is there otherwise already: what, which, why, and where it is said."""

    what: str
    name: str
    why: str
    place: str = ""


# None where a file leaves out what has a default: then it is not compared with what is there.


@dataclass(frozen=True, slots=True)
class Tenant:
    name: str
    title: str
    kind: str
    sector: str | None
    province: str | None
    weight: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    tenant: str
    title: str
    weight: int | None
    state: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    title: str
    email: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Member:
    project: str
    user: str
    role: str
    place: Place


@dataclass(frozen=True, slots=True)
class Funder:
    name: str
    title: str
    place: Place


@dataclass(frozen=True, slots=True)
class GrantOf:
    """A grant of a funder, to be made if there is none of that name; ``own`` is made with one allocation, for it alone."""

    name: str
    funder: str
    micro_su: int
    starts_ms: int
    ends_ms: int
    place: Place
    own: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """An allocation paid by one grant. ``key`` is what it is known by where it comes from."""

    key: str
    project: str
    grant: str
    micro_su: int
    starts_ms: int
    ends_ms: int
    place: Place
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of another scheduler, over all its nodes. ``gres`` is the kind of GPU as it is called there; '' for none."""

    job: str
    account: str
    user: str
    gres: str
    gpus: int
    nodes: int
    cpus: int
    memory_bytes: int
    qos: str
    state: str
    submitted_ms: int
    started_ms: int
    ended_ms: int
    elapsed_ms: int
    walltime_ms: int | None
    place: Place


@dataclass(slots=True)
class Bundle:
    """All that the files of one import say. ``notes`` are sentences on what was left out as a whole."""

    tenants: list[Tenant] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    funders: list[Funder] = field(default_factory=list)
    grants: list[GrantOf] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    unmapped: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Options:
    """How names and amounts of elsewhere become ours. ``su_attributes`` are (name, micro-SU in one of its units)."""

    origin: str
    tenant: str | None = None
    tenant_kind: str = "university"
    funder: str | None = None
    zone: tzinfo = UTC
    su_attributes: tuple[tuple[str, int], ...] = ()
    tenants: Mapping[str, str] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    gpus: Mapping[str, str] = field(default_factory=dict)
    charge: bool = False


def slug(text: str, most: int = 63) -> str:
    """The text as a name of ours, as near as can be; empty if nothing of it can be in a name."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain)[:most].strip("-._")


def read_zone(text: str, name: str = "timezone") -> tzinfo:
    """``UTC``, an offset such as ``+07:00``, or a name such as ``Asia/Phnom_Penh``. Raises Invalid."""
    if text.upper() in {"UTC", "Z"}:
        return UTC
    if match := _OFFSET.fullmatch(text):
        hours, minutes = int(match[2]), int(match[3])
        if hours <= 14 and minutes < 60:
            span = timedelta(hours=hours, minutes=minutes)
            return timezone(span if match[1] == "+" else -span)
    elif re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", text):
        try:
            return ZoneInfo(text)
        except (OSError, ValueError, KeyError):  # not known here, or the name of a folder
            pass
    raise Invalid(f"{text[:40]!r} is no time zone", name, fix="write an offset such as +07:00, or Asia/Phnom_Penh")


def read_day(text: str) -> date:
    """``2026-12-31``. Raises Invalid; spreadsheets like to write dates otherwise."""
    match = _DAY.fullmatch(text)
    try:
        found = date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        found = None
    if found is None or not 1990 <= found.year <= 2200:
        raise Invalid(f"{text[:40]!r} is no date", fix="write year-month-day, such as 2026-12-31")
    return found


def first_ms(day: date, zone: tzinfo) -> int:
    """When a day begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000


def last_ms(day: date, zone: tzinfo) -> int:
    """When a day is over: a last day belongs to the time that it ends."""
    return first_ms(day + timedelta(days=1), zone)
