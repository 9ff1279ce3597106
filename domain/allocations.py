"""Allocations: how much a project may spend between two dates, who pays, and every state and change there is.

Which state may follow which, and in which states which step may be taken, is in the tables of this file; every other
part asks them. Dates alone decide when money may be spent (``OPEN`` and ``open_at``); the controller's beat only makes
the state say so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.errors import Conflict, Invalid
from domain.quantities import MICRO, format_su

WHOLE_SHARE = MICRO  # shares are counted in millionths

_SHARE = re.compile(r"([01])(?:\.([0-9]{1,6}))?")


class AllocationState(StrEnum):
    """``approved`` is decided and begins later. The last four are final."""

    REQUESTED = "requested"
    APPROVED = "approved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    CLOSED = "closed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"

    @property
    def final(self) -> bool:
        return not TRANSITIONS[self]


_S = AllocationState

TRANSITIONS: dict[AllocationState, frozenset[AllocationState]] = {
    _S.REQUESTED: frozenset({_S.APPROVED, _S.ACTIVE, _S.DECLINED, _S.WITHDRAWN}),
    _S.APPROVED: frozenset({_S.ACTIVE, _S.SUSPENDED, _S.EXPIRED, _S.CLOSED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.EXPIRED, _S.CLOSED}),
    _S.SUSPENDED: frozenset({_S.APPROVED, _S.ACTIVE, _S.EXPIRED, _S.CLOSED}),
    _S.EXPIRED: frozenset(),
    _S.CLOSED: frozenset(),
    _S.DECLINED: frozenset(),
    _S.WITHDRAWN: frozenset(),
}

STANDING = frozenset({_S.APPROVED, _S.ACTIVE, _S.SUSPENDED})  # decided and not over: these have money
OPEN = frozenset({_S.APPROVED, _S.ACTIVE})  # may be spent between their dates
OVER = frozenset({_S.EXPIRED, _S.CLOSED})  # what comes back to them goes on to the grants


class Step(StrEnum):
    """What was decided or done, as the record of decisions names it."""

    REQUEST = "request"
    APPROVE = "approve"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    ALLOCATE = "allocate"  # decided without a request
    ACTIVATE = "activate"  # the controller's beat, as the next two
    EXPIRE = "expire"
    RETURN = "return"
    TOP_UP = "top-up"
    EXTEND = "extend"
    TRANSFER = "transfer"
    RECEIVE = "receive"
    SPLIT = "split"
    RECLAIM = "reclaim"
    RELEASE = "release"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"


class ChangeKind(StrEnum):
    """A change of a standing allocation, which one person may ask for and another decide."""

    TOP_UP = "top-up"
    EXTEND = "extend"
    TRANSFER = "transfer"
    SPLIT = "split"
    RECLAIM = "reclaim"
    RELEASE = "release"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"

    @property
    def allowed_in(self) -> frozenset[AllocationState]:
        return _ALLOWED.get(self, STANDING)


_ALLOWED: dict[ChangeKind, frozenset[AllocationState]] = {
    ChangeKind.SUSPEND: OPEN,
    ChangeKind.RESUME: frozenset({_S.SUSPENDED}),
}


class ChangeState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Source:
    """The part of an allocation that one grant pays. ``returned`` of it went back to the grant, all in micro-SU."""

    grant_id: int
    micro_su: int
    returned: int = 0


@dataclass(frozen=True, slots=True)
class DatedShares:
    """How each hold is split over the grants from then on: grant → millionths, which sum to ``WHOLE_SHARE``."""

    from_ms: int
    shares: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Instalment:
    """A part of an allocation that is paid later: on a day, or (``due_ms`` None) when a report is accepted."""

    number: int
    micro_su: int
    due_ms: int | None
    released_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """How much a project may spend between two dates, and who pays.

    ``asked`` is what was requested (None: decided without a request), in micro-SU; a request has no sources yet.
    """

    id: int
    project_id: int
    sources: tuple[Source, ...]
    starts_ms: int
    ends_ms: int
    state: AllocationState = AllocationState.ACTIVE
    version: int = 1
    asked: int | None = None
    purpose: str = ""
    requested_by: int | None = None
    shares: tuple[DatedShares, ...] = ()
    instalments: tuple[Instalment, ...] = ()

    @property
    def micro_su(self) -> int:
        return sum(source.micro_su for source in self.sources)

    @property
    def returned(self) -> int:
        return sum(source.returned for source in self.sources)

    @property
    def committed(self) -> int:
        """What is promised and not paid out yet, while the allocation stands."""
        return sum(one.micro_su for one in self.instalments if one.released_ms is None)

    def open_at(self, now_ms: int) -> bool:
        return self.state in OPEN and self.starts_ms <= now_ms < self.ends_ms


@dataclass(frozen=True, slots=True)
class Decision:
    """One step of an allocation's life: by whom (None: the centre's own calendar), why, and what it came to."""

    id: int
    allocation_id: int
    step: Step
    user_id: int | None
    reason: str
    at_ms: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """A change that somebody asked for. ``payload`` is what of the kind's fields was asked, amounts in micro-SU."""

    id: int
    allocation_id: int
    kind: ChangeKind
    payload: Mapping[str, Any]
    reason: str
    requested_by: int
    requested_ms: int
    state: ChangeState = ChangeState.REQUESTED
    decided_by: int | None = None
    decided_ms: int | None = None
    answer: str = ""


def move(allocation: Allocation, new: AllocationState) -> AllocationState:
    """The new state. Raises Conflict if it does not follow from the old."""
    if new not in TRANSITIONS[allocation.state]:
        raise Conflict(
            f"allocation {allocation.id} is {allocation.state}: it cannot become {new}",
            "allocation", fix="see baray admin allocation show", code="wrong-state",
        )  # fmt: skip
    return new


def state_on(starts_ms: int, now_ms: int) -> AllocationState:
    """That of an allocation which is decided and not over."""
    return AllocationState.ACTIVE if starts_ms <= now_ms else AllocationState.APPROVED


def parse_share(text: str, where: str) -> int:
    """``0.6`` as millionths. Raises Invalid."""
    match = _SHARE.fullmatch(text)
    share = 0 if match is None else int(match[1]) * WHOLE_SHARE + int((match[2] or "").ljust(6, "0"))
    if not 0 < share <= WHOLE_SHARE:
        raise Invalid(
            f"{text[:40]!r} is no share", where, fix='write a part of one such as "0.6", six decimals at most'
        )
    return share


def check_shares(shares: Sequence[int], where: str) -> None:
    """Raises Invalid unless the shares, in millionths, sum to exactly one; the message names the sum."""
    total = sum(shares)
    if total != WHOLE_SHARE:
        raise Invalid(f"the shares sum to {format_su(total)}, not to 1", where, fix="let them sum to exactly 1")
