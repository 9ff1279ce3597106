"""What waits and what runs, kept in memory between cycles, so that a cycle costs by what changed and not by the queue.

It follows the notes that every transaction leaves when it changes how a job waits or runs (``ports.Live``). Each look
reads in one transaction what notes there are and the jobs they name, so the mirror is as the database was at that
moment. Notes taken in are deleted later, with the leader's next write; one that was not is known by its number.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.accounts import Tree
from lifecycle.ports import UnitOfWork, Waiting
from scheduler.policy import Policy
from scheduler.queue import Queue
from scheduler.snapshot import Running


@dataclass(slots=True)
class Mirror:
    """``taken`` numbers the notes that are taken in and not deleted yet. ``version`` counts what changed."""

    queue: Queue
    names: dict[int, str] = field(default_factory=dict)
    runs: dict[int, tuple[Running, ...]] = field(default_factory=dict)
    recent: dict[int, tuple[int, ...]] = field(default_factory=dict)
    taken: frozenset[int] = frozenset()
    version: int = 0
    _by_user: Counter[tuple[int, int]] = field(default_factory=Counter)  # (project, user) -> live attempts
    _live: tuple[Running, ...] | None = None

    @classmethod
    def read(cls, uow: UnitOfWork, policy: Policy) -> "Mirror":
        """All of it, from scratch."""
        mirror = cls(Queue(policy), recent=uow.live.recent(), taken=frozenset(uow.live.changes()))
        mirror._put_waiting(uow.live.waiting())
        mirror._put_running(uow.live.running())
        return mirror

    def follow(self, uow: UnitOfWork, policy: Policy) -> None:
        """Come up to this transaction's moment, which must not be before that of the last look."""
        if policy != self.queue.policy:  # the order within lanes hangs on it
            self.queue = Queue.of(self.queue, policy)
            self.version += 1
        notes = uow.live.changes()
        news = {job_id for note, job_id in notes.items() if note not in self.taken}
        self.taken = frozenset(notes)
        if news:
            self._renew(uow, sorted(news))

    def copy(self) -> "Mirror":
        """One that does not change when this one does."""
        return Mirror(
            self.queue.copy(), dict(self.names), dict(self.runs), dict(self.recent), self.taken, self.version,
            Counter(self._by_user), self._live,
        )  # fmt: skip

    def live(self) -> tuple[Running, ...]:
        """In order of job and index."""
        if self._live is None:
            self._live = tuple(run for _, runs in sorted(self.runs.items()) for run in runs)
        return self._live

    def running(self, tree: Tree) -> tuple[dict[int, int], dict[tuple[int, int], int]]:
        """How many attempts are live: by account, and by (account, user); both with all that is below."""
        accounts: Counter[int] = Counter()
        users: Counter[tuple[int, int]] = Counter()
        for (project_id, user_id), count in self._by_user.items():
            for account in tree.path(project_id):
                accounts[account] += count
                users[account, user_id] += count
        return dict(accounts), dict(users)

    def _renew(self, uow: UnitOfWork, job_ids: Sequence[int]) -> None:
        """Forget these jobs and read them anew."""
        waiting, running = uow.live.waiting(job_ids), uow.live.running(job_ids)
        still = {one.job.job_id for one in waiting}
        for job_id in job_ids:
            if job_id not in still and self.names.pop(job_id, None) is not None:
                self.queue.remove(job_id)
            for run in self.runs.pop(job_id, ()):
                self._count(run, -1)
        self._put_waiting(waiting)
        self._put_running(running)
        self.recent |= uow.live.recent(job_ids)
        self.version += 1

    def _put_waiting(self, found: Iterable[Waiting]) -> None:
        for one in found:
            if self.queue.jobs.get(one.job.job_id) != one.job:
                self.queue.add(one.job)
            self.names[one.job.job_id] = one.name

    def _put_running(self, found: Iterable[Running]) -> None:
        self._live = None
        for run in found:
            self.runs[run.job_id] = (*self.runs.get(run.job_id, ()), run)
            self._count(run, 1)

    def _count(self, run: Running, more: int) -> None:
        key = (run.project_id, run.user_id)
        self._by_user[key] += more
        if not self._by_user[key]:
            del self._by_user[key]
