"""The port through which the leader reads what waits and what runs; see ``mirror``."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.needs import NOTHING, Needs
from lifecycle.foresight import Guess
from scheduler.live import Running
from scheduler.queue import PendingJob


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job with tasks that wait to start, as the planner sees it, its name, and the gates that hold it.

    Which clusters cannot take it is not worked out yet: that follows from its ``needs``.
    """

    job: PendingJob
    name: str
    closed_gates: tuple[str, ...] = ()
    needs: Needs = NOTHING


class Live(Protocol):
    """What waits and what runs, as the planner sees it; and which jobs changed since the leader last looked."""

    def waiting(self, job_ids: Sequence[int] | None = None) -> list[Waiting]:
        """Every job with tasks that wait to start, or those of these jobs that have some. Held jobs have none."""
        ...

    def held(self, limit: int) -> list[Waiting]:
        """Held jobs, the oldest first; the newest if there are more. Their tasks are those that were never tried."""
        ...

    def running(self, job_ids: Sequence[int] | None = None) -> list[Running]:
        """Every live attempt, or those of these jobs; in order of job and index."""
        ...

    def changes(self) -> dict[int, int]:
        """Notes of jobs that wait or run otherwise than before: number of the note → job.

        A note may appear with a smaller number than one that was read before, so a reader keeps them all in mind.
        """
        ...

    def forget(self, notes: Collection[int]) -> None:
        """Delete notes that were taken in: just these, whatever came meanwhile."""
        ...

    def recent(self, job_ids: Sequence[int] | None = None) -> dict[int, tuple[int, ...]]:
        """The last two run times in ms of every user, or of these jobs' users; the newest last."""
        ...

    def stopped_ms(self, since_ms: int) -> tuple[int, ...]:
        """When attempts were told to stop to restore fair shares, from ``since_ms`` on, in order."""
        ...

    def guesses(self) -> list[Guess]:
        """What was foretold and not deleted: those that came true last, in that order."""
        ...

    def keep_guesses(self, guesses: Mapping[int, Guess | None]) -> None:
        """Write guesses down by job; None deletes what was foretold to it."""
        ...

    def sweep_guesses(self, keep: int) -> None:
        """Delete the oldest of those that came true, but for so many."""
        ...

    def ran(self, runs: Sequence[tuple[int, int]]) -> None:
        """Remember run times for ``recent``: (user, ms), in the order in which they ended."""
        ...
