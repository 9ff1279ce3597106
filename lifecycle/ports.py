"""What the steps need of the world: a clock, a driver for each cluster, and units of work on the database."""

from typing import Protocol

from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Observation


class Clock(Protocol):
    """The only source of time. Milliseconds since the epoch, UTC."""

    def now_ms(self) -> int: ...


class Driver(Protocol):
    """Runs attempts on one cluster and knows nothing of policy. Every call is idempotent and keyed by attempt id.

    A driver calls the ``wake`` it was built with whenever ``observe`` would say something new; it may also not, then
    the controller's own beat finds it.
    """

    def inventory(self) -> Inventory:
        """What the cluster has now."""
        ...

    def start(self, launch: Launch) -> None:
        """Start the attempt, or adopt it if it was started before. At most one run of it ever exists.

        An attempt that cannot start (bad command, unpackable source) is no error: it is observed as failed.
        Raises Unavailable when the cluster cannot take it now; the caller tries again.
        """
        ...

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        """Ask a running attempt to end: its stop signal now, SIGKILL after ``grace_ms``. Unknown attempts are ignored."""
        ...

    def observe(self) -> tuple[Observation, ...]:
        """All attempts that were started and not yet forgotten. One that is absent is not known here."""
        ...

    def forget(self, attempt: AttemptId) -> None:
        """The result is committed: stop observing it. Its logs and outputs stay readable."""
        ...

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        """Up to ``limit`` bytes of the rank's output from ``offset``. Empty for an attempt without any."""
        ...

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        """Bytes of a collected output; None if there is no such output."""
        ...

    def close(self) -> None:
        """Let go of the cluster. What runs goes on."""
        ...
