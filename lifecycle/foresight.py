"""What was foretold to waiting jobs, and what came of it: the estimates' interval is learnt from both.

A job is foretold its wait once, by the first plan in which it stays. The leader keeps that in mind and writes it down with
its next write, so that it is known over a restart; one that starts, or goes away, settles it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.calibrate import Learner
from scheduler.outlook import Outlook
from scheduler.predict import Calibration


@dataclass(frozen=True, slots=True)
class Guess:
    """At ``said_ms`` a job was foretold to wait for ``wait_ms``. ``waited_ms`` is known once it has started."""

    job_id: int
    said_ms: int
    wait_ms: int
    waited_ms: int | None = None


@dataclass(slots=True)
class Foresight:
    """``open`` are guesses of jobs that wait. ``unsaved`` by job: what to write down; None is to be deleted."""

    open: dict[int, Guess] = field(default_factory=dict)
    unsaved: dict[int, Guess | None] = field(default_factory=dict)
    _learner: Learner = field(default_factory=Learner)
    _asking: set[int] = field(default_factory=set)  # jobs that came since the last plan

    @classmethod
    def of(cls, guesses: Iterable[Guess]) -> "Foresight":
        """From what was written down, in the order in which it was learnt."""
        foresight = cls()
        for guess in guesses:
            if guess.waited_ms is None:
                foresight.open[guess.job_id] = guess
            else:
                foresight._learner.observe(guess.wait_ms, guess.waited_ms)
        return foresight

    def copy(self) -> "Foresight":
        """For readers: what was learnt so far, and nothing to learn from."""
        return Foresight(_learner=Learner(calibration=self.calibration))

    @property
    def calibration(self) -> Calibration:
        return self._learner.calibration

    def came(self, job_id: int) -> None:
        if job_id not in self.open:
            self._asking.add(job_id)

    def foretell(self, outlook: Outlook) -> None:
        """Take the waits of those that came from the plan. Who started at once or has no estimate is foretold nothing."""
        for job_id, wait_ms in outlook.waits(sorted(self._asking)).items():
            self.open[job_id] = self.unsaved[job_id] = Guess(job_id, outlook.now_ms, wait_ms)
        self._asking.clear()

    def started(self, job_id: int, at_ms: int) -> None:
        guess = self.open.pop(job_id, None)
        if guess is not None:
            waited_ms = max(0, at_ms - guess.said_ms)
            self._learner.observe(guess.wait_ms, waited_ms)
            self.unsaved[job_id] = Guess(job_id, guess.said_ms, guess.wait_ms, waited_ms)

    def left(self, job_id: int) -> None:
        """It waits no more, and did not start."""
        self._asking.discard(job_id)
        if self.open.pop(job_id, None) is not None:
            self.unsaved[job_id] = None

    def saved(self, written: Mapping[int, Guess | None]) -> None:
        """These were written down; what was learnt since was not."""
        self.unsaved = {
            job: guess for job, guess in self.unsaved.items() if job not in written or written[job] != guess
        }
