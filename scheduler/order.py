"""Whose turn it is: QoS tier, then the tenant's and the project's weighted usage, then first come, first served.

Usage counts a start's whole booking at once, so a burst of one project cannot outrun the accounting within a cycle.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from scheduler.queue import PendingJob
from scheduler.snapshot import State


@dataclass(slots=True)
class Turns:
    """Hands out pending jobs one by one; ``spend`` moves an account back, ``again`` offers the job's next task."""

    state: State
    usage: dict[int, int] = field(default_factory=dict)
    _queues: dict[tuple[int, int], deque[PendingJob]] = field(default_factory=dict)
    _heap: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, state: State) -> "Turns":
        turns = cls(state, dict(state.usage))
        for job in sorted(state.queue, key=lambda job: (job.submitted_ms, job.job_id)):
            tier = state.policy.tier(job.qos).rank
            turns._queues.setdefault((tier, job.project_id), deque()).append(job)
        for tier, project_id in turns._queues:
            turns._push(tier, project_id)
        return turns

    def __iter__(self) -> Iterator[PendingJob]:
        while self._heap:
            entry = heapq.heappop(self._heap)
            tier, project_id = -entry[0], entry[5]
            queue = self._queues[tier, project_id]
            if not queue:
                continue
            if entry != self._entry(tier, project_id):  # its tenant spent meanwhile: back to its new place
                self._push(tier, project_id)
                continue
            job = queue.popleft()
            yield job
            if queue:
                self._push(tier, project_id)

    def again(self, job: PendingJob) -> None:
        """Offer the job again, before the others of its project."""
        self._queues[self.state.policy.tier(job.qos).rank, job.project_id].appendleft(job)

    def spend(self, project_id: int, micro_su: int) -> None:
        for account in self.state.tree.path(project_id):
            self.usage[account] = self.usage.get(account, 0) + micro_su

    def share(self, account_id: int) -> int:
        """Decayed usage per weight, in micro-SU; smaller comes first."""
        return self.usage.get(account_id, 0) // self.state.tree.accounts[account_id].weight

    def tenant_share(self, project_id: int) -> int:
        tenant = self.state.tree.tenant_of(project_id)
        return 0 if tenant is None else self.share(tenant.id)

    def _entry(self, tier: int, project_id: int) -> tuple[int, int, int, int, int, int]:
        head = self._queues[tier, project_id][0]
        return (
            -tier,
            self.tenant_share(project_id),
            self.share(project_id),
            head.submitted_ms,
            head.job_id,
            project_id,
        )

    def _push(self, tier: int, project_id: int) -> None:
        heapq.heappush(self._heap, self._entry(tier, project_id))
