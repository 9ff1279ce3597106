"""What waits and what runs, kept in memory between cycles, so that a cycle costs by what changed and not by the queue.

It follows the notes that every transaction leaves when it changes how a job waits or runs (``ports.Live``). Each look
reads in one transaction what notes there are and the jobs they name, so the mirror is as the database was at that
moment. Notes taken in are deleted later, with the leader's next write; one that was not is known by its number.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.accounts import Tree
from lifecycle.foresight import Foresight
from lifecycle.ground import Ground
from lifecycle.live import Waiting
from lifecycle.places import Places
from lifecycle.ports import Directory, UnitOfWork
from scheduler.live import Live, Running
from scheduler.policy import Policy
from scheduler.queue import Queue
from scheduler.snapshot import NodeState


@dataclass(slots=True)
class Mirror:
    """``taken`` numbers the notes that are taken in and not deleted yet. ``version`` counts what changed."""

    queue: Queue
    live: Live = field(default_factory=Live)
    names: dict[int, str] = field(default_factory=dict)
    recent: dict[int, tuple[int, ...]] = field(default_factory=dict)
    taken: frozenset[int] = frozenset()
    version: int = 0
    foresight: Foresight = field(default_factory=Foresight)
    _ground: Ground = field(default_factory=Ground)
    _places: Places = field(default_factory=Places)
    _indices: dict[int, list[int]] = field(default_factory=dict)  # job -> its live tasks
    _by_user: Counter[tuple[int, int]] = field(default_factory=Counter)  # (project, user) -> live attempts

    @classmethod
    def read(cls, uow: UnitOfWork, policy: Policy) -> "Mirror":
        """All of it, from scratch."""
        foresight = Foresight.of(uow.live.guesses())
        taken = frozenset(uow.live.changes())
        mirror = cls(Queue(policy), recent=uow.live.recent(), taken=taken, foresight=foresight)
        mirror._put_running(uow.live.running())
        mirror._places.renewed(uow.directory())
        mirror._put_waiting(uow.live.waiting(), uow.directory())
        for job_id in foresight.open.keys() - mirror.names.keys():
            foresight.left(job_id)
        return mirror

    def follow(self, uow: UnitOfWork, policy: Policy) -> None:
        """Come up to this transaction's moment, which must not be before that of the last look."""
        if policy != self.queue.policy:  # the order within lanes hangs on it
            self.queue = Queue.of(self.queue, policy)
            self.version += 1
        if self._places.renewed(uow.directory()):  # as rare: all that waits is asked anew where it may go
            self._put_waiting(uow.live.waiting(), uow.directory())
            self.version += 1
        notes = uow.live.changes()
        news = {job_id for note, job_id in notes.items() if note not in self.taken}
        self.taken = frozenset(notes)
        if news:
            self._renew(uow, sorted(news))

    def copy(self) -> "Mirror":
        """One that stays when this one changes."""
        return Mirror(
            self.queue.copy(), self.live.copy(), dict(self.names), dict(self.recent), self.taken, self.version,
            self.foresight.copy(), self._ground.copy(), _by_user=Counter(self._by_user),
        )  # fmt: skip

    def nodes(self, directory: Directory) -> tuple[NodeState, ...]:
        """Those that take jobs, with what is free of them."""
        return self._ground.states(directory, self.live)

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
        """Read these jobs anew."""
        self.recent |= uow.live.recent(job_ids)
        running = {run.key: run for run in uow.live.running(job_ids)}
        gone = [
            run
            for job_id in job_ids
            for index in self._indices.get(job_id, ())
            if running.get((run := self.live.attempts[job_id, index]).key) != run
        ]
        for run in gone:
            self._drop(run)
        self._put_running(run for run in running.values() if run.key not in self.live.attempts)
        waiting = uow.live.waiting(job_ids)
        still = {one.job.job_id for one in waiting}
        for job_id in job_ids:
            if job_id not in still and self.names.pop(job_id, None) is not None:
                self.queue.remove(job_id)
                self.foresight.left(job_id)
        self._put_waiting(waiting, uow.directory())
        self.version += 1

    def _put_waiting(self, found: Iterable[Waiting], directory: Directory) -> None:
        for one in found:
            job = self._places.put(one.job, one.needs, directory)
            job_id = job.job_id
            if job_id not in self.names:
                self.foresight.came(job_id)
            if self.queue.jobs.get(job_id) != job:
                self.queue.add(job)
            self.names[job_id] = one.name

    def _put_running(self, found: Iterable[Running]) -> None:
        for run in found:
            self._touch(run)
            self.live.add(run, self.recent.get(run.user_id, ()))
            self._indices.setdefault(run.job_id, []).append(run.index)
            self._by_user[run.project_id, run.user_id] += 1
            self.foresight.started(run.job_id, run.started_ms)

    def _touch(self, run: Running) -> None:
        self._ground.touched.update((run.cluster, placement.node) for placement in run.placements)

    def _drop(self, run: Running) -> None:
        self._touch(run)
        self.live.remove(*run.key)
        self._indices[run.job_id].remove(run.index)
        if not self._indices[run.job_id]:
            del self._indices[run.job_id]
        self._by_user[run.project_id, run.user_id] -= 1
        if not self._by_user[run.project_id, run.user_id]:
            del self._by_user[run.project_id, run.user_id]
