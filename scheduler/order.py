"""Whose turn it is: the account tree walked from its root to the account, user and lane that is served least.

At every level the child comes first that would have the least decayed usage per weight once its next job has run, as
long as it is expected to (Slurm's Fair Tree, with the head job counted in as in progressive filling): light jobs of
light users go first. What the plan gives or books is added at once for the whole walltime, so a burst of one account
cannot outrun the accounting. Within a user the lane whose first job has waited longest, counting its priority and size.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from domain.accounts import Tree
from scheduler.queue import Lane, Line, PendingJob

Key: TypeAlias = tuple[int, int]
Cost: TypeAlias = Callable[[Line, Lane], int]  # of the next task of a lane, as expected, in micro-SU
Share: TypeAlias = dict[int | tuple[int, int], int]  # usage in micro-SU by account, and by (project, user)


@dataclass(slots=True, eq=False)
class Front:
    """How far this plan got in a lane: the job it is at, and how many of that job's tasks are dealt with."""

    line: Line
    lane: Lane
    path: tuple[int, ...]
    at: int = 0
    nth: int = 0
    waits: bool = False  # nothing more of it starts in this plan

    @property
    def job(self) -> PendingJob:
        return self.lane.jobs[self.at]

    @property
    def key(self) -> Key:
        return self.lane.order[self.at], self.lane.ids[self.at]

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
    """An account or a user. ``heap`` orders what is below; ``head`` is the key of its first job, ``cost`` what that costs.

    A user's ``lines`` are looked at when its turn comes for the first time.
    """

    id: int | tuple[int, int]
    number: int
    weight: int
    head: Key = (0, 0)
    cost: int = 0
    heap: list[tuple[int, Key, int, "_Branch | Front"]] = field(default_factory=list)
    children: list["_Branch"] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


Expand: TypeAlias = Callable[[Line], list[Front]]
By: TypeAlias = Callable[[Front], Key]


def by_key(front: Front) -> Key:
    """In the order of the lane: priority and size count."""
    return front.key


def by_age(front: Front) -> Key:
    """Oldest first, whatever its user says of it."""
    return front.lane.submitted[front.at], front.lane.ids[front.at]


@dataclass(slots=True)
class Turns:
    """Hands out fronts in turn. After each, ``done`` says what was spent and whether the front is through."""

    usage: Share
    expand: Expand
    cost: Cost
    root: _Branch
    by: By = by_key
    _trail: list[_Branch] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        heads: Iterable[tuple[Line, Key, Lane]],
        tree: Tree,
        usage: Share,
        expand: Expand,
        cost: Cost,
        *,
        fair: bool,
        by: By = by_key,
    ) -> "Turns":
        """``heads``: lines, each with the key and the lane of its first job that is to be served; ``expand`` gives the
        fronts of a line.

        ``fair`` False ignores accounts, users and costs: one line for all. ``by`` orders fronts, and is what the keys
        of ``heads`` are.
        """
        turns = cls(usage, expand, cost if fair else _nothing, _Branch(0, 0, 1), by)
        accounts: dict[int, _Branch] = {}
        users: dict[tuple[int, int], _Branch] = {}
        for number, (line, head, lane) in enumerate(heads):
            user = (line.project_id, line.user_id) if fair else (-1, number)
            branch = users.get(user)
            if branch is None:
                branch = users[user] = _Branch(user, user[1], 1, head, turns.cost(line, lane))
                above = _account(line.project_id, tree, accounts, turns.root) if fair else turns.root
                above.children.append(branch)
            elif head < branch.head:
                branch.head, branch.cost = head, turns.cost(line, lane)
            branch.lines.append(line)
        turns._build(turns.root)
        return turns

    def next(self) -> Front | None:
        """The front whose turn it is; None when all are through."""
        while self.root.heap:
            self._trail.clear()
            branch: _Branch | Front = self.root
            while isinstance(branch, _Branch):
                if branch.lines:
                    self._open(branch)
                    if branch.heap and branch.heap[0][1] != branch.head:  # its first jobs are through: a later turn
                        self._look(branch)
                        self._settle(branch, gone=False)
                        self._trail.clear()
                        branch = self.root
                        continue
                if not branch.heap:
                    break
                self._trail.append(branch)
                branch = branch.heap[0][3]
            if isinstance(branch, Front):
                return branch
            self._settle(branch, gone=True)
        return None

    def done(self, front: Front, micro_su: int, *, through: bool) -> None:
        """The front was served to the amount of ``micro_su``. ``through``: it is not to come again."""
        if micro_su:
            usage, line = self.usage, front.line
            for account in front.path:
                usage[account] = usage.get(account, 0) + micro_su
            user = (line.project_id, line.user_id)
            usage[user] = usage.get(user, 0) + micro_su
        self._settle(front, gone=through or front.spent)

    def _settle(self, child: "_Branch | Front", *, gone: bool) -> None:
        """Put everything on the way down to the child back into its place."""
        for branch in reversed(self._trail):
            if gone:
                heapq.heappop(branch.heap)
            elif isinstance(child, Front):
                heapq.heapreplace(branch.heap, self._turn(child))
            else:
                heapq.heapreplace(branch.heap, self._entry(child))
            gone = not branch.heap
            if not gone:
                self._look(branch)
            child = branch

    def _entry(self, child: _Branch) -> tuple[int, Key, int, _Branch | Front]:
        return (self.usage.get(child.id, 0) + child.cost) // child.weight, child.head, child.number, child

    def _turn(self, front: Front) -> tuple[int, Key, int, _Branch | Front]:
        key = self.by(front)
        return 0, key, key[1], front

    def _open(self, user: _Branch) -> None:
        user.heap = [self._turn(front) for line in user.lines for front in self.expand(line)]
        heapq.heapify(user.heap)
        user.lines = []

    def _build(self, branch: _Branch) -> None:
        """Order what is below an account, down to its users."""
        for child in branch.children:
            if child.children:
                self._build(child)
        branch.heap = [self._entry(child) for child in branch.children]
        heapq.heapify(branch.heap)
        if branch.heap:
            self._look(branch)

    def _look(self, branch: _Branch) -> None:
        """Take the head and its cost from what is first below."""
        _, branch.head, _, first = branch.heap[0]
        branch.cost = first.cost if isinstance(first, _Branch) else self.cost(first.line, first.lane)


def _nothing(line: Line, lane: Lane) -> int:
    del line, lane
    return 0


def _account(number: int, tree: Tree, known: dict[int, _Branch], root: _Branch) -> _Branch:
    """The branch of an account, made with all above it where they are not known."""
    branch = known.get(number)
    if branch is None:
        account = tree.accounts[number]
        branch = known[number] = _Branch(number, number, account.weight)
        above = root if account.parent_id is None else _account(account.parent_id, tree, known, root)
        above.children.append(branch)
    return branch
