"""Step 3, plan: pending tasks → attempts in state ``dispatching``, each with its hold, its devices and its quota.

The planner decides on a snapshot; one transaction then commits. It checks the leader's epoch, quota, capacity and
budget again on fresh rows, and drops what no longer holds: the next cycle will see why. What is to make way is told to
stop in the same transaction.
"""

from dataclasses import dataclass, field, replace

from domain.ids import AttemptId
from domain.jobs import AttemptState, JobState, move
from domain.needs import needs_of
from domain.purses import Purse, split_hold
from domain.quantities import DAY_MS
from domain.records import Attempt, Job, Task
from domain.tariffs import Tariff, tariff_at, within
from lifecycle.fleet import takes_jobs
from lifecycle.gates import Gatekeeper, set_gates
from lifecycle.lookout import Lookout
from lifecycle.places import barred
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.preempt import preempt
from lifecycle.refresh import refresh
from quotas.ledger import hold
from quotas.rules import ChargingRules
from scheduler.outlook import Plan
from scheduler.snapshot import Start

# Notes of changes that were taken in are deleted, and guesses written down, with the next start, or when there are so many.
NOTES_KEPT = 1_000

BUNDLE_MOST = 500  # tasks of one: what a cluster must keep and send of it stays small

# An attempt may begin so long after its commitment and still find the dated rates of its time.
_LATE_START_MS = DAY_MS


def schedule(lookout: Lookout, epoch: int, now_ms: int) -> int:
    """Plan once and commit what may start or must stop. Answers how many attempts that were."""
    decision = lookout.decide(epoch, now_ms)
    answer = decision.plan
    if not answer.starts and not answer.stops and len(decision.notes) < NOTES_KEPT:
        return 0
    with lookout.store.write() as uow:
        uow.leader.check(epoch)
        uow.live.forget(decision.notes)
        uow.live.keep_guesses(decision.guesses)
        moved = commit(uow, answer, epoch, now_ms)
    lookout.saved(decision)
    return moved


def commit(uow: UnitOfWork, answer: Plan, epoch: int, now_ms: int) -> int:
    """Turn starts into attempts, job by job, in the plan's order; and tell those to stop that make way."""
    directory = uow.directory()
    held = directory.tree.with_totals(uow.accounts.held())
    batch = _Batch(uow, epoch, now_ms, directory, held, Gatekeeper(uow, now_ms))
    by_job: dict[int, list[Start]] = {}
    for start in answer.starts:
        by_job.setdefault(start.job_id, []).append(start)
    stopping = {stop.job_id for stop in answer.stops}
    jobs = uow.jobs.many(sorted(by_job.keys() | stopping), lock=True)
    batch.tasks = {(task.job_id, task.index): task for task in uow.jobs.live_tasks(list(by_job))}
    batch.purses = uow.ledger.purses({job.project_id for job in jobs.values() if job.id in by_job}, now_ms)
    for job_id, starts in by_job.items():
        if job_id in jobs:
            batch.commit_job(jobs[job_id], starts)
    started = batch.write(batch.directory.policy_at(now_ms).half_life_ms)
    return started + preempt(uow, answer.stops, now_ms)


@dataclass(slots=True)
class _Batch:
    """One committing transaction: what it has read afresh, and what it gathers to write at once."""

    uow: UnitOfWork
    epoch: int
    now_ms: int
    directory: Directory
    held: dict[tuple[int, str], int]
    gates: Gatekeeper
    tasks: dict[tuple[int, int], Task] = field(default_factory=dict)
    purses: dict[int, list[Purse]] = field(default_factory=dict)
    spent: dict[tuple[int, int], int] = field(default_factory=dict)  # (allocation, grant) -> held in this batch
    attempts: list[Attempt] = field(default_factory=list)
    moved: list[Task] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    users: dict[int, int] = field(default_factory=dict)  # job -> whose it is

    @property
    def rules(self) -> ChargingRules:
        return self.directory.charging_at(self.now_ms)

    def commit_job(self, job: Job, starts: list[Start]) -> None:
        """Commit as many of the job's starts as still hold. Fresh tasks are touched in order, without a gap."""
        if job.is_held or job.cancelled or job.gate or job.state.final:
            return
        if names := self.gates.names(job.project_id, job.user_id):  # closed since it was planned
            set_gates(self.uow, [job], names, self.now_ms)
            return
        away = barred(self.directory, needs_of(job.spec))
        starts = [start for start in starts if start.cluster not in away]  # set up otherwise since it was planned
        next_index, moved, before = job.next_index, len(self.moved), len(self.attempts)
        for start in starts:
            fresh = start.index >= next_index
            task = Task(job.id, start.index, JobState.PENDING) if fresh else self.tasks.get((job.id, start.index))
            if task is None or task.state is not JobState.PENDING:
                continue
            attempt = None if fresh and start.index != next_index else self._attempt(job, start, task)
            if attempt is None:
                break
            self.attempts.append(attempt)
            self.moved.append(replace(task, state=move(task.state, JobState.STARTING), attempts=task.attempts + 1))
            if fresh:
                next_index = start.index + job.indices().step
        if job.is_array and job.spec.resources.nodes == 1:
            self.attempts[before:] = self._bundled(self.attempts[before:])
        if len(self.moved) > moved:
            self.jobs.append(replace(job, next_index=next_index))
            self.users[job.id] = job.user_id

    def _bundled(self, attempts: list[Attempt]) -> list[Attempt]:
        """Tasks of one array that start together where they may be one object, marked as what they are."""
        groups: dict[tuple[str, str], list[Attempt]] = {}
        for attempt in attempts:
            if self.directory.clusters[attempt.cluster].config is not None:  # far away, a request each would cost much
                groups.setdefault((attempt.cluster, attempt.flavor), []).append(attempt)
        named: dict[AttemptId, str] = {}
        for group in groups.values():
            group.sort(key=lambda attempt: attempt.id.index or 0)
            for at in range(0, len(group), BUNDLE_MOST):
                bundle = group[at : at + BUNDLE_MOST]
                if len(bundle) > 1:
                    named |= {attempt.id: str(bundle[0].id) for attempt in bundle}
        return [replace(attempt, bundle=named.get(attempt.id)) for attempt in attempts]

    def write(self, half_life_ms: int) -> int:
        """Write the batch. Node and device rows refuse on their own what is not free."""
        if not self.attempts:
            return 0
        attempts = self.uow.attempts.add(self.attempts)
        self.uow.fleet.take(attempts)
        holding: dict[tuple[int, str], int] = {}
        spending: dict[int, int] = {}
        users: dict[tuple[int, int], int] = {}
        for attempt in attempts:
            user = (attempt.project_id, self.users[attempt.id.job])
            users[user] = users.get(user, 0) + attempt.hold
            for account in self.directory.tree.path(attempt.project_id):
                key = (account, attempt.flavor)
                holding[key] = holding.get(key, 0) + attempt.milli
                spending[account] = spending.get(account, 0) + attempt.hold
        self.uow.accounts.hold(holding)
        self.uow.accounts.spend(spending, users, self.now_ms, half_life_ms)
        postings = [hold(str(attempt.id), attempt.parts, self.now_ms) for attempt in attempts]
        self.uow.ledger.post(postings, {str(attempt.id): attempt.row for attempt in attempts})
        self.uow.jobs.put_tasks(self.moved)
        refresh(self.uow, self.jobs, self.now_ms, tasks=self.moved)
        return len(attempts)

    def _attempt(self, job: Job, start: Start, task: Task) -> Attempt | None:
        """The attempt to be, if quota and budget still allow it, and its nodes still take jobs."""
        if not takes_jobs(self.directory, start.cluster, [placement.node for placement in start.placements]):
            return None
        tariff = self._tariff(job, start)
        if tariff is None or self.directory.tree.shortfall(self.held, job.project_id, start.flavor, start.milli):
            return None
        purses = self._purses(job.project_id)
        parts = split_hold(start.hold, purses, start.flavor, job.spec.constraint.classification)
        if parts is None:
            return None
        for key in self.directory.tree.counted(job.project_id, start.flavor):
            self.held[key] = self.held.get(key, 0) + start.milli
        for part in parts:
            purse = (part.allocation_id, part.grant_id)
            self.spent[purse] = self.spent.get(purse, 0) + part.micro_su
        resources = job.spec.resources
        return Attempt(
            row=0,
            id=AttemptId(job.id, start.index if job.is_array else None, task.attempts + 1),
            project_id=job.project_id,
            cluster=start.cluster,
            flavor=start.flavor,
            placements=start.placements,
            state=AttemptState.DISPATCHING,
            epoch=self.epoch,
            milli=start.milli,
            cpus=resources.cpus,
            memory_bytes=resources.memory_bytes,
            micro_su_per_hour=tariff.micro_su_per_hour,
            factor=self.rules.factor(job.spec.qos),
            later_rates=tariff.later,
            parts=parts,
            hold=start.hold,
            created_ms=self.now_ms,
            window=start.window,
        )

    def _tariff(self, job: Job, start: Start) -> Tariff | None:
        """What the attempt will pay; None if there is no rate, or the plan set aside another sum than that comes to."""
        rates, walltime_ms = self.directory.rates.get(start.flavor, ()), job.spec.resources.walltime_ms
        tariff = tariff_at(rates, self.now_ms, self.rules.factor(job.spec.qos))
        if tariff is None or tariff.booking(start.milli, self.now_ms, walltime_ms) != start.hold:
            return None
        return within(tariff, self.now_ms + walltime_ms + _LATE_START_MS)

    def _purses(self, project_id: int) -> list[Purse]:
        """The project's purses less what this batch, not posted yet, already holds of them."""
        return [
            replace(purse, available=purse.available - self.spent.get((purse.allocation_id, purse.grant_id), 0))
            for purse in self.purses.get(project_id, ())
        ]
