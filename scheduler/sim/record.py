"""What happened in a run, job by job and attempt by attempt: the raw material of ``measures``."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Guess:
    """What was said of a job's start when it was submitted: the estimate and its interval, in ms."""

    said_ms: int
    starts_ms: int
    low_ms: int
    high_ms: int


@dataclass(slots=True)
class Record:
    """``first_start`` and ``end`` by job number; attempts as columns: the job, from when until when, whether it was cut.

    ``end`` has the jobs that ended, of themselves or (those that cannot be restarted) by being stopped. ``guesses`` has
    the jobs that did not start in the pass of their submission and were given an estimate.
    """

    first_start: dict[int, int] = field(default_factory=dict)
    end: dict[int, int] = field(default_factory=dict)
    job: list[int] = field(default_factory=list)
    started_ms: list[int] = field(default_factory=list)
    ended_ms: list[int] = field(default_factory=list)
    cut: list[bool] = field(default_factory=list)
    flavor: list[str] = field(default_factory=list)
    guesses: dict[int, Guess] = field(default_factory=dict)
    at_once: int = 0  # started in the pass of their submission
    passes: int = 0
    stops: dict[str, int] = field(default_factory=dict)  # by cause
    warnings: dict[str, None] = field(default_factory=dict)

    def attempt(self, job_id: int, started_ms: int, ended_ms: int, flavor: str, *, cut: bool) -> None:
        self.job.append(job_id)
        self.started_ms.append(started_ms)
        self.ended_ms.append(ended_ms)
        self.cut.append(cut)
        self.flavor.append(flavor)
