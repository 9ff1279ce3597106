"""What each kind of change does to a standing allocation, in the transaction that decides it.

A desk that is not decided only asks: the same checks run, as far as the answer does not depend on what an allocator has
yet to choose, and nothing is written.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.allocations import (
    STANDING,
    Allocation,
    AllocationState,
    ChangeKind,
    Instalment,
    Source,
    Step,
    move,
    state_on,
)
from domain.errors import Conflict, Invalid, Refused
from domain.jobs import LIVE_ATTEMPTS
from domain.money import BookKind
from domain.quantities import format_su
from lifecycle.decisions import Desk, listed, unspent, wrong_state
from lifecycle.grants import check_amount, check_grant
from lifecycle.ports import UnitOfWork
from lifecycle.terms import PartAsked, amounts_of, check_pays, read_sources
from quotas import funding
from quotas.funding import Parts


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields of a change, of which each kind takes some: micro-SU, another allocation, a project, times, the number
    of an instalment, and the grants of a top-up.
    """

    micro_su: int | None = None
    to: int | None = None
    project_id: int | None = None
    starts_ms: int | None = None
    ends_ms: int | None = None
    number: int | None = None
    sources: tuple[PartAsked, ...] = ()

    def written(self) -> dict[str, Any]:
        """As the payload of a kept change."""
        fields = ("micro_su", "to", "project_id", "starts_ms", "ends_ms", "number")
        found = {name: getattr(self, name) for name in fields if getattr(self, name) is not None}
        parts = [{"grant": part.grant, "micro_su": part.micro_su, "share": part.share} for part in self.sources]
        return {**found, "sources": parts} if parts else found

    @classmethod
    def read(cls, payload: Mapping[str, Any]) -> "Wish":
        parts = tuple(PartAsked(**part) for part in payload.get("sources", ()))
        return cls(**{**payload, "sources": parts})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The allocation afterwards, and ``before``; ``other`` is the one that received of it, or was made of a part of it."""

    allocation: Allocation
    other: Allocation | None = None
    before: Allocation | None = None


def apply(desk: Desk, kind: ChangeKind, one: Allocation, wish: Wish) -> Outcome:
    """Make the change, or only check it. Raises Conflict where the allocation's state does not allow it."""
    if one.state not in kind.allowed_in:
        raise wrong_state(one, _DONE[kind])
    return replace(_EFFECTS[kind](desk, one, wish), before=one)


def give_back(desk: Desk, one: Allocation, available: Parts, committed: Parts) -> Allocation:
    """Return so much to the grants, and say so in the sources. The caller saves the allocation."""
    desk.post(funding.give_back(one.id, one.version, available, committed, desk.now_ms))
    back = {grant: available.get(grant, 0) + committed.get(grant, 0) for grant in {*available, *committed}}
    return replace(
        one, sources=tuple(replace(part, returned=part.returned + back.get(part.grant_id, 0)) for part in one.sources)
    )


def pay_instalment(desk: Desk, one: Allocation, due: Instalment) -> Allocation:
    """Move an instalment to what may be spent. The caller saves the allocation."""
    parts = funding.split(due.micro_su, unspent(desk.uow, one, BookKind.COMMITTED))
    desk.post(funding.release_instalment(one.id, due.number, parts, desk.now_ms))
    paid = tuple(replace(p, released_ms=desk.now_ms) if p.number == due.number else p for p in one.instalments)
    desk.note(one, Step.RELEASE, instalment=due.number, su=format_su(due.micro_su), sources=desk.named(parts))
    return replace(one, instalments=paid)


def _top_up(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    if wish.micro_su is not None:
        check_amount(wish.micro_su, "su", one.starts_ms, one.ends_ms)
    elif not wish.sources:
        raise Invalid("it is not said how much more it is to have", "su", fix="give su, or sources")
    if not desk.decided:
        if wish.sources:
            amounts_of(wish.sources, wish.micro_su)
        return Outcome(one)
    asked = wish.sources or _alike(desk.uow, one, wish.micro_su or 0)
    sources = read_sources(desk.uow, one.project_id, asked, wish.micro_su, one.starts_ms, one.ends_ms, desk.now_ms)
    parts = {source.grant_id: source.micro_su for source in sources}
    desk.post(funding.top_up(one.id, one.version, parts, desk.now_ms))
    more = sum(parts.values())
    check_amount(one.micro_su + more, "su", one.starts_ms, one.ends_ms)
    desk.note(one, Step.TOP_UP, su=format_su(more), sources=desk.named(parts))
    return Outcome(desk.uow.allocations.save(_with(one, parts)))


def _alike(uow: UnitOfWork, one: Allocation, micro_su: int) -> tuple[PartAsked, ...]:
    """As much more of each grant as it pays already, in proportion."""
    names = uow.grants.grant_names([source.grant_id for source in one.sources])
    parts = funding.split(micro_su, {source.grant_id: source.micro_su for source in one.sources})
    return tuple(PartAsked(names[grant], part) for grant, part in parts.items() if part)


def _extend(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    assert wish.ends_ms is not None, "an extension has an end"
    if wish.ends_ms <= one.ends_ms:
        raise Invalid(
            "an extension ends later than the allocation does now", "ends_ms", fix="choose a later end, or close it"
        )
    _check_covered(desk.uow, one, [source.grant_id for source in one.sources], one.starts_ms, wish.ends_ms, "ends_ms")
    if not desk.decided:
        return Outcome(one)
    desk.note(one, Step.EXTEND, before_ms=one.ends_ms, ends_ms=wish.ends_ms)
    return Outcome(desk.uow.allocations.save(replace(one, ends_ms=wish.ends_ms)))


def _transfer(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    assert wish.micro_su is not None, "a transfer has an amount"
    if wish.to == one.id:
        raise Invalid("an allocation cannot be transferred to itself", "to", fix="name another")
    other = None if wish.to is None else desk.uow.allocations.get(wish.to)
    if other is None:
        raise Invalid(f"there is no allocation {wish.to}", "to", fix="see baray allocations")
    if other.state not in STANDING:
        raise wrong_state(other, "given more", fix="choose one that is active or approved")
    parts = _taken(desk, one, wish.micro_su, other.id)
    _check_covered(desk.uow, one, list(parts), other.starts_ms, other.ends_ms, "to", other.project_id)
    if not desk.decided:
        return Outcome(one, other)
    desk.post(funding.transfer("transfer", one.id, one.version, other.id, parts, desk.now_ms))
    told = {"su": format_su(wish.micro_su), "sources": desk.named(parts)}
    desk.note(one, Step.TRANSFER, to=other.id, **told)
    desk.note(other, Step.RECEIVE, giver=one.id, **told)
    given = desk.uow.allocations.save(_with(one, {grant: -part for grant, part in parts.items()}))
    return Outcome(given, desk.uow.allocations.save(_with(other, parts)))


def _split(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    assert wish.micro_su is not None, "a split has an amount"
    starts_ms = one.starts_ms if wish.starts_ms is None else wish.starts_ms
    ends_ms = one.ends_ms if wish.ends_ms is None else wish.ends_ms
    check_amount(wish.micro_su, "su", starts_ms, ends_ms)
    if ends_ms <= desk.now_ms:
        raise Invalid("the new allocation would be over already", "ends_ms", fix="choose an end to come")
    parts = _taken(desk, one, wish.micro_su)
    project_id = one.project_id if wish.project_id is None else wish.project_id
    _check_covered(desk.uow, one, list(parts), starts_ms, ends_ms, "ends_ms", project_id)
    if not desk.decided:
        return Outcome(one)
    sources = tuple(Source(grant, part) for grant, part in parts.items())
    state = state_on(starts_ms, desk.now_ms)
    made = desk.uow.allocations.add(Allocation(0, project_id, sources, starts_ms, ends_ms, state, purpose=one.purpose))
    desk.post(funding.transfer("split", one.id, one.version, made.id, parts, desk.now_ms))
    told = {"su": format_su(wish.micro_su), "sources": desk.named(parts)}
    desk.note(one, Step.SPLIT, to=made.id, **told)
    desk.note(made, Step.RECEIVE, giver=one.id, **told)
    return Outcome(desk.uow.allocations.save(_with(one, {grant: -part for grant, part in parts.items()})), made)


def _reclaim(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    """Without an amount, all that is available."""
    available = unspent(desk.uow, one)
    amount = sum(available.values()) if wish.micro_su is None else wish.micro_su
    parts = _taken(desk, one, amount)
    if not desk.decided:
        return Outcome(one)
    desk.note(one, Step.RECLAIM, su=format_su(amount), sources=desk.named(parts))
    return Outcome(desk.uow.allocations.save(give_back(desk, one, parts, {})))


def _release(desk: Desk, one: Allocation, wish: Wish) -> Outcome:
    due = next((part for part in one.instalments if part.number == wish.number), None)
    if due is None:
        raise Invalid(
            f"allocation {one.id} has no instalment {wish.number}", "instalment", fix="see baray admin allocation show"
        )
    if due.released_ms is not None:
        raise Conflict(
            f"instalment {due.number} of allocation {one.id} is released already", "instalment",
            fix="see baray admin allocation show", code="already-released",
        )  # fmt: skip
    if not desk.decided:
        return Outcome(one)
    return Outcome(desk.uow.allocations.save(pay_instalment(desk, one, due)))


def _suspend(desk: Desk, one: Allocation, _wish: Wish) -> Outcome:
    return _moved(desk, one, AllocationState.SUSPENDED, Step.SUSPEND)


def _resume(desk: Desk, one: Allocation, _wish: Wish) -> Outcome:
    return _moved(desk, one, state_on(one.starts_ms, desk.now_ms), Step.RESUME)


def _moved(desk: Desk, one: Allocation, state: AllocationState, step: Step) -> Outcome:
    if not desk.decided:
        return Outcome(one)
    desk.note(one, step)
    return Outcome(desk.uow.allocations.save(replace(one, state=move(one, state))))


def _close(desk: Desk, one: Allocation, _wish: Wish) -> Outcome:
    available, committed = unspent(desk.uow, one), unspent(desk.uow, one, BookKind.COMMITTED)
    if running := _running(desk.uow, one.id):
        jobs, run = ("job", "runs") if len(running) == 1 else ("jobs", "run")
        raise Refused(
            f"{jobs} {listed(running)} {run} on allocation {one.id}", "allocation",
            fix="suspend it so that nothing more starts, and close it when they are over, or cancel them",
            code="jobs-running",
        )  # fmt: skip
    if not desk.decided:
        return Outcome(one)
    rest = sum(available.values()) + sum(committed.values())
    desk.note(one, Step.CLOSE, returned_su=format_su(rest))
    after = give_back(desk, one, available, committed)
    return Outcome(desk.uow.allocations.save(replace(after, state=move(one, AllocationState.CLOSED))))


def _running(uow: UnitOfWork, allocation_id: int) -> list[str]:
    """Jobs of which an attempt lives that holds of the allocation."""
    jobs = {
        attempt.id.job
        for attempt in uow.attempts.live(LIVE_ATTEMPTS)
        if any(part.allocation_id == allocation_id for part in attempt.parts)
    }
    return [str(job) for job in sorted(jobs)]


def _taken(desk: Desk, one: Allocation, micro_su: int, *others: int) -> dict[int, int]:
    """So much of what is available, of each grant in proportion to what it has there. Refused if there is less."""
    available = unspent(desk.uow, one, also=others)
    if micro_su <= 0:
        raise Invalid("the amount must be above 0", "su")
    if micro_su > (most := sum(available.values())):
        raise Refused(
            f"allocation {one.id} has {format_su(most)} SU available, not {format_su(micro_su)}",
            "su", fix=f"take {format_su(most)} SU or less", code="allocation-exceeded",
        )  # fmt: skip
    return {grant: part for grant, part in funding.split(micro_su, available).items() if part}


def _check_covered(
    uow: UnitOfWork, one: Allocation, grant_ids: Collection[int], starts_ms: int, ends_ms: int, field: str,
    project_id: int | None = None,
) -> None:  # fmt: skip
    """Raises unless each grant may pay between these times, and for the project if it is another than now."""
    for grant_id in grant_ids:
        grant = uow.grants.grant(grant_id)
        assert grant is not None, f"grant {grant_id} pays and is not there"
        check_pays(grant, starts_ms, ends_ms, field)
        if project_id not in {None, one.project_id}:
            check_grant(uow.directory(), grant, project_id or 0, field)


def _with(one: Allocation, parts: Parts) -> Allocation:
    """The allocation with so much more (or less) of each grant."""
    sums = {source.grant_id: source for source in one.sources}
    for grant, part in parts.items():
        known = sums.get(grant, Source(grant, 0))
        sums[grant] = replace(known, micro_su=known.micro_su + part)
    return replace(one, sources=tuple(sums[grant] for grant in sorted(sums)))


_EFFECTS: dict[ChangeKind, Callable[[Desk, Allocation, Wish], Outcome]] = {
    ChangeKind.TOP_UP: _top_up,
    ChangeKind.EXTEND: _extend,
    ChangeKind.TRANSFER: _transfer,
    ChangeKind.SPLIT: _split,
    ChangeKind.RECLAIM: _reclaim,
    ChangeKind.RELEASE: _release,
    ChangeKind.SUSPEND: _suspend,
    ChangeKind.RESUME: _resume,
    ChangeKind.CLOSE: _close,
}

# What an allocation cannot be, when its state does not allow it.
_DONE: dict[ChangeKind, str] = {
    ChangeKind.TOP_UP: "topped up",
    ChangeKind.EXTEND: "extended",
    ChangeKind.TRANSFER: "transferred",
    ChangeKind.SPLIT: "split",
    ChangeKind.RECLAIM: "given back",
    ChangeKind.RELEASE: "paid an instalment",
    ChangeKind.SUSPEND: "suspended",
    ChangeKind.RESUME: "resumed",
    ChangeKind.CLOSE: "closed",
}
