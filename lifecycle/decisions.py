"""What every decision about an allocation has in common: who may take it, that it is written down, what is locked.

Locks are taken in one order by all, so that nobody waits in a circle: rows of allocations, then grants' balances, then
what the allocations have to spend, each in the order of ids. The planner's commit takes the last of these alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.allocations import Allocation, Decision, Step
from domain.errors import Conflict, Invalid, NotFound, Refused
from domain.money import BookKind, Transaction
from domain.quantities import format_su
from lifecycle.accounts import check_version
from lifecycle.exchange import exchanged
from lifecycle.ports import UnitOfWork

REASON_MOST = 1_000
WAITING_MOST = 100  # requests of one project that nobody has decided yet; so many changes as well


@dataclass(frozen=True, slots=True)
class Desk:
    """One decision on its way: by whom (None: the centre's calendar, or a rule), why and when.

    One that is not ``decided`` is only asked for: everything is checked that can be said already, nothing is changed.
    ``change`` is the request that it answers.
    """

    uow: UnitOfWork
    by: int | None
    reason: str
    now_ms: int
    decided: bool = True
    change: int | None = None

    def note(self, allocation: Allocation, step: Step, **facts: Any) -> None:
        """Write the step down. Facts are texts and whole numbers; None is left out."""
        told = {name: value for name, value in {**facts, "change": self.change}.items() if value is not None}
        self.uow.allocations.decide(Decision(0, allocation.id, step, self.by, self.reason, self.now_ms, told))

    def post(self, *transactions: Transaction) -> None:
        found = [one for one in transactions if one.entries]
        self.uow.ledger.post(exchanged(self.uow, found, self.now_ms), {})

    def named(self, parts: Mapping[int, int]) -> dict[str, str]:
        """Amounts by the grants' names, as texts, for the record."""
        names = self.uow.grants.grant_names(list(parts))
        return {names[grant]: format_su(micro_su) for grant, micro_su in parts.items() if micro_su}


def check_reason(reason: str, field: str = "reason") -> str:
    """Raises Invalid for a reason that says nothing, or far too much."""
    if not reason.strip() or len(reason) > REASON_MOST:
        raise Invalid("a decision needs a reason", field, fix=f"say why, in 1 to {REASON_MOST} characters")
    return reason


def check_waiting(waiting: Collection[object], project: str) -> None:
    """Raises Refused where a project has asked for as much already as anybody can look through."""
    if len(waiting) >= WAITING_MOST:
        raise Refused(
            f"{WAITING_MOST} requests of project {project} wait for a decision already",
            "project", fix="withdraw some, or ask the centre to decide", code="too-many-requests",
        )  # fmt: skip


def locked(uow: UnitOfWork, allocation_id: int, expected: int | None, *others: int) -> Allocation:
    """The allocation, which nobody else changes meanwhile; nor ``others``. Raises NotFound, and Stale by ``If-Match``."""
    found = uow.allocations.many([allocation_id, *others], lock=True).get(allocation_id)
    if found is None:
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    check_version(found.version, expected)
    return found


def unspent(
    uow: UnitOfWork, allocation: Allocation, kind: BookKind = BookKind.ALLOCATION, also: Sequence[int] = ()
) -> dict[int, int]:
    """What the allocation has to spend (or what is committed to it), by grant, above zero.

    Locked, with its grants, and with what the allocations ``also`` have, which is moved in the same transaction.
    """
    uow.ledger.grant_balances([source.grant_id for source in allocation.sources], lock=True)
    found = uow.ledger.unspent([allocation.id, *also]).get((allocation.id, kind), {})
    return {grant: micro_su for grant, micro_su in sorted(found.items()) if micro_su}


def wrong_state(allocation: Allocation, what: str, fix: str = "see baray admin allocation show") -> Conflict:
    return Conflict(
        f"allocation {allocation.id} is {allocation.state}: it cannot be {what}", "allocation", fix=fix, code="wrong-state"
    )  # fmt: skip


def listed(names: Sequence[str], most: int = 10) -> str:
    """``1842, 1843 and 7 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
