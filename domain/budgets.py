"""Budgets in daily life: where an allocation stands, what people are told of it, and when unused SU may be taken back."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.quantities import DAY_MS


@dataclass(frozen=True, slots=True)
class Standing:
    """An open allocation's figures at a moment, in micro-SU. ``committed`` are instalments that are not paid out yet;
    ``returned`` went back to the grants.
    """

    allocation_id: int
    project_id: int
    starts_ms: int
    ends_ms: int
    available: int
    held: int
    consumed: int
    committed: int = 0
    returned: int = 0

    @property
    def given(self) -> int:
        """What it ever had."""
        return self.micro_su + self.returned

    @property
    def micro_su(self) -> int:
        return self.available + self.held + self.consumed + self.committed


class NoticeKind(StrEnum):
    USED_80 = "used-80"
    USED_90 = "used-90"
    USED_100 = "used-100"
    ENDS_30D = "ends-30d"
    ENDS_7D = "ends-7d"
    ENDS_1D = "ends-1d"
    RECLAIM = "reclaim"


USED_PERCENT: Mapping[NoticeKind, int] = {NoticeKind.USED_80: 80, NoticeKind.USED_90: 90, NoticeKind.USED_100: 100}
ENDS_WITHIN_MS: Mapping[NoticeKind, int] = {
    NoticeKind.ENDS_30D: 30 * DAY_MS,
    NoticeKind.ENDS_7D: 7 * DAY_MS,
    NoticeKind.ENDS_1D: DAY_MS,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the leads of a project and the allocators are told of one of its allocations.

    Once of each kind, as long as what it is ``about`` is the same: the allocation's end, or what it was given in all.
    """

    id: int
    allocation_id: int
    project_id: int
    kind: NoticeKind
    at_ms: int
    facts: Mapping[str, int | str]
    about: str = ""
    read: bool = False


@dataclass(frozen=True, slots=True)
class Reclaim:
    """What may be taken back: once ``after`` per cent of the time are gone and less than ``used_below`` per cent of the
    SU are consumed, ``notice_ms`` after that was said; ``keep`` per cent stay available.
    """

    after: int
    used_below: int
    notice_ms: int
    keep: int


@dataclass(frozen=True, slots=True)
class ReclaimRule:
    """The rule from a time on; None: nothing is reclaimed."""

    from_ms: int
    reclaim: Reclaim | None
    user_id: int = 0
    reason: str = ""
    created_ms: int = 0
