"""Allocations: asked for, decided, and what a decision posts. How they change afterwards is in ``lifecycle.changes``."""

from collections.abc import Sequence
from dataclasses import replace

from domain.accounts import Account
from domain.allocations import Allocation, AllocationState, Step, move, state_on
from domain.errors import Invalid, NotAllowed, Refused
from domain.people import Caller
from domain.quantities import format_su
from lifecycle.decisions import WAITING_MOST, Desk, check_reason, check_waiting, locked, wrong_state
from lifecycle.grants import check_amount
from lifecycle.impartial import check_no_part
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.submit import project_of
from lifecycle.terms import PartAsked, Terms, read_instalments, read_shares, read_sources
from quotas import funding


def request(
    uow: UnitOfWork, caller: Caller, project: Account, micro_su: int, starts_ms: int, ends_ms: int, purpose: str,
    now_ms: int,
) -> Allocation:  # fmt: skip
    """Ask for an allocation: so many micro-SU between two times. Nothing moves until somebody else approves it."""
    check_reason(purpose, "purpose")
    check_amount(micro_su, "su", starts_ms, ends_ms)
    _check_span(starts_ms, ends_ms, now_ms)
    waiting = uow.allocations.page(Page(None, WAITING_MOST), frozenset({project.id}), [AllocationState.REQUESTED])
    check_waiting(waiting, project.name)
    asked = Allocation(
        0, project.id, (), starts_ms, ends_ms, AllocationState.REQUESTED,
        asked=micro_su, purpose=purpose, requested_by=caller.user.id,
    )  # fmt: skip
    asked = uow.allocations.add(asked)
    Desk(uow, caller.user.id, purpose, now_ms).note(asked, Step.REQUEST, su=format_su(micro_su))
    return asked


def approve(
    uow: UnitOfWork, caller: Caller, allocation_id: int, terms: Terms, reason: str, expected: int | None, now_ms: int
) -> Allocation:
    """Grant a request, or less than it asked for: the allocation draws on the grants of the terms from now on."""
    check_reason(reason)
    asked = _requested(uow, allocation_id, expected, "approved")
    _check_not_own(caller, asked)
    check_no_part(uow, caller, [asked.project_id], now_ms)
    _check_span(terms.starts_ms, terms.ends_ms, now_ms)
    decided = _on_terms(uow, asked, terms, now_ms)
    assert asked.asked is not None, "a request says how much"
    if decided.micro_su > asked.asked:
        raise Invalid(
            f"{format_su(decided.micro_su)} SU are more than was asked for, {format_su(asked.asked)}",
            "sources", fix=f"give {format_su(asked.asked)} SU or less",
        )  # fmt: skip
    decided = uow.allocations.save(replace(decided, state=move(asked, state_on(terms.starts_ms, now_ms))))
    _book(Desk(uow, caller.user.id, reason, now_ms), decided, Step.APPROVE)
    return decided


def decline(
    uow: UnitOfWork, caller: Caller, allocation_id: int, reason: str, expected: int | None, now_ms: int
) -> Allocation:
    check_reason(reason)
    asked = _requested(uow, allocation_id, expected, "declined")
    _check_not_own(caller, asked)
    check_no_part(uow, caller, [asked.project_id], now_ms)
    declined = uow.allocations.save(replace(asked, state=move(asked, AllocationState.DECLINED)))
    Desk(uow, caller.user.id, reason, now_ms).note(declined, Step.DECLINE)
    return declined


def withdraw(
    uow: UnitOfWork, caller: Caller, allocation_id: int, reason: str, expected: int | None, now_ms: int
) -> Allocation:
    """The one who asked wants it no more."""
    check_reason(reason)
    asked = _requested(uow, allocation_id, expected, "withdrawn")
    if asked.requested_by != caller.user.id:
        raise NotAllowed("only who asked for an allocation may withdraw it", fix="an allocator may decline it")
    withdrawn = uow.allocations.save(replace(asked, state=move(asked, AllocationState.WITHDRAWN)))
    Desk(uow, caller.user.id, reason, now_ms).note(withdrawn, Step.WITHDRAW)
    return withdrawn


def allocate(uow: UnitOfWork, caller: Caller, project: str, terms: Terms, reason: str, now_ms: int) -> Allocation:
    """An allocation that an allocator decides without a request."""
    check_reason(reason)
    account = project_of(uow.directory(), project)
    check_no_part(uow, caller, [account.id], now_ms)
    _check_span(terms.starts_ms, terms.ends_ms, now_ms)
    return _add(uow, account, terms, caller.user.id, reason, now_ms)


def add_allocation(
    uow: UnitOfWork, project: str, sources: Sequence[tuple[str, int]], starts_ms: int, ends_ms: int, now_ms: int,
    by: int | None = None, reason: str = "set up with the centre",
) -> Allocation:  # fmt: skip
    """An allocation as a centre is set up or brought along, with grants by name and micro-SU; ``by`` is a user."""
    parts = tuple(PartAsked(name, micro_su) for name, micro_su in sources)
    account = project_of(uow.directory(), project)
    return _add(uow, account, Terms(parts, starts_ms, ends_ms), by, reason, now_ms)


def _add(uow: UnitOfWork, project: Account, terms: Terms, by: int | None, reason: str, now_ms: int) -> Allocation:
    blank = Allocation(0, project.id, (), terms.starts_ms, terms.ends_ms)
    decided = replace(_on_terms(uow, blank, terms, now_ms), state=state_on(terms.starts_ms, now_ms))
    decided = uow.allocations.add(decided)
    _book(Desk(uow, by, reason, now_ms), decided, Step.ALLOCATE)
    return decided


def _on_terms(uow: UnitOfWork, allocation: Allocation, terms: Terms, now_ms: int) -> Allocation:
    """The allocation with who pays it, how and when. Raises Invalid or Refused for terms that cannot be."""
    span = (terms.starts_ms, terms.ends_ms)
    if terms.micro_su is not None:
        check_amount(terms.micro_su, "su", *span)
    sources = read_sources(uow, allocation.project_id, terms.sources, terms.micro_su, *span, now_ms)
    return replace(
        allocation,
        sources=sources,
        starts_ms=terms.starts_ms,
        ends_ms=terms.ends_ms,
        shares=read_shares(uow, terms, sources, *span),
        instalments=read_instalments(terms, sum(source.micro_su for source in sources), *span, now_ms),
    )


def _book(desk: Desk, allocation: Allocation, step: Step) -> None:
    """Post what the grants pay, and write the decision down."""
    desk.post(funding.allocate(allocation, desk.now_ms))
    sources = desk.named({source.grant_id: source.micro_su for source in allocation.sources})
    committed = format_su(allocation.committed) if allocation.instalments else None
    desk.note(allocation, step, su=format_su(allocation.micro_su), sources=sources, committed_su=committed)


def _requested(uow: UnitOfWork, allocation_id: int, expected: int | None, what: str) -> Allocation:
    found = locked(uow, allocation_id, expected)
    if found.state is not AllocationState.REQUESTED:
        raise wrong_state(found, what)
    return found


def _check_not_own(caller: Caller, asked: Allocation) -> None:
    if asked.requested_by == caller.user.id:
        raise Refused(
            f"{caller.user.name} asked for allocation {asked.id}, and nobody decides what they asked for",
            "allocation", fix="let another allocator decide", code="own-request",
        )  # fmt: skip


def _check_span(starts_ms: int, ends_ms: int, now_ms: int) -> None:
    if ends_ms <= starts_ms:
        raise Invalid("it ends before it starts", "ends_ms", fix="give an end after the start")
    if ends_ms <= now_ms:
        raise Invalid("it would be over already", "ends_ms", fix="choose an end to come")
