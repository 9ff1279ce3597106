"""What people should be told of an allocation now: how much is used, how soon it ends, that unused SU may be taken back."""

from domain.budgets import ENDS_WITHIN_MS, USED_PERCENT, NoticeKind, Reclaim, Standing


def due(standing: Standing, rule: Reclaim | None, now_ms: int) -> list[NoticeKind]:
    """Every kind of notice that there is cause for, given before or not.

    An allocation shorter than a span before its end is not told of that span. Used up is one of which less than half a
    per cent is left: the last crumbs pay for nothing.
    """
    found = [kind for kind, percent in USED_PERCENT.items() if _is_used(standing, percent)]
    left_ms, length_ms = standing.ends_ms - now_ms, standing.ends_ms - standing.starts_ms
    found += [kind for kind, span_ms in ENDS_WITHIN_MS.items() if 0 < left_ms <= span_ms < length_ms]
    # What ends before the notice would have run out is never taken back: it goes back by itself.
    if rule is not None and left_ms > rule.notice_ms and may_reclaim(standing, rule, now_ms):
        found.append(NoticeKind.RECLAIM)
    return found


def about(standing: Standing, kind: NoticeKind) -> str:
    """What a notice of the kind is about: one that is extended, or given more, is told of anew."""
    if kind in ENDS_WITHIN_MS:
        return str(standing.ends_ms)
    return str(standing.given) if kind in USED_PERCENT else f"{standing.given}/{standing.ends_ms}"


def may_reclaim(standing: Standing, rule: Reclaim, now_ms: int) -> bool:
    """True if so much time is gone, so little is used, and there is something that may be taken back."""
    gone_ms, length_ms = now_ms - standing.starts_ms, standing.ends_ms - standing.starts_ms
    late = gone_ms * 100 >= rule.after * length_ms
    little = (standing.consumed + standing.held) * 100 < rule.used_below * standing.given
    return late and little and reclaimable(standing, rule) > 0


def reclaimable(standing: Standing, rule: Reclaim) -> int:
    """The micro-SU that may be taken back: what is available beyond what the project keeps, rounded in its favour.

    What it keeps is counted of what it ever had, so that it keeps as much the second time.
    """
    return max(0, standing.available - -(-rule.keep * standing.given // 100))


def _is_used(standing: Standing, percent: int) -> bool:
    if percent == 100:
        return standing.micro_su > 0 and standing.consumed * 1000 >= 995 * standing.micro_su
    return standing.consumed * 100 >= percent * standing.micro_su > 0
