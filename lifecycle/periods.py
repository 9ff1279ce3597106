"""Closed periods: a month, once it is over and all of it is metered, is never posted into again."""

from domain.errors import Conflict, Refused
from domain.months import month_span
from domain.people import Caller
from domain.quantities import MINUTE_MS, format_duration
from lifecycle.books import Period
from lifecycle.ports import UnitOfWork

# A request that began before a month's end, or on a server whose clock is behind, may still be posting into it.
AFTER_MS = 10 * MINUTE_MS
_NAMED = 10


def close(uow: UnitOfWork, caller: Caller, name: str, reason: str, now_ms: int) -> Period:
    """Close a month of the centre. Refused until a while after its end, or while an attempt is not metered past it."""
    from_ms, until_ms = month_span(name)
    uow.take_turn()  # nobody posts meanwhile: every step of the controller takes it too
    if any(one.name == name for one in uow.directory().closed):
        raise Conflict(f"{name} is closed already", "period", code="already-closed")
    if until_ms + AFTER_MS > now_ms:
        fix = f"close it {format_duration(AFTER_MS)} after its end, or later"
        raise Refused(f"{name} is not over, or only just", "period", fix=fix, code="period-not-over")
    behind = uow.attempts.unmetered(until_ms)
    if behind:
        names = ", ".join(str(attempt.id) for attempt in behind[:_NAMED])
        more = f" and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
        raise Refused(
            f"{len(behind)} attempts are not metered to the end of {name}: {names}{more}",
            "period", fix="wait a minute; if their cluster is out of sight, bring it back first", code="not-metered",
        )  # fmt: skip
    period = Period(name, from_ms, until_ms, caller.user.id, reason, now_ms)
    uow.charging.close(period)
    return period
