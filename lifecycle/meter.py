"""Step 6, meter: what an attempt used, as facts written once each.

A fact covers the time since the last one. An attempt's totals are computed from its start, so facts of any number and
size add up to the same GPU-milliseconds.
"""

from domain.money import UsageFact
from domain.quantities import SECOND_MS
from domain.records import Attempt, Brief
from quotas.ledger import Settled

# While an attempt runs it is metered this often, so that usage is visible within a minute.
SLICE_MS = 30 * SECOND_MS


def due(attempt: Attempt | Brief, now_ms: int) -> bool:
    """True if a running attempt has not been metered for a slice."""
    if attempt.started_ms is None:
        return False
    return now_ms - (attempt.metered_ms or attempt.started_ms) >= SLICE_MS


def fact(attempt: Attempt, after: Settled, until_ms: int) -> UsageFact:
    """The attempt's use since its last fact, up to ``until_ms``."""
    assert attempt.started_ms is not None, f"attempt {attempt.id} has not started"
    from_ms = attempt.metered_ms if attempt.metered_ms is not None else attempt.started_ms
    nodes = len(attempt.placements)
    span_ms = max(0, until_ms - from_ms)
    return UsageFact(
        attempt=str(attempt.id),
        seq=attempt.facts + 1,
        flavor=attempt.flavor,
        from_ms=from_ms,
        until_ms=max(from_ms, until_ms),
        gpu_ms=after.gpu_ms - attempt.gpu_ms,
        cpu_ms=span_ms * attempt.cpus * nodes,
        memory_mib_ms=span_ms * (attempt.memory_bytes >> 20) * nodes,
    )
