"""Allocations: what projects may spend; asked for, decided and changed."""

from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict

from client.transport import Transport, segment


class AllocationSource(TypedDict):
    """What a grant pays: ``su``, or a ``share`` of the whole such as ``0.6``."""

    grant: str
    su: NotRequired[str]
    share: NotRequired[str]
    returned_su: NotRequired[str]
    money: NotRequired[str | None]
    currency: NotRequired[str | None]


class DatedShares(TypedDict):
    """How holds are split over the grants from then on: grant → a part of one."""

    from_ms: int
    shares: dict[str, str]


class Instalment(TypedDict):
    """The first is paid at once; each other on a day, or when a report is accepted."""

    su: str
    due_ms: NotRequired[int | None]
    on_report: NotRequired[bool]
    number: NotRequired[int]
    released_ms: NotRequired[int | None]


class Allocation(TypedDict):
    id: int | str
    project: str
    su: str
    starts_ms: int
    ends_ms: int
    sources: list[AllocationSource]
    state: NotRequired[str]
    asked_su: NotRequired[str | None]
    purpose: NotRequired[str]
    requested_by: NotRequired[str | None]
    shares: NotRequired[list[DatedShares]]
    instalments: NotRequired[list[Instalment]]
    committed_su: NotRequired[str]
    available_su: NotRequired[str]
    held_su: NotRequired[str]
    consumed_su: NotRequired[str]
    returned_su: NotRequired[str]
    runs_out_ms: NotRequired[int | None]
    version: NotRequired[int]


class Decision(TypedDict):
    """One step of an allocation's life; ``by`` is None where the centre's calendar or a rule took it."""

    id: int
    step: str
    by: str | None
    reason: str
    at_ms: int
    facts: dict[str, Any]


class Change(TypedDict):
    """A change that somebody asked for; what of its kind was asked is not None."""

    id: int
    allocation: int
    project: str
    kind: str
    state: str
    su: str | None
    to: int | None
    to_project: str | None
    starts_ms: int | None
    ends_ms: int | None
    instalment: int | None
    sources: list[AllocationSource]
    reason: str
    requested_by: str | None
    requested_ms: int
    decided_by: str | None
    decided_ms: int | None
    answer: str


class Changed(TypedDict):
    """``state``: approved if it was decided at once, requested if somebody else must decide ``change``."""

    state: str
    change: Change | None
    allocation: Allocation
    other: Allocation | None


class Allocations:
    """Every decision takes a reason, which stays on record.

    ``if_match`` is the ETag that was seen, ``"3"`` for version 3: with it, what somebody else changed meanwhile is left.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, project: str | None = None, state: str | None = None) -> Iterator[Allocation]:
        return self._transport.pages("/allocations", {"project": project, "state": state})

    def get(self, allocation: int | str) -> Allocation:
        found: Allocation = self._transport.get(_path(allocation))
        return found

    def decisions(self, allocation: int | str) -> Iterator[Decision]:
        """Every step of its life, oldest first."""
        return self._transport.pages(_path(allocation, "decisions"))

    def add(
        self, *, project: str, starts_ms: int, ends_ms: int, sources: Sequence[AllocationSource], reason: str,
        su: str | None = None, shares: Sequence[DatedShares] = (), instalments: Sequence[Instalment] = (),
    ) -> Allocation:  # fmt: skip
        """Decide without a request. The allocation is the sum of the sources, or ``su`` where they are shares of it."""
        body = {"project": project, "starts_ms": starts_ms, "ends_ms": ends_ms, "reason": reason}
        added: Allocation = self._transport.post("/allocations", body | _terms(sources, su, shares, instalments))
        return added

    def request(self, *, project: str, su: str, starts_ms: int, ends_ms: int, purpose: str) -> Allocation:
        body = {"project": project, "su": su, "starts_ms": starts_ms, "ends_ms": ends_ms, "purpose": purpose}
        asked: Allocation = self._transport.post("/allocation-requests", body)
        return asked

    def approve(
        self, allocation: int | str, *, sources: Sequence[AllocationSource], reason: str, su: str | None = None,
        shares: Sequence[DatedShares] = (), instalments: Sequence[Instalment] = (), starts_ms: int | None = None,
        ends_ms: int | None = None, if_match: str | None = None,
    ) -> Allocation:  # fmt: skip
        """Grant a request, or less than it asked for."""
        body = _terms(sources, su, shares, instalments) | _given(starts_ms=starts_ms, ends_ms=ends_ms, reason=reason)
        found: Allocation = self._transport.post(_path(allocation, "approve"), body, if_match=if_match)
        return found

    def decline(self, allocation: int | str, reason: str, *, if_match: str | None = None) -> Allocation:
        found: Allocation = self._transport.post(_path(allocation, "decline"), {"reason": reason}, if_match=if_match)
        return found

    def withdraw(self, allocation: int | str, reason: str, *, if_match: str | None = None) -> Allocation:
        found: Allocation = self._transport.post(_path(allocation, "withdraw"), {"reason": reason}, if_match=if_match)
        return found

    def change(
        self, allocation: int | str, kind: str, reason: str, *, if_match: str | None = None, **fields: Any
    ) -> Changed:
        """Decide a change at once, or ask for it: the answer's ``state`` says which.

        ``kind`` and its fields: top-up (su, sources), extend (ends_ms), transfer (su, to), split (su, project, starts_ms,
        ends_ms), reclaim (su), release (instalment), suspend, resume, close.
        """
        body = _given(reason=reason, **fields)
        made: Changed = self._transport.post(_path(allocation, kind), body, if_match=if_match)
        return made

    def changes(self, state: str | None = None) -> Iterator[Change]:
        """What was asked for, oldest first."""
        return self._transport.pages("/allocation-changes", {"state": state})

    def approve_change(
        self, change: int | str, reason: str, *, sources: Sequence[AllocationSource] = (), if_match: str | None = None
    ) -> Changed:
        """``sources``: the grants that pay a top-up, together at most what was asked for."""
        body = {"reason": reason, "sources": list(sources)}
        made: Changed = self._transport.post(f"/allocation-changes/{segment(change)}/approve", body, if_match=if_match)
        return made

    def decline_change(self, change: int | str, reason: str) -> Change:
        found: Change = self._transport.post(f"/allocation-changes/{segment(change)}/decline", {"reason": reason})
        return found

    def withdraw_change(self, change: int | str, reason: str) -> Change:
        found: Change = self._transport.post(f"/allocation-changes/{segment(change)}/withdraw", {"reason": reason})
        return found


def _path(allocation: int | str, *rest: str) -> str:
    return "/".join(["/allocations", segment(allocation), *map(segment, rest)])


def _terms(
    sources: Sequence[AllocationSource], su: str | None, shares: Sequence[DatedShares],
    instalments: Sequence[Instalment],
) -> dict[str, Any]:  # fmt: skip
    found = _given(sources=list(sources), su=su)
    return found | {name: list(given) for name, given in (("shares", shares), ("instalments", instalments)) if given}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
