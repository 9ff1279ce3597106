"""Grants: what a funder gives between two dates, in SU or in money, and what it is given for."""

from dataclasses import dataclass
from enum import StrEnum

from domain.money import MICRO_SU
from domain.purses import ANYTHING, Conditions


class GrantState(StrEnum):
    """Nothing more is allocated of a grant that is suspended or closed; what was allocated goes on. ``closed`` is final."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Grant:
    """``amount`` is in millionths of ``unit``: of an SU, or of a currency's unit by its ISO 4217 code."""

    id: int
    name: str
    funder_id: int
    amount: int
    starts_ms: int
    ends_ms: int
    unit: str = MICRO_SU
    conditions: Conditions = ANYTHING
    state: GrantState = GrantState.ACTIVE
    version: int = 1

    @property
    def currency(self) -> str | None:
        """None for a grant in SU."""
        return None if self.unit == MICRO_SU else self.unit


@dataclass(frozen=True, slots=True)
class Bargain:
    """What an allocation's SU of a grant in money were bought for, and how many of them are not given back yet.

    ``money`` bought ``micro_su`` when last some were bought; ``out`` of these are still with the allocation.
    """

    allocation_id: int
    grant_id: int
    unit: str
    money: int
    micro_su: int
    out: int

    def kept(self, out: int) -> int:
        """The money that stays away from the grant for as long as so many of the SU do. Rounded up, so that parts that
        are given back never come to more than was paid, and all of it comes to exactly that.
        """
        return -(-self.money * out // self.micro_su) if self.micro_su else 0


@dataclass(frozen=True, slots=True)
class GrantFigures:
    """Where a grant's amount is. Money is None for a grant in SU."""

    committed: int  # micro-SU promised to allocations that are paid in instalments, and not paid out yet
    allocated: int  # micro-SU that allocations have of it, the committed and the consumed ones with them
    consumed: int  # micro-SU
    left: int  # in the grant's unit: not given to any allocation
    committed_money: int | None = None
    allocated_money: int | None = None
    consumed_money: int | None = None
