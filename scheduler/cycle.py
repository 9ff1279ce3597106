"""The planner's one function. FIFO within fair share, within quotas, limits and budgets.

A job that is blocked for want of capacity closes its flavors to all that rank behind it in this cycle, so wide jobs
are not starved by narrow ones.
"""

from dataclasses import dataclass, field, replace

from domain.money import booking
from scheduler import explain
from scheduler.fit import Room, amount, ever_fits
from scheduler.order import Turns
from scheduler.outlook import Outlook, Plan
from scheduler.queue import PendingJob
from scheduler.snapshot import Ranked, Reason, Start, State


def plan(state: State, now_ms: int) -> Plan:
    """What to start now, and why the rest waits. The same state and time give the same plan.

    1. Take free capacity, holdings and budgets as a working copy.
    2. Offer the pending jobs in order: QoS tier, fair share, first come.
    3. Start each task that passes accounts, limits, budget, quotas and fits; each start takes from the working copy.
    4. Give a job that stays one reason, and let it close its flavors if it waits for capacity.
    """
    del now_ms  # the simple planner looks at the present alone
    work = _Work.of(state)
    turns = Turns.of(state)
    for job in turns:
        if job.job_id not in work.ranks:
            work.ranks[job.job_id] = Ranked(
                job.job_id, len(work.ranks) + 1, turns.tenant_share(job.project_id), None, None
            )
        outcome = work.try_start(job)
        if isinstance(outcome, Reason):
            work.reasons[job.job_id] = outcome
            continue
        work.starts.append(outcome)
        turns.spend(job.project_id, outcome.hold)
        if work.started[job.job_id] < len(job):
            turns.again(job)
    lines = {job_id: replace(line, reason=work.reasons.get(job_id)) for job_id, line in work.ranks.items()}
    waiting = {job_id: line for job_id, line in lines.items() if line.reason is not None}
    return Plan(tuple(work.starts), outlook=Outlook(waiting))


@dataclass(slots=True)
class _Work:
    """The working copy of one cycle."""

    state: State
    room: Room
    held: dict[tuple[int, str], int]
    available: dict[int, int]
    running: dict[int, int]
    closed: dict[str, int] = field(default_factory=dict)  # flavor -> the job that is first in line for it
    started: dict[int, int] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    ranks: dict[int, Ranked] = field(default_factory=dict)
    reasons: dict[int, Reason] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State) -> "_Work":
        return cls(state, Room.of(state.nodes), dict(state.held), dict(state.available), dict(state.running))

    def try_start(self, job: PendingJob) -> Start | Reason:
        nth = self.started.get(job.job_id, 0)
        if reason := self._barred(job, nth):
            return reason
        reasons: dict[str, Reason] = {}
        for flavor in job.resources.flavors:
            outcome = self._try_flavor(job, flavor, job.index(nth))
            if isinstance(outcome, Start):
                self._take(job, outcome)
                return outcome
            reasons[flavor] = outcome
        for flavor, reason in reasons.items():
            if reason.code == "capacity":
                self.closed[flavor] = job.job_id
        return next((reason for reason in reasons.values() if reason.code == "capacity"), next(iter(reasons.values())))

    def _barred(self, job: PendingJob, nth: int) -> Reason | None:
        """Reasons that hold for every flavor."""
        if job.parallel_left is not None and nth >= job.parallel_left:
            return explain.array_limit(job)
        if job.project_id not in self.available:
            return explain.no_allocation(self.state.tree.accounts[job.project_id])
        for account_id in self.state.tree.path(job.project_id):
            account = self.state.tree.accounts[account_id]
            if not self.state.tree.active(account_id):
                return explain.inactive(account)
            limit = account.limits.running_jobs
            if limit is not None and self.running.get(account_id, 0) >= limit:
                return explain.running_limit(account, self.running.get(account_id, 0))
        return None

    def _try_flavor(self, job: PendingJob, flavor: str, index: int) -> Start | Reason:
        known = self.state.flavors.get(flavor)
        if known is None or known.micro_su_per_hour is None:
            return explain.no_rate(flavor)
        milli = amount(job.resources, flavor, known.milli)
        hold = booking(milli, job.resources.walltime_ms, known.micro_su_per_hour)
        if hold > self.available.get(job.project_id, 0):
            return explain.budget(hold, self.available.get(job.project_id, 0), job.resources.walltime_ms)
        if short := self.state.tree.shortfall(self.held, job.project_id, flavor, milli):
            return explain.quota(self.state.tree.accounts[short.account_id], flavor, milli, known.milli, short)
        if flavor in self.closed:
            return explain.priority(self.closed[flavor])
        placed = self.room.place(job.resources, flavor)
        if placed is not None:
            return Start(job.job_id, index, job.project_id, placed[0], flavor, placed[1], milli, hold)
        if not ever_fits(self.state.nodes, job.resources, flavor):
            return explain.never_fits(job.resources)
        return explain.capacity(self.room, job.resources)

    def _take(self, job: PendingJob, start: Start) -> None:
        self.started[job.job_id] = self.started.get(job.job_id, 0) + 1
        self.available[job.project_id] -= start.hold
        for account in self.state.tree.path(job.project_id):
            self.held[account, start.flavor] = self.held.get((account, start.flavor), 0) + start.milli
            self.running[account] = self.running.get(account, 0) + 1
