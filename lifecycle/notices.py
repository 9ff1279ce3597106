"""Notices: the leads of a project and the allocators are told how far an allocation is used, and how soon it ends; once of
each, until it is extended or given more.

Run by the controller now and then, and repeatable: what was told is not due again. The same round keeps what each
allocation has consumed as a day begins, from which its pace is foretold without a look at the ledger's entries.
"""

from collections.abc import Collection, Mapping

from domain.budgets import ENDS_WITHIN_MS, USED_PERCENT, Notice, NoticeKind, Reclaim, Standing
from domain.quantities import DAY_MS, format_duration, format_su
from lifecycle.ports import Store, UnitOfWork
from quotas import forecast
from quotas.notices import about, due, reclaimable


def give_notices(store: Store, epoch: int, now_ms: int, *, marks_too: bool = True) -> int:
    """Give all notices that are due. Answers how many those were. ``marks_too`` looks at every allocation's pace as well."""
    with store.read() as uow:
        rule = reclaim_at(uow, now_ms)
        near_ms = None if marks_too or rule is not None else now_ms + max(ENDS_WITHIN_MS.values())
        standings = uow.budgets.standings(now_ms, ends_before_ms=near_ms)
        found = [(one, kind) for one in standings for kind in due(one, rule, now_ms)]
        given = uow.budgets.noticed({one.allocation_id for one, _ in found})
        new = [(one, kind) for one, kind in found if (one.allocation_id, kind, about(one, kind)) not in given]
        marks = _marks(uow, standings, now_ms) if marks_too else {}
    if not new and not marks:
        return 0
    with store.write() as uow:
        uow.leader.check(epoch)
        for one, kind in new:
            facts = _facts(one, kind, rule)
            uow.budgets.notice(Notice(0, one.allocation_id, one.project_id, kind, now_ms, facts, about(one, kind)))
        if marks:
            uow.budgets.mark(now_ms // DAY_MS, marks)
            uow.budgets.forget_marks((now_ms - forecast.WINDOW_MS) // DAY_MS)
    return len(new)


def _marks(uow: UnitOfWork, standings: Collection[Standing], now_ms: int) -> dict[int, int]:
    """What is consumed by now, of the allocations of which the last mark says another sum and is not of today."""
    today = now_ms // DAY_MS
    known = uow.budgets.consumed_before([one.allocation_id for one in standings], today)
    found = {one.allocation_id: one.consumed for one in standings if known.get(one.allocation_id, 0) != one.consumed}
    marked = uow.budgets.marked(list(found), today)
    return {allocation: consumed for allocation, consumed in found.items() if allocation not in marked}


def run_out(uow: UnitOfWork, allocation_ids: Collection[int], now_ms: int) -> dict[int, int | None]:
    """When each of the allocations runs out at its pace; None: not before it ends."""
    before = uow.budgets.consumed_before(allocation_ids, (now_ms - forecast.WINDOW_MS) // DAY_MS)
    return {
        one.allocation_id: forecast.runs_out(one, before.get(one.allocation_id, 0), now_ms)
        for one in uow.budgets.standings(now_ms, allocation_ids)
        if one.starts_ms <= now_ms < one.ends_ms
    }


def reclaim_at(uow: UnitOfWork, now_ms: int) -> Reclaim | None:
    """The rule in force by which unused SU are taken back, if there is one."""
    begun = [rule for rule in uow.budgets.rules() if rule.from_ms <= now_ms]
    return begun[-1].reclaim if begun else None


def _facts(one: Standing, kind: NoticeKind, rule: Reclaim | None) -> Mapping[str, int | str]:
    facts: dict[str, int | str] = {
        "su": format_su(one.micro_su), "available_su": format_su(one.available), "held_su": format_su(one.held),
        "consumed_su": format_su(one.consumed), "ends_ms": one.ends_ms,
    }  # fmt: skip
    if kind is NoticeKind.RECLAIM and rule is not None:
        facts |= {"reclaim_su": format_su(reclaimable(one, rule)), "notice_ms": rule.notice_ms}
    return facts


def words(notice: Notice) -> str:
    """The notice as a sentence."""
    facts, what = notice.facts, f"allocation {notice.allocation_id}"
    if notice.kind in USED_PERCENT:
        left = f"{facts['available_su']} SU are available, {facts['held_su']} held by jobs"
        if notice.kind is NoticeKind.USED_100:
            return f"{what} is used up: nothing more starts, what runs is covered"
        return f"{USED_PERCENT[notice.kind]} % of {what} are used: {left}"
    if notice.kind in ENDS_WITHIN_MS:
        span = format_duration(ENDS_WITHIN_MS[notice.kind])
        return f"{what} ends within {span}: {facts['available_su']} SU are not used"
    return (
        f"little of {what} is used: {facts['reclaim_su']} SU may be taken back in "
        f"{format_duration(int(facts['notice_ms']))}, unless use picks up"
    )
