"""Whose turn it is: the account tree walked from its root to the account, user and lane that is served least.

At every level the child with the least decayed usage per weight comes first (the idea of Slurm's Fair Tree); what the
plan gives or books is added at once, so a burst of one account cannot outrun the accounting. Within a user the lane
whose first job has waited longest, counting its priority and size.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.accounts import Tree
from scheduler.queue import Lane, PendingJob

Key = tuple[int, int]
Share = dict[int | tuple[int, int], int]  # usage in micro-SU by account, and by (project, user)


@dataclass(slots=True, eq=False)
class Front:
    """How far this plan got in a lane: the job it is at, and how many of that job's tasks are dealt with."""

    lane: Lane
    path: tuple[int, ...]
    at: int = 0
    nth: int = 0
    waits: bool = False  # for capacity, without a booking: nothing of it starts in this plan

    @property
    def job(self) -> PendingJob:
        return self.lane.jobs[self.at]

    @property
    def key(self) -> Key:
        return self.lane.keys[self.at]

    @property
    def spent(self) -> bool:
        return self.at >= len(self.lane.jobs)

    def next_task(self) -> None:
        self.nth += 1
        if self.nth >= len(self.job):
            self.next_job()

    def next_job(self) -> None:
        self.at += 1
        self.nth = 0


@dataclass(slots=True, eq=False)
class _Branch:
    """An account or a user with the lanes below it. ``heap`` orders the children; ``head`` is its next job's key."""

    id: int | tuple[int, int]
    weight: int
    heap: list[tuple[int, Key, int, "_Branch | Front"]] = field(default_factory=list)
    head: Key = (0, 0)
    children: dict[int | tuple[int, int], "_Branch"] = field(default_factory=dict)
    fronts: list[Front] = field(default_factory=list)


@dataclass(slots=True)
class Turns:
    """Hands out fronts in turn. After each, ``done`` says what was spent and whether the front is through."""

    tree: Tree
    usage: Share
    root: _Branch
    _trail: list[_Branch] = field(default_factory=list)

    @classmethod
    def of(cls, fronts: Iterable[Front], tree: Tree, usage: Share, *, fair: bool) -> "Turns":
        """``fair`` False ignores accounts and users: one line for all, by key."""
        root = _Branch(0, 1)
        for front in fronts:
            branch = root
            if fair:
                lane = front.lane
                for account in reversed(front.path):
                    branch = _child(branch, account, tree.accounts[account].weight)
                branch = _child(branch, (lane.project_id, lane.user_id), 1)
            branch.fronts.append(front)
        turns = cls(tree, usage, root)
        turns._build(root)
        return turns

    def next(self) -> Front | None:
        """The front whose turn it is; None when all are through."""
        if not self.root.heap:
            return None
        self._trail.clear()
        branch: _Branch | Front = self.root
        while isinstance(branch, _Branch):
            self._trail.append(branch)
            branch = branch.heap[0][3]
        return branch

    def done(self, front: Front, micro_su: int, *, through: bool) -> None:
        """The front was served to the amount of ``micro_su``. ``through``: it is not to come again."""
        if micro_su:
            for account in front.path:
                self.usage[account] = self.usage.get(account, 0) + micro_su
            user = (front.lane.project_id, front.lane.user_id)
            self.usage[user] = self.usage.get(user, 0) + micro_su
        child: _Branch | Front = front
        gone = through or front.spent
        for branch in reversed(self._trail):
            if gone:
                heapq.heappop(branch.heap)
            else:
                heapq.heapreplace(branch.heap, self._entry(child))
            gone = not branch.heap
            if not gone:
                branch.head = branch.heap[0][1]
            child = branch

    def _entry(self, child: "_Branch | Front") -> tuple[int, Key, int, "_Branch | Front"]:
        if isinstance(child, Front):
            key = child.key
            return 0, key, key[1], child
        number = child.id if isinstance(child.id, int) else child.id[1]
        return self.usage.get(child.id, 0) // child.weight, child.head, number, child

    def _build(self, branch: _Branch) -> None:
        for child in branch.children.values():
            self._build(child)
        below: list[_Branch | Front] = [*branch.children.values(), *branch.fronts]
        branch.heap = [self._entry(child) for child in below]
        heapq.heapify(branch.heap)
        if branch.heap:
            branch.head = branch.heap[0][1]


def _child(branch: _Branch, number: int | tuple[int, int], weight: int) -> _Branch:
    child = branch.children.get(number)
    if child is None:
        child = branch.children[number] = _Branch(number, weight)
    return child
