"""Changes of standing allocations: decided at once by an allocator who has no part in it, or asked for and decided then.

What each kind does is in ``lifecycle.effects``.
"""

from dataclasses import replace

from domain.allocations import Allocation, Change, ChangeKind, ChangeState, Step
from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.people import Caller
from domain.quantities import format_su
from lifecycle import effects
from lifecycle.decisions import (
    WAITING_MOST,
    Desk,
    check_reason,
    check_waiting,
    locked,
)
from lifecycle.effects import Outcome, Wish
from lifecycle.impartial import check_no_part, has_part
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.terms import PartAsked


def may_decide(uow: UnitOfWork, caller: Caller, allocation: Allocation, wish: Wish, now_ms: int) -> bool:
    """True if the caller has no part in any project that the change touches."""
    return not any(has_part(uow, caller, project_id, now_ms) for project_id in touched(uow, allocation, wish))


def decide(
    uow: UnitOfWork, caller: Caller, allocation_id: int, kind: ChangeKind, wish: Wish, reason: str,
    expected: int | None, now_ms: int,
) -> Outcome:  # fmt: skip
    """Make the change now, on the word of the caller, who has no part in it."""
    check_reason(reason)
    one = _locked(uow, allocation_id, expected, wish)
    check_no_part(uow, caller, touched(uow, one, wish), now_ms)
    return effects.apply(Desk(uow, caller.user.id, reason, now_ms), kind, one, wish)


def ask(
    uow: UnitOfWork, caller: Caller, allocation_id: int, kind: ChangeKind, wish: Wish, reason: str,
    expected: int | None, now_ms: int,
) -> Change:  # fmt: skip
    """Ask for the change. What cannot be, whoever decides, is refused now."""
    check_reason(reason)
    one = _locked(uow, allocation_id, expected, wish)
    effects.apply(Desk(uow, caller.user.id, reason, now_ms, decided=False), kind, one, wish)
    waiting = uow.allocations.changes(Page(None, WAITING_MOST), frozenset({one.project_id}), ChangeState.REQUESTED)
    check_waiting(waiting, uow.directory().tree.accounts[one.project_id].name)
    change = Change(0, one.id, kind, wish.written(), reason, caller.user.id, now_ms)
    change = uow.allocations.add_change(change)
    Desk(uow, caller.user.id, reason, now_ms, change=change.id).note(one, Step.REQUEST, kind=kind.value)
    return change


def approve(
    uow: UnitOfWork, caller: Caller, change_id: int, sources: tuple[PartAsked, ...], reason: str,
    expected: int | None, now_ms: int,
) -> tuple[Change, Outcome]:  # fmt: skip
    """Make the change that somebody else asked for. ``sources`` are the grants of a top-up, and may pay less than asked."""
    check_reason(reason)
    change = _asked(uow, change_id)
    _check_not_own(caller, change)
    wish = Wish.read(change.payload)
    if sources:
        wish = replace(wish, sources=sources, micro_su=_within(change, wish, sources))
    one = _locked(uow, change.allocation_id, expected, wish)
    check_no_part(uow, caller, touched(uow, one, wish), now_ms)
    desk = Desk(uow, caller.user.id, reason, now_ms, change=change.id)
    outcome = effects.apply(desk, change.kind, one, wish)
    return _settle(uow, change, ChangeState.APPROVED, caller, reason, now_ms), outcome


def decline(uow: UnitOfWork, caller: Caller, change_id: int, reason: str, expected: int | None, now_ms: int) -> Change:
    check_reason(reason)
    change = _asked(uow, change_id)
    _check_not_own(caller, change)
    one = _locked(uow, change.allocation_id, expected, wish := Wish.read(change.payload))
    check_no_part(uow, caller, touched(uow, one, wish), now_ms)
    desk = Desk(uow, caller.user.id, reason, now_ms, change=change.id)
    desk.note(one, Step.DECLINE, kind=change.kind.value)
    return _settle(uow, change, ChangeState.DECLINED, caller, reason, now_ms)


def withdraw(uow: UnitOfWork, caller: Caller, change_id: int, reason: str, expected: int | None, now_ms: int) -> Change:
    """The one who asked wants it no more."""
    check_reason(reason)
    change = _asked(uow, change_id)
    if change.requested_by != caller.user.id:
        raise NotAllowed("only who asked for a change may withdraw it", fix="an allocator may decline it")
    one = locked(uow, change.allocation_id, expected)
    Desk(uow, caller.user.id, reason, now_ms, change=change.id).note(one, Step.WITHDRAW, kind=change.kind.value)
    return _settle(uow, change, ChangeState.WITHDRAWN, caller, reason, now_ms)


def _asked(uow: UnitOfWork, change_id: int) -> Change:
    change = uow.allocations.change(change_id, lock=True)
    if change is None:
        raise NotFound(f"there is no change {change_id}", "change")
    if change.state is not ChangeState.REQUESTED:
        raise Conflict(f"change {change_id} is {change.state} already", "change", code="already-decided")
    return change


def _settle(uow: UnitOfWork, change: Change, state: ChangeState, caller: Caller, reason: str, now_ms: int) -> Change:
    settled = replace(change, state=state, decided_by=caller.user.id, decided_ms=now_ms, answer=reason)
    uow.allocations.save_change(settled)
    return settled


def _locked(uow: UnitOfWork, allocation_id: int, expected: int | None, wish: Wish) -> Allocation:
    return locked(uow, allocation_id, expected, *([] if wish.to is None else [wish.to]))


def touched(uow: UnitOfWork, allocation: Allocation, wish: Wish) -> set[int]:
    """The projects that the change takes from or gives to."""
    found = {allocation.project_id}
    if wish.project_id is not None:
        found.add(wish.project_id)
    if wish.to is not None and (other := uow.allocations.get(wish.to)) is not None:
        found.add(other.project_id)
    return found


def _check_not_own(caller: Caller, change: Change) -> None:
    if change.requested_by == caller.user.id:
        raise Refused(
            f"{caller.user.name} asked for change {change.id}, and nobody decides what they asked for",
            "change", fix="let another allocator decide", code="own-request",
        )  # fmt: skip


def _within(change: Change, wish: Wish, sources: tuple[PartAsked, ...]) -> int | None:
    """The whole of a top-up that is granted: as asked where grants pay shares of it, or what they pay together."""
    if change.kind is not ChangeKind.TOP_UP:
        raise Invalid("only a top-up is paid by grants", "sources", fix="leave them out")
    asked = sum(part.micro_su or 0 for part in wish.sources) if wish.micro_su is None else wish.micro_su
    if any(part.share is not None for part in sources):
        return asked
    total = sum(part.micro_su or 0 for part in sources)
    if total > asked:
        raise Invalid(
            f"{format_su(total)} SU are more than was asked for, {format_su(asked)}",
            "sources", fix=f"give {format_su(asked)} SU or less",
        )  # fmt: skip
    return total
