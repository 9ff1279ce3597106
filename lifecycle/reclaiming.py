"""Unused SU are taken back by a dated rule, after notice, and on the word of an allocator who has no part in the project."""

from dataclasses import replace

from domain.allocations import ChangeKind
from domain.budgets import NoticeKind, Reclaim, ReclaimRule, Standing
from domain.errors import Invalid, NotFound, Refused
from domain.people import Caller
from domain.quantities import DAY_MS, format_duration, format_su
from lifecycle.changes import decide
from lifecycle.effects import Outcome, Wish
from lifecycle.notices import reclaim_at
from lifecycle.ports import UnitOfWork
from quotas.notices import about, may_reclaim, reclaimable

_AHEAD_MS = 3_650 * DAY_MS
_NOTICE_MOST_MS = 365 * DAY_MS


def set_rule(
    uow: UnitOfWork, caller: Caller, reclaim: Reclaim | None, reason: str, now_ms: int, from_ms: int | None = None
) -> ReclaimRule:
    """The rule from a time on (None: now); without one, nothing is taken back."""
    begins = now_ms if from_ms is None else from_ms
    if not now_ms <= begins <= now_ms + _AHEAD_MS:
        message = "a rule cannot begin in the past, nor in more than ten years"
        raise Invalid(message, "from_ms", fix="choose a time to come")
    if reclaim is not None:
        for name, percent in (("after", reclaim.after), ("used_below", reclaim.used_below), ("keep", reclaim.keep)):
            if not 0 <= percent <= 100:
                raise Invalid("a share is 0 to 100 per cent", f"{name}_percent")
        if not DAY_MS <= reclaim.notice_ms <= _NOTICE_MOST_MS:
            raise Invalid("a notice is given 1 to 365 days before", "notice", fix="write a span such as 14d")
    rule = ReclaimRule(begins, reclaim, caller.user.id, reason, now_ms)
    uow.budgets.add_rule(rule)
    return rule


def reclaim(
    uow: UnitOfWork, caller: Caller, allocation_id: int, kind: ChangeKind, wish: Wish, reason: str,
    expected: int | None, now_ms: int,
) -> Outcome:  # fmt: skip
    """Take back what the rule allows, or less, on the caller's word: ``changes.decide`` for changes of this kind.

    Raises Refused without a rule or a notice, before the notice has run out, and where use has picked up. What a project
    gives back itself is a change that it asks for, which needs no rule.
    """
    one = uow.allocations.get(allocation_id, lock=True)
    if one is None:
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    rule = reclaim_at(uow, now_ms)
    if rule is None:
        raise _refused(
            "no rule is in force by which unused SU are taken back", "set one: baray admin allocation reclaim-rule set"
        )
    if not one.open_at(now_ms):
        raise _refused(f"allocation {one.id} is not open", "what is over has gone back already")
    standing = next(iter(uow.budgets.standings(now_ms, [one.id])))
    _check(uow, standing, rule, now_ms)
    most = reclaimable(standing, rule)
    if wish.micro_su is not None and wish.micro_su > most:
        message = f"of allocation {one.id} {format_su(most)} SU may be taken back, not {format_su(wish.micro_su)}"
        raise _refused(message, f"take {format_su(most)} SU or less")
    asked = replace(wish, micro_su=most if wish.micro_su is None else wish.micro_su)
    return decide(uow, caller, one.id, kind, asked, reason, expected, now_ms)


def _check(uow: UnitOfWork, standing: Standing, rule: Reclaim, now_ms: int) -> None:
    key = (standing.allocation_id, NoticeKind.RECLAIM, about(standing, NoticeKind.RECLAIM))
    told_ms = uow.budgets.noticed([standing.allocation_id]).get(key)
    what = f"allocation {standing.allocation_id}"
    if not may_reclaim(standing, rule, now_ms):
        used = f"{format_su(standing.consumed)} of {format_su(standing.micro_su)} SU are consumed"
        message = f"by the rule nothing of {what} is to be taken back: {used}, {format_su(standing.held)} held by jobs"
        raise _refused(message, "use has picked up, or it is too early")
    if told_ms is None:
        raise _refused(f"nobody was told that SU of {what} may be taken back", "the notice is given within a minute")
    left_ms = told_ms + rule.notice_ms - now_ms
    if left_ms > 0:
        minutes = format_duration(-(-left_ms // 60_000) * 60_000)
        raise _refused(f"the notice about {what} has not run out: {minutes} are left", "wait for that")


def _refused(message: str, fix: str) -> Refused:
    return Refused(message, "allocation", fix=fix, code="not-reclaimable")
