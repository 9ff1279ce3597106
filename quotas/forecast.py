"""The day on which an allocation runs out, at the pace of the last fortnight."""

from domain.budgets import Standing
from domain.quantities import DAY_MS

WINDOW_MS = 14 * DAY_MS


def runs_out(standing: Standing, consumed_before: int, now_ms: int) -> int | None:
    """When nothing is available any more, or None: not before it ends, at this pace.

    The pace is what was consumed since the fortnight began (``consumed_before`` is what was until then), or since the
    allocation began if that is later, but at least a day ago; with it goes what running jobs hold, as if it were consumed.
    """
    if standing.available <= 0:
        return now_ms
    spent = standing.consumed - consumed_before + standing.held
    if spent <= 0:
        return None
    elapsed_ms = min(WINDOW_MS, max(DAY_MS, now_ms - standing.starts_ms))
    at_ms = now_ms + standing.available * elapsed_ms // spent
    return at_ms if at_ms < standing.ends_ms else None
