"""Reservations as administrators ask for them: read, kept, released."""

import re
from dataclasses import dataclass

from domain.accounts import AccountKind
from domain.calendar import (
    PHNOM_PENH,
    WEEKDAYS,
    Repeat,
    Reservation,
    gap_ms,
    occurrences,
)
from domain.errors import Conflict, Fault, Invalid, NotFound, Refused
from domain.fleet import CPU_FLAVOR
from domain.people import Caller
from domain.quantities import DAY_MS, MINUTE_MS
from lifecycle.accounts import check_version
from lifecycle.overlaps import Ground, check_others
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.windows import YEAR_MS
from lifecycle.words import check_name

_LENGTH_MOST_MS = 30 * DAY_MS
_AHEAD_MS = 2 * YEAR_MS
_LATE_MS = 5 * MINUTE_MS  # "now" is a little in the past once it arrives
_MOST = 1_000
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A reservation as an administrator asks for it, by names; see ``domain.calendar.Reservation``."""

    name: str
    account: str | None
    maintenance: bool
    starts_ms: int
    length_ms: int
    repeat: str = "none"
    days: tuple[str, ...] = ()
    until_ms: int | None = None
    utc_offset: str = "+07:00"
    cluster: str | None = None
    nodes: tuple[str, ...] = ()
    flavor: str | None = None
    gpus: int | None = None


def reservation_named(directory: Directory, name: str) -> Reservation:
    found = next((one for one in directory.reservations if one.name == name), None)
    if found is None:
        raise NotFound(f"there is no reservation {name[:80]!r}", "reservation")
    return found


def reserve(uow: UnitOfWork, caller: Caller, asked: Asked, now_ms: int) -> Reservation:
    """Keep what is asked for. Raises Invalid with every fault, Conflict for a name that is taken, and Refused if other
    reservations leave too little. What runs now is not asked: see ``shortages``.
    """
    uow.take_turn()
    directory = uow.directory()
    others = directory.reservations
    one = _read(directory, asked, now_ms)
    if any(other.name == one.name for other in others):
        raise Conflict(
            f"there is a reservation {one.name!r} already", "name", fix="choose another name", code="already-exists"
        )
    if len(others) >= _MOST:
        raise Refused(f"there are {_MOST} reservations already", fix="remove those that are over", code="too-many")
    check_others(directory, one, others)
    return uow.calendar.add(one, caller.user.id, now_ms)


def release(uow: UnitOfWork, name: str, expected: int | None) -> None:
    """Keep it no longer. What runs in it goes on."""
    one = reservation_named(uow.directory(), name)
    check_version(one.id, expected)
    uow.calendar.remove(one.id)


def _read(directory: Directory, asked: Asked, now_ms: int) -> Reservation:
    """What is asked for, with names as numbers. Raises Invalid with every fault."""
    faults: list[Fault] = []
    try:
        check_name(asked.name)
    except Invalid as error:
        faults += error.faults
    account_id = _account(directory, asked, faults)
    _check_place(directory, asked, faults)
    one = Reservation(
        0, asked.name, account_id, asked.starts_ms, asked.length_ms, _repeat(asked, faults), _days(asked, faults),
        asked.until_ms, _offset(asked, faults), asked.cluster, asked.nodes, asked.flavor, asked.gpus or 0,
    )  # fmt: skip
    _check_times(one, now_ms, faults)
    if faults:
        raise Invalid.many(faults)
    return one


def _account(directory: Directory, asked: Asked, faults: list[Fault]) -> int | None:
    if asked.maintenance == (asked.account is not None):
        message = "it is either for an account or for maintenance"
        faults.append(Fault(message, "account", "name an account, or set maintenance"))
    if asked.account is None:
        return None
    account = directory.by_name.get(asked.account)
    if account is None or account.kind is AccountKind.CENTRE:
        faults.append(
            Fault(f"there is no tenant or project {asked.account[:80]!r}", "account", "see baray admin tenant list")
        )
        return None
    return account.id


def _check_place(directory: Directory, asked: Asked, faults: list[Fault]) -> None:
    if asked.flavor is None and asked.cluster is None and not asked.nodes:
        faults.append(Fault("nothing is named that should be kept", "flavor", "name flavor and gpus, or a cluster"))
    if asked.cluster is not None and asked.cluster not in directory.clusters:
        faults.append(Fault(f"there is no cluster {asked.cluster[:80]!r}", "cluster", "see baray admin cluster list"))
    if asked.nodes:
        there = {node.name for node in directory.nodes.get(asked.cluster or "", ())}
        if asked.cluster is None:
            faults.append(Fault("nodes are those of a cluster", "cluster", "name it"))
        elif asked.cluster in directory.clusters:
            faults += [
                Fault(f"cluster {asked.cluster} has no node {name[:80]!r}", f"nodes.{n}", "see baray admin cluster show")
                for n, name in enumerate(asked.nodes) if name not in there
            ]  # fmt: skip
        if len(set(asked.nodes)) < len(asked.nodes):
            faults.append(Fault("a node is named twice", "nodes", "name it once"))
    if asked.flavor is None:
        if asked.gpus is not None:
            faults.append(Fault("GPUs are those of a flavor", "flavor", "name it"))
        return
    if asked.nodes or asked.maintenance:
        message = "whole nodes are kept, or a number of GPUs; maintenance takes whole nodes"
        faults.append(Fault(message, "flavor", "leave flavor and gpus out"))
    if asked.flavor not in directory.flavors or asked.flavor == CPU_FLAVOR:
        known = ", ".join(sorted(set(directory.flavors) - {CPU_FLAVOR})) or "none"
        faults.append(Fault(f"there is no flavor {asked.flavor[:80]!r} of GPUs", "flavor", f"the flavors are: {known}"))
        return
    there_is = Ground.of(directory).total(asked.flavor, asked.cluster)
    if asked.gpus is None or not 1 <= asked.gpus <= there_is:
        message = f"{asked.gpus or 'no number'} of {asked.flavor} cannot be kept: there are {there_is}"
        faults.append(Fault(message, "gpus", f"ask for 1 to {there_is}"))


def _repeat(asked: Asked, faults: list[Fault]) -> Repeat:
    if asked.repeat not in set(Repeat):
        faults.append(Fault(f"{asked.repeat[:40]!r} is no repetition", "repeat", f"use one of {', '.join(Repeat)}"))
        return Repeat.NONE
    if asked.repeat == Repeat.NONE and asked.until_ms is not None:
        faults.append(Fault("what happens once has no last day", "until_ms", "leave it out, or set repeat"))
    return Repeat(asked.repeat)


def _days(asked: Asked, faults: list[Fault]) -> tuple[int, ...]:
    if asked.days and asked.repeat != Repeat.WEEKLY:
        faults.append(
            Fault("days are those of a weekly reservation", "days", "leave them out, or set repeat to weekly")
        )
    wrong = [day for day in asked.days if day not in WEEKDAYS]
    if wrong or len(set(asked.days)) < len(asked.days):
        message = f"{wrong[0][:40]!r} is no day" if wrong else "a day is named twice"
        faults.append(Fault(message, "days", f"use {', '.join(WEEKDAYS)}"))
        return ()
    return tuple(sorted(WEEKDAYS.index(day) for day in asked.days))


def _offset(asked: Asked, faults: list[Fault]) -> int:
    match = _OFFSET.fullmatch(asked.utc_offset)
    if match is None:
        faults.append(Fault(f"{asked.utc_offset[:40]!r} is no offset from UTC", "utc_offset", "write +07:00"))
        return PHNOM_PENH
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def _check_times(one: Reservation, now_ms: int, faults: list[Fault]) -> None:
    if not MINUTE_MS <= one.length_ms <= _LENGTH_MOST_MS:
        faults.append(Fault("it takes a minute to 30 days", "length", "choose a length such as 2h"))
    if one.starts_ms < now_ms - _LATE_MS:
        faults.append(Fault("it would begin in the past", "starts_ms", "choose a time to come"))
    if one.starts_ms > now_ms + _AHEAD_MS:
        faults.append(Fault("it would begin in more than two years", "starts_ms", "choose an earlier time"))
    gap = gap_ms(one)
    if gap is not None and one.length_ms > gap:
        faults.append(Fault("it would begin again before it is over", "length", "make it shorter, or rarer"))
    if one.until_ms is not None and not occurrences(one, one.starts_ms, one.until_ms):
        faults.append(Fault("it would never happen: no day of it lies before that", "until_ms", "choose a later time"))
