"""The port to what ran to its end."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Past:
    """A task's last attempt, which ended of itself. Amounts are over all its nodes; ``index`` is None for no array.

    A run that was brought along from another centre has the ``name`` that it had there.
    """

    row: int
    job_id: int
    index: int | None
    project_id: int
    user: str
    qos: str
    flavor: str
    gpus: int
    nodes: int
    cpus: int
    memory_bytes: int
    submitted_ms: int
    started_ms: int
    ended_ms: int
    walltime_ms: int
    state: str
    name: str | None = None


class History(Protocol):
    """What ran to its end, as a workload to rehearse with."""

    def page(self, after: int | None, limit: int, from_ms: int | None, until_ms: int | None) -> list[Past]:
        """By attempt, oldest first, after row ``after``; of jobs submitted from ``from_ms`` and before ``until_ms``.

        Runs that were brought along come after all that ran here.
        """
        ...
