"""Step 3, plan: pending tasks → attempts in state ``dispatching``, each with its hold, its devices and its quota.

The planner decides on a snapshot; one transaction then commits. It checks the leader's epoch, quota, capacity and
budget again on fresh rows, and drops what no longer holds: the next cycle will see why.
"""

from dataclasses import dataclass, field, replace

from domain.ids import AttemptId
from domain.jobs import AttemptState, JobState, move
from domain.money import Transaction
from domain.records import Attempt, Job, Task
from lifecycle.ports import Directory, Store, UnitOfWork
from lifecycle.refresh import refresh
from lifecycle.snapshot import snapshot
from quotas.ledger import Purse, hold, split_hold
from quotas.tariffs import rate_at
from scheduler.cycle import plan
from scheduler.snapshot import Plan, Policy, Start


def schedule(store: Store, epoch: int, policy: Policy, now_ms: int) -> int:
    """Plan once and commit what may start. Answers how many attempts were committed."""
    with store.read() as uow:
        state = snapshot(uow, policy, now_ms)
    if not state.pending:
        return 0
    answer = plan(state, now_ms)
    if not answer.starts:
        return 0
    with store.write() as uow:
        uow.leader.check(epoch)
        return commit(uow, answer, epoch, policy, now_ms)


def commit(uow: UnitOfWork, answer: Plan, epoch: int, policy: Policy, now_ms: int) -> int:
    """Turn starts into attempts, job by job, in the plan's order."""
    batch = _Batch(uow, epoch, policy, now_ms, uow.directory(), uow.accounts.held())
    by_job: dict[int, list[Start]] = {}
    for start in answer.starts:
        by_job.setdefault(start.job_id, []).append(start)
    jobs = uow.jobs.many(list(by_job))
    for job_id, starts in by_job.items():
        if job_id in jobs:
            batch.commit_job(jobs[job_id], starts)
    uow.ledger.post(batch.transactions, batch.rows)
    return len(batch.rows)


@dataclass(slots=True)
class _Batch:
    """One committing transaction: what it has read afresh, and the postings it gathers."""

    uow: UnitOfWork
    epoch: int
    policy: Policy
    now_ms: int
    directory: Directory
    held: dict[tuple[int, str], int]
    transactions: list[Transaction] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    purses: dict[int, list[Purse]] = field(default_factory=dict)
    spent: dict[tuple[int, int], int] = field(default_factory=dict)  # (allocation, grant) -> held in this batch

    def commit_job(self, job: Job, starts: list[Start]) -> None:
        if job.held or job.cancelled or job.state.final:
            return
        tasks: list[Task] = []
        next_index = job.next_index
        for start in starts:
            fresh = start.index >= next_index
            task = None if fresh else self.uow.jobs.task(job.id, start.index)
            if not fresh and (task is None or task.state is not JobState.PENDING):
                continue
            if (fresh and start.index != next_index) or not self._start(job, start, task):
                break
            old = task or Task(job.id, start.index, JobState.PENDING)
            tasks.append(
                Task(job.id, start.index, move(old.state, JobState.STARTING), old.attempts + 1, old.started_ms)
            )
            if fresh:
                next_index = start.index + job.indices().step
        if tasks:
            self.uow.jobs.put_tasks(tasks)
            refresh(self.uow, replace(job, next_index=next_index), self.now_ms)

    def _start(self, job: Job, start: Start, task: Task | None) -> bool:
        """Commit one attempt if quota and budget still allow it; node and device rows refuse on their own."""
        path = self.directory.tree.path(job.project_id)
        if self.directory.tree.shortfall(self.held, job.project_id, start.flavor, start.milli):
            return False
        parts = split_hold(start.hold, self._purses(job.project_id))
        rate = rate_at(self.directory.rates.get(start.flavor, ()), self.now_ms)
        if parts is None or rate is None:
            return False
        resources = job.spec.resources
        number = 1 if task is None else task.attempts + 1
        attempt = self.uow.attempts.add(
            Attempt(
                row=0,
                id=AttemptId(job.id, start.index if job.is_array else None, number),
                project_id=job.project_id,
                cluster=start.cluster,
                flavor=start.flavor,
                placements=start.placements,
                state=AttemptState.DISPATCHING,
                epoch=self.epoch,
                milli=start.milli,
                cpus=resources.cpus,
                memory_bytes=resources.memory_bytes,
                micro_su_per_hour=rate,
                parts=parts,
                hold=start.hold,
                created_ms=self.now_ms,
            )
        )
        self.uow.fleet.take(attempt)
        self.uow.accounts.hold(path, start.flavor, start.milli)
        self.uow.accounts.spend(path, start.hold, self.now_ms, self.policy.half_life_ms)
        for account in path:
            self.held[account, start.flavor] = self.held.get((account, start.flavor), 0) + start.milli
        for part in parts:
            purse = (part.allocation_id, part.grant_id)
            self.spent[purse] = self.spent.get(purse, 0) + part.micro_su
        self.transactions.append(hold(str(attempt.id), parts, self.now_ms))
        self.rows[str(attempt.id)] = attempt.row
        return True

    def _purses(self, project_id: int) -> list[Purse]:
        """The project's purses less what this batch, not posted yet, already holds of them."""
        if project_id not in self.purses:
            self.purses[project_id] = self.uow.ledger.purses(project_id, self.now_ms)
        return [
            replace(purse, available=purse.available - self.spent.get((purse.allocation_id, purse.grant_id), 0))
            for purse in self.purses[project_id]
        ]
