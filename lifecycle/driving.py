"""What the steps need of clusters: a driver for each, and a gateway that examines and opens those that are far away.

``local`` and ``k8s`` implement these; ``runtime`` brings them together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.clusters import ClusterConfig, Examination, Tenancy
from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Output, Sight


@dataclass(frozen=True, slots=True)
class Heard:
    """What came through a channel: bytes, from the error output if ``error``; or its end, with the exit code if known.

    ``problem`` is a sentence for people where it ended without one.
    """

    data: bytes = b""
    error: bool = False
    ended: bool = False
    exit_code: int | None = None
    problem: str = ""


class Channel(Protocol):
    """A program that a person started in an attempt, or a connection to a port of it.

    One thread reads and another writes; ``close`` comes from any. The program does not outlive its channel.
    """

    def read(self, timeout_s: float) -> Heard | None:
        """What comes next; None if nothing did in time. After an end there is no more."""
        ...

    def write(self, data: bytes) -> None:
        """Waits while the other side does not take it. What nobody takes any more is dropped."""
        ...

    def end_input(self) -> None:
        """No more will be written."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """The terminal's size; ignored where there is none."""
        ...

    def close(self) -> None: ...


class Driver(Protocol):
    """Runs attempts on one cluster and knows nothing of policy. Every call is idempotent and keyed by attempt id.

    A driver calls the ``wake`` it was built with whenever ``observe`` would say something new; it may also not, then
    the controller's own beat finds it.
    """

    def inventory(self) -> Inventory:
        """What the cluster has now, as far as it is known: quick, since it is asked again and again."""
        ...

    def start(self, launch: Launch) -> None:
        """Start the attempt, or adopt it if it was started before. At most one run of it ever exists.

        An attempt that cannot start (bad command, unpackable source) is no error: it is observed as failed.
        Raises Unavailable when the cluster cannot take it now; the caller tries again.
        """
        ...

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        """Ask a running attempt to end: its stop signal now, SIGKILL after ``grace_ms``. Unknown attempts are ignored.

        Asked again and again until it has ended. Raises Unavailable when the cluster cannot be told now.
        """
        ...

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        """Let an attempt run so long from its start, instead of what it was started with. Unknown ones are ignored.

        Raises Unavailable when the cluster cannot take it now; the caller tries again.
        """
        ...

    def observe(self) -> Sight:
        """All attempts that were started and not yet forgotten, as they are known now. Never waits for the cluster."""
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

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:
        """The objects that ``start`` would make, for people to read; none where an attempt is a process."""
        ...

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:
        """Keep what the projects need on the cluster as it should be: their rooms, and quotas mirrored to its own guards.

        Answers what was found altered by others and mended, in sentences. Raises Unavailable.
        """
        ...

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> Channel:
        """Start a program beside a running rank, with its environment and limits, in its working directory.

        Raises Refused where the cluster does not allow it, Conflict if the rank does not run, Unavailable.
        """
        ...

    def forward(self, attempt: AttemptId, rank: int, port: int) -> Channel:
        """A connection to a TCP port of a running rank. Raises as ``exec``."""
        ...

    def close(self) -> None:
        """Let go of the cluster. What runs goes on."""
        ...


class Gateway(Protocol):
    """Reaches clusters of one kind. ``access`` is what opens one: a kubeconfig reduced to one context; a secret."""

    def read_access(self, text: str, context: str | None, config: ClusterConfig) -> str:
        """The access in a file that an administrator gave. Raises Invalid with all that is wrong with it."""
        ...

    def examine(self, access: str, config: ClusterConfig) -> Examination:
        """Look at the cluster now: reachable, version, permissions, clock, nodes and flavors, Kueue and JobSet."""
        ...

    def open(self, name: str, access: str, config: ClusterConfig, wake: Callable[[], None]) -> Driver:
        """A driver for the cluster. Answers at once, also when the cluster is out of reach."""
        ...


class Shelf(Protocol):
    """Keeps what attempts on clusters far away leave behind: the log of each rank, and outputs. Durable, and bounded."""

    def append_log(self, attempt: AttemptId, rank: int, data: bytes) -> None:
        """Add to the rank's log. Beyond the size that is kept, one line says so and the rest is dropped."""
        ...

    def log(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        """As ``Driver.logs``; ``complete`` once ``end_log`` was called and all is read."""
        ...

    def end_log(self, attempt: AttemptId, rank: int) -> None:
        """No more will come."""
        ...

    def add_output(self, attempt: AttemptId, path: str, chunks: Iterable[bytes]) -> Output:
        """Keep a file whole, or not at all; a repeat replaces it. Raises Invalid for a path that leaves the directory, TooLarge."""
        ...

    def outputs(self, attempt: AttemptId) -> tuple[Output, ...]: ...
    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None: ...


class Passes(Protocol):
    """Tokens by which the pods of an attempt speak to the centre, for that attempt and nothing else."""

    def issue(self, attempt: AttemptId) -> str: ...
    def read(self, token: str) -> AttemptId:
        """Raises NotLoggedIn for a token that the centre did not issue."""
        ...
