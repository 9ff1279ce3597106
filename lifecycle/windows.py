"""Reservations as the planner sees them: windows, from now until its horizon."""

from domain.calendar import Reservation, occurrence_name, occurrences
from domain.quantities import DAY_MS
from lifecycle.ports import Directory
from scheduler.snapshot import Window

HORIZON_MS = 14 * DAY_MS
YEAR_MS = 366 * DAY_MS


def windows(directory: Directory, now_ms: int) -> tuple[Window, ...]:
    """What is kept from now until the planner's horizon."""
    return tuple(
        window for one in directory.reservations for window in expand(directory, one, now_ms, now_ms + HORIZON_MS)
    )


def expand(directory: Directory, one: Reservation, from_ms: int, until_ms: int) -> list[Window]:
    """A reservation's occurrences that overlap a span, with the nodes that its cluster has now."""
    nodes = one.nodes
    if one.flavor is None and not nodes:
        nodes = tuple(node.name for node in directory.nodes.get(one.cluster or "", ()))
    return [
        Window(
            occurrence_name(one, start), one.account_id, start, end, one.cluster, nodes, one.flavor, one.gpus
        )
        for start, end in occurrences(one, from_ms, until_ms)
    ]  # fmt: skip


def upcoming(one: Reservation, now_ms: int, most: int = 10) -> list[tuple[int, int]]:
    """The next occurrences, the one that is under way first."""
    from_ms = max(now_ms, one.starts_ms)
    return occurrences(one, from_ms, from_ms + YEAR_MS)[:most]
