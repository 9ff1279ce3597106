"""What the rest of the queue may expect: rank, reason and estimated start of every job that waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scheduler.snapshot import Booked, Ranked, Start, Stop


@dataclass(frozen=True, slots=True)
class Outlook:
    lines: Mapping[int, Ranked] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Ranked]:
        """In the order of the queue."""
        return iter(self.lines.values())

    def of(self, job_id: int) -> Ranked | None:
        """The line of a job; None if it does not wait."""
        return self.lines.get(job_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in order; what to stop for it; what is booked for the blocked; and the outlook of all that wait.

    ``warnings`` are sentences for administrators, such as guarantees above what there is.
    """

    starts: tuple[Start, ...] = ()
    stops: tuple[Stop, ...] = ()
    booked: tuple[Booked, ...] = ()
    outlook: Outlook = Outlook()
    warnings: tuple[str, ...] = ()
