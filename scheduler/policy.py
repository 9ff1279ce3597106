"""The rules in force: a dated record that an administrator rehearses and then applies. Nothing here is code's to fix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS


@dataclass(frozen=True, slots=True)
class Tier:
    """A quality of service. Higher ``rank`` goes first.

    ``preemptible`` jobs may be stopped for a tier that ``preempts``, and first when a guarantee is restored.
    """

    rank: int
    preemptible: bool = False
    preempts: bool = False


class BackfillOrder(StrEnum):
    """Who is tried first for what the reservations leave free: the fairest, or the shortest by prediction."""

    FAIR = "fair"
    SHORTEST = "shortest"


DEFAULT_TIERS: Mapping[str, Tier] = {
    "urgent": Tier(3, preempts=True),
    "interactive": Tier(2),
    "normal": Tier(1),
    "preemptible": Tier(0, preemptible=True),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the planner's decisions hang on beside the state. Times in ms.

    - ``tiers``: QoS by name.
    - ``fair_share``: rank accounts by decayed usage over weight; without it, first come, first served.
    - ``half_life_ms``: usage counts half after this time.
    - ``priority_ms``: how much waiting one point of a job's priority is worth, within its user's jobs.
    - ``size_ms``: how much waiting each whole GPU asked for is worth, within its user's jobs. Positive favours wide jobs.
    - ``patience_ms``: whoever waited longer goes before all tiers that do not preempt, oldest first: the bound of
      promise 7. None: no bound.
    - ``reservations``: how many blocked jobs of each flavor get a reserved start (K; 1 is EASY).
    - ``backfill``: the order in which the rest is tried.
    - ``reclaim``: stop borrowers to restore a guarantee.
    - ``rebalance_per_hour``: how many attempts may be stopped an hour to restore fair shares (0: none).
    - ``min_runtime_ms``: nobody is stopped for a fair share before it ran this long.
    - ``together``: node labels, tightest first, that the nodes of one job should share.
    """

    tiers: Mapping[str, Tier] = field(default_factory=lambda: dict(DEFAULT_TIERS))
    fair_share: bool = True
    half_life_ms: int = DAY_MS
    priority_ms: int = HOUR_MS
    size_ms: int = 0
    patience_ms: int | None = 36 * HOUR_MS
    reservations: int = 1
    backfill: BackfillOrder = BackfillOrder.SHORTEST
    reclaim: bool = True
    rebalance_per_hour: int = 0
    min_runtime_ms: int = 30 * MINUTE_MS
    together: tuple[str, ...] = ("nvlink", "rack")

    def tier(self, qos: str) -> Tier:
        """The tier of a QoS name; one that the policy does not know any more counts as the lowest."""
        return self.tiers.get(qos, _LOWEST)


_LOWEST = Tier(-1)
