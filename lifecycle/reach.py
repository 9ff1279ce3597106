"""What is kept of clusters that are reached over a network: how they are opened, and what they said of themselves.

``store`` implements the port; ``runtime`` opens a driver for each by what it finds there.
"""

from dataclasses import dataclass
from typing import Protocol

from domain.clusters import ClusterConfig

REMOVED = "removed"  # the state of a cluster that only history knows; the directory has it no more


@dataclass(frozen=True, slots=True)
class Contact:
    """What a cluster said of itself when it was last examined, and how the leader finds it now.

    ``silent_ms`` is since when it has not answered; ``trouble`` why it cannot even be opened; ``drift`` what others
    altered there of late, and was mended.
    """

    version: str = ""
    kueue: str | None = None
    jobset: str | None = None
    silent_ms: int | None = None
    trouble: str = ""
    drift: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of it."""
        silent = ("it does not answer: nothing new starts there until it does",) if self.silent_ms is not None else ()
        trouble = (f"it cannot be opened: {self.trouble}",) if self.trouble else ()
        return (*trouble, *silent, *self.drift)


NO_CONTACT = Contact()


class Clusters(Protocol):
    """Clusters that are reached over a network. Their nodes and devices are with ``Fleet``."""

    def add(self, name: str, driver: str, uid: str, config: ClusterConfig, access: bytes) -> None:
        """A new one, or one that was removed and is there again. ``access`` is sealed."""
        ...

    def holder(self, uid: str) -> tuple[str, str] | None:
        """(name, state) of the cluster that this is, one that was removed too."""
        ...

    def removed(self, name: str) -> tuple[str | None] | None:
        """The uid of a cluster of that name that was removed; None if none was."""
        ...

    def access(self, name: str) -> bytes | None:
        """What opens it, sealed."""
        ...

    def set_access(self, name: str, access: bytes) -> None: ...
    def set_config(self, name: str, config: ClusterConfig) -> None: ...
    def set_contact(self, name: str, contact: Contact) -> None: ...
    def remove(self, name: str) -> None:
        """Only history knows it from now on. Its credentials are deleted."""
        ...

    def live(self, name: str) -> int:
        """How many live attempts are there."""
        ...

    def projects(self, name: str) -> frozenset[int]:
        """Those that have live attempts there."""
        ...
