"""What the calendar does to allocations: they begin, are paid their dated instalments, and end.

Run by the controller now and then. Money may be spent by the dates alone, so a late beat lets nobody spend too long or
keeps anybody waiting; it only makes states say so, and moves what is due. Each allocation is a transaction of its own,
and what was done once is not due again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from domain.allocations import OVER, STANDING, Allocation, AllocationState, ChangeState, Step, move
from domain.errors import Conflict
from domain.money import BookKind
from domain.quantities import format_su
from lifecycle.decisions import Desk, locked, unspent
from lifecycle.effects import give_back, pay_instalment
from lifecycle.ports import Store, UnitOfWork

_Act: TypeAlias = Callable[[UnitOfWork, int, int], None]


def tenure(store: Store, epoch: int, now_ms: int) -> int:
    """Do all that is due. Answers for how many allocations, and changes asked for, something was done.

    What fails for one keeps no other waiting; the first failure is raised at the end.
    """
    with store.read() as uow:
        due: list[tuple[_Act, int]] = [(_keep, number) for number in uow.allocations.due(now_ms)]
        due += [(_decline, number) for number in uow.allocations.overtaken()]
    failed: Conflict | None = None
    for act, number in due:
        try:
            with store.write() as uow:
                uow.leader.check(epoch)
                act(uow, number, now_ms)
        except Conflict as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return len(due)


def _keep(uow: UnitOfWork, allocation_id: int, now_ms: int) -> None:
    one = locked(uow, allocation_id, None)
    if one.state in STANDING and one.ends_ms <= now_ms:
        _expire(uow, one, now_ms)
    elif one.state in STANDING:
        _pay(uow, _begin(uow, one, now_ms), now_ms)
    elif one.state in OVER:
        _return(uow, one, now_ms)


def _decline(uow: UnitOfWork, change_id: int, now_ms: int) -> None:
    """What was asked of an allocation that is over meanwhile can no longer be."""
    change = uow.allocations.change(change_id, lock=True)
    if change is None or change.state is not ChangeState.REQUESTED:
        return
    why = "the allocation is over"
    uow.allocations.save_change(replace(change, state=ChangeState.DECLINED, decided_ms=now_ms, answer=why))
    if (one := uow.allocations.get(change.allocation_id)) is not None:
        Desk(uow, None, why, now_ms, change=change.id).note(one, Step.DECLINE, kind=change.kind.value)


def _begin(uow: UnitOfWork, one: Allocation, now_ms: int) -> Allocation:
    if one.state is not AllocationState.APPROVED or one.starts_ms > now_ms:
        return one
    Desk(uow, None, "its first day has come", now_ms).note(one, Step.ACTIVATE)
    return uow.allocations.save(replace(one, state=move(one, AllocationState.ACTIVE)))


def _pay(uow: UnitOfWork, one: Allocation, now_ms: int) -> None:
    for due in one.instalments:
        if due.released_ms is None and due.due_ms is not None and due.due_ms <= now_ms:
            desk = Desk(uow, None, "the instalment's day has come", now_ms)
            one = uow.allocations.save(pay_instalment(desk, one, due))


def _expire(uow: UnitOfWork, one: Allocation, now_ms: int) -> None:
    """What is available goes back to the grants. What running jobs hold stays with them."""
    desk = Desk(uow, None, "its last day is over", now_ms)
    available, committed = unspent(uow, one), unspent(uow, one, BookKind.COMMITTED)
    rest = sum(available.values()) + sum(committed.values())
    desk.note(one, Step.EXPIRE, returned_su=format_su(rest))
    after = give_back(desk, one, available, committed)
    uow.allocations.save(replace(after, state=move(one, AllocationState.EXPIRED)))


def _return(uow: UnitOfWork, one: Allocation, now_ms: int) -> None:
    """Jobs that ran on after the end released what they did not use, or were refunded: that goes back too."""
    available = unspent(uow, one)
    if not available:
        return
    desk = Desk(uow, None, "jobs gave back what they did not use", now_ms)
    desk.note(one, Step.RETURN, su=format_su(sum(available.values())), sources=desk.named(available))
    uow.allocations.save(give_back(desk, one, available, {}))
