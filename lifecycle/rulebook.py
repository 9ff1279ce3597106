"""The ports to what the planner is told to do: dated policies, and reservations."""

from typing import Protocol

from domain.calendar import Reservation
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

    def all(self) -> tuple[Reservation, ...]:
        """Read afresh: the directory's may be from before the turn was taken."""
        ...

    def add(self, one: Reservation, user_id: int, now_ms: int) -> Reservation: ...
    def remove(self, reservation_id: int) -> None: ...
