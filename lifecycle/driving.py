"""What the steps need of clusters: a driver for each, and a gateway that examines and opens those that are far away.

``local`` and ``k8s`` implement these; ``runtime`` brings them together.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from domain.clusters import ClusterConfig, Examination, Tenancy
from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Sight


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
        """Ask a running attempt to end: its stop signal now, SIGKILL after ``grace_ms``. Unknown attempts are ignored."""
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
