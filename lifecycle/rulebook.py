"""The ports to what the planner is told to do: dated policies, reservations, and gates."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from domain.calendar import Reservation
from domain.gates import GateRule, Terms
from scheduler.rules import DatedPolicy


class Policies(Protocol):
    """The dated policies."""

    def add(self, record: DatedPolicy) -> DatedPolicy: ...

    def at(self, now_ms: int) -> DatedPolicy | None:
        """The one in force at a time; None for the defaults."""
        ...

    def page(self, before: int | None, limit: int) -> list[DatedPolicy]:
        """The last that were applied first, from below number ``before``."""
        ...


class Calendar(Protocol):
    """Reservations, by name."""

    def add(self, one: Reservation, user_id: int, now_ms: int) -> Reservation: ...
    def remove(self, reservation_id: int) -> None: ...


@dataclass(frozen=True, slots=True)
class GateRecord:
    """A rule of a gate as it is kept: why, by whom and when it was made."""

    rule: GateRule
    reason: str
    user_id: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class TermsRecord:
    """A version of the terms as it is kept, with its text, or where that stands."""

    terms: Terms
    text: str
    url: str | None
    user_id: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class GateRows:
    """The unfinished jobs of a user in a project that just these gates hold; none: those that wait to start."""

    project_id: int
    user_id: int
    closed: tuple[str, ...] = ()


class Gates(Protocol):
    """Which gates apply; the terms of use and who accepted them; and whose jobs gates hold or may have to."""

    def add_rule(self, record: GateRecord) -> GateRecord: ...
    def end_rule(self, rule_id: int, until_ms: int) -> None: ...
    def rules(self) -> list[GateRecord]: ...
    def add_terms(self, record: TermsRecord) -> TermsRecord: ...

    def terms(self) -> list[TermsRecord]:
        """In the order in which they take over."""
        ...

    def accept(self, user_id: int, terms_id: int, now_ms: int) -> None:
        """The first time counts."""
        ...

    def accepted(self, user_ids: Collection[int]) -> dict[int, frozenset[int]]: ...
    def acceptances(self, user_id: int) -> dict[int, int]: ...
    def held(self) -> list[GateRows]: ...
    def waiting(self) -> list[GateRows]: ...

    def jobs(self, rows: GateRows, limit: int) -> list[int]:
        """The first of these jobs, in order of id."""
        ...
