"""Allocations: how much a project may spend between two dates, who pays, and every state it may be in.

Which state may follow which is in the one table of this file; every other part asks it.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Source:
    """The part of an allocation that one grant pays."""

    grant_id: int
    micro_su: int


class AllocationState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Allocation:
    """How much a project may spend between two dates, and who pays."""

    id: int
    project_id: int
    sources: tuple[Source, ...]
    starts_ms: int
    ends_ms: int
    state: AllocationState = AllocationState.ACTIVE
    version: int = 1

    @property
    def micro_su(self) -> int:
        return sum(source.micro_su for source in self.sources)

    def open_at(self, now_ms: int) -> bool:
        return self.state is AllocationState.ACTIVE and self.starts_ms <= now_ms < self.ends_ms
