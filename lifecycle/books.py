"""The port to what the books are kept by: charging rules, closed periods, and people's corrections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.ids import AttemptId
from lifecycle.paging import Page
from quotas.rules import DatedRules


@dataclass(frozen=True, slots=True)
class DatedRate:
    """A flavor's rate from a time on, with who made it and when. Without a user, Baray made it itself."""

    from_ms: int
    micro_su_per_hour: int
    user_id: int | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class Period:
    """A closed month: nothing is posted any more from its beginning to its end (not included)."""

    name: str
    from_ms: int
    until_ms: int
    user_id: int
    reason: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person gave back of an attempt's charge, or charged in addition: ``micro_su`` is added to what it cost.

    ``kind`` is refund or adjust, ``period`` the month that it corrects. A new rate between two times has these with it.
    """

    id: int
    transaction: str
    kind: str
    attempt_row: int
    attempt: AttemptId
    micro_su: int
    period: str
    user_id: int
    reason: str
    created_ms: int
    from_ms: int | None = None
    until_ms: int | None = None
    micro_su_per_hour: int | None = None


class Charging(Protocol):
    """Charging rules, closed periods and corrections. What is in force is in the directory."""

    def add_rules(self, record: DatedRules) -> DatedRules: ...

    def rules_page(self, before: int | None, limit: int) -> list[DatedRules]:
        """The last that were applied first, from below number ``before``."""
        ...

    def close(self, period: Period) -> None:
        """Raises Conflict if it is closed already."""
        ...

    def add_corrections(self, corrections: Sequence[Correction]) -> None: ...
    def corrections(self, page: Page, projects: frozenset[int] | None) -> list[Correction]: ...
    def corrections_of(self, attempt_rows: Sequence[int]) -> list[Correction]: ...
