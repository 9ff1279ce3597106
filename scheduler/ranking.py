"""Rank, reason and estimated start of everything that waits, for any length of queue: columns, not turns.

The order is the one in which turns would come if every job were served at once: within a user by key; then, level by
level up the account tree, by what its account would have used per weight when the job's turn comes. These are the start
tags of hierarchical weighted fair queueing (Bennett and Zhang, 1996), and sorting by them needs no walk.

Jobs that stand together in a line and want the same flavor are ranked as one piece where there are very many.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler import explain
from scheduler.desk import Desk
from scheduler.forecast import Curve, Work
from scheduler.outlook import Column, Outlook
from scheduler.predict import predicted_ms
from scheduler.queue import Line
from scheduler.rows import Rows, Tables, is_overdue

_PIECES = 8_192
_EMPTY = np.zeros(0, np.int64)


def rank(desk: Desk) -> Outlook:
    """The outlook, after the desk has started and booked all that it could."""
    queue = desk.state.queue
    lines = [queue.lines[key] for key in sorted(queue.lines)]
    tables = Tables.of(desk)
    rows = Rows.of(desk, lines, tables) if lines else Rows.none()
    curves = _curves(desk)
    booked, starts = _booked(desk, rows, tables, curves)
    pieces = _Pieces.of(rows, ~np.isin(np.arange(len(rows.ids)), booked))
    sequence = pieces.in_turn(desk, lines)
    begins, ends = pieces.estimates(sequence, curves, _work_ahead(rows, booked, tables))
    order = np.concatenate((booked, pieces.rows(sequence)))
    starts_ms = np.concatenate((starts, pieces.spread(sequence, begins, ends)))
    starts_ms[~rows.waits[order]] = -1
    gated = [queue.gated[job_id] for job_id in sorted(queue.gated)]
    return Outlook(
        desk.now_ms,
        np.concatenate((rows.ids[order], np.array([job.job_id for job in gated], np.int64))),
        np.concatenate((starts_ms, np.full(len(gated), -1, np.int64))),
        np.concatenate((_shares(desk, lines)[rows.line[order]], np.zeros(len(gated), np.int64))),
        np.concatenate((rows.reason[order], np.arange(len(gated)) + len(tables.reasons))),
        (*tables.reasons, *(explain.dependency(job) for job in gated)),
        desk.state.calibration,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Neighbouring rows of one line, class and flavor. ``first`` is each piece's first row, ``count`` how many it has."""

    first: Column
    count: Column
    line: Column
    tier: Column
    order: Column
    flavor: Column
    milli: Column
    hold: Column
    cost: Column  # of the first job's next task, as expected
    work: Work

    @classmethod
    def of(cls, rows: Rows, keep: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> "_Pieces":
        at = np.flatnonzero(keep)
        if not len(at):
            none = _EMPTY
            return cls(none, none, none, none, none, none, none, none, none, np.zeros(0))
        size = len(at) // _PIECES + 1
        columns = (rows.line[at], rows.tier[at], rows.flavor[at], at - np.arange(len(at)))
        breaks = np.ones(len(at), np.bool_)
        breaks[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
        begins = np.flatnonzero(breaks)
        if size == 1:
            begins = np.arange(len(at))
        else:  # within what belongs together, a piece has at most ``size`` rows
            within = np.arange(len(at)) - np.repeat(begins, np.diff(np.append(begins, len(at))))
            begins = np.flatnonzero(within % size == 0)
        first, waits = at[begins], rows.waits[at]
        return cls(
            first, np.diff(np.append(begins, len(at))), rows.line[first], rows.tier[first], rows.order[first],
            rows.flavor[first], rows.milli[first],
            np.add.reduceat(np.where(waits, rows.hold[at], 0), begins), rows.cost[first],
            np.add.reduceat(np.where(waits, rows.work[at], 0), begins),
        )  # fmt: skip

    def in_turn(self, desk: Desk, lines: Sequence[Line]) -> Column:
        """The pieces in the order of the queue."""
        if not len(self.first):
            return _EMPTY
        if not desk.state.policy.fair_share:
            return np.lexsort((self.first, self.order, self.tier))
        users, *levels = _levels(desk, lines)
        sequence = np.lexsort((self.order, users[0][self.line], self.tier))
        for (child, usage, weight), (parent, _, _) in zip((users, *levels), levels, strict=False):
            below, above, tier = child[self.line[sequence]], parent[self.line[sequence]], self.tier[sequence]
            spent = np.cumsum(self.hold[sequence]) - self.hold[sequence]
            begins = np.flatnonzero(np.append(True, (below[1:] != below[:-1]) | (tier[1:] != tier[:-1])))
            spent -= np.repeat(spent[begins], np.diff(np.append(begins, len(sequence))))
            tag = (usage[below] + spent + self.cost[sequence]) // weight[below]
            sequence = sequence[np.lexsort((self.order[sequence], tag, above, tier))]
        late = is_overdue(self.tier[sequence])
        if late.any():  # these are served oldest first, over all accounts
            tier, place = self.tier[sequence], np.where(late, self.order[sequence], np.arange(len(sequence)))
            sequence = sequence[np.lexsort((self.first[sequence], place, tier))]
        return sequence

    def estimates(self, sequence: Column, curves: Sequence[Curve | None], ahead: Work) -> tuple[Column, Column]:
        """When the first job of each piece in the sequence starts, and the one after its last; -1: nobody can say."""
        begins, ends = np.full(len(sequence), -1, np.int64), np.full(len(sequence), -1, np.int64)
        flavors = self.flavor[sequence]
        for number, curve in enumerate(curves):
            mine = np.flatnonzero(flavors == number)
            if curve is None or not len(mine):
                continue
            work = self.work[sequence[mine]]
            until = np.cumsum(work) + ahead[number]
            begins[mine] = np.maximum(curve.when(until - work), curve.room_at(self.milli[sequence[mine]]))
            ends[mine] = np.maximum(curve.when(until), begins[mine])
        return begins, ends

    def rows(self, sequence: Column) -> Column:
        """The rows of the pieces, piece after piece."""
        count = self.count[sequence]
        return np.repeat(self.first[sequence], count) + _within(count)

    def spread(self, sequence: Column, begins: Column, ends: Column) -> Column:
        """The estimates of the rows: evenly over their piece."""
        count = self.count[sequence]
        if not len(count) or count.max() == 1:
            return begins
        return np.repeat(begins, count) + _within(count) * np.repeat((ends - begins) // count, count)


def _within(count: Column) -> Column:
    """0, 1, … within each piece."""
    ends = np.cumsum(count)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count, count)


def _levels(desk: Desk, lines: Sequence[Line]) -> list[tuple[Column, Column, Column]]:
    """For users and then each level of accounts up to the root: the number of each line's, with usage and weight by number.

    Lines of shallow projects have the project itself on all the levels below it.
    """
    tree, usage = desk.state.tree, desk.usage
    projects: dict[int, int] = {}
    project = np.array([projects.setdefault(line.project_id, len(projects)) for line in lines])
    paths = [tree.paths[number] for number in projects]
    deepest = max(len(path) for path in paths)
    levels = []
    users: dict[tuple[int, int], int] = {}
    numbers = [users.setdefault((line.project_id, line.user_id), len(users)) for line in lines]
    spent = [usage.get(user, 0) for user in users]
    levels.append((np.array(numbers), np.array(spent, np.int64), np.ones(len(users), np.int64)))
    for depth in range(deepest, 0, -1):
        accounts: dict[int, int] = {}
        numbers = [accounts.setdefault(path[max(0, len(path) - depth)], len(accounts)) for path in paths]
        spent = [usage.get(account, 0) for account in accounts]
        weights = [tree.accounts[account].weight for account in accounts]
        levels.append((np.array(numbers)[project], np.array(spent, np.int64), np.array(weights, np.int64)))
    return levels


def _curves(desk: Desk) -> list[Curve | None]:
    """A curve for each flavor that has capacity, in the order of the state's flavors."""
    state = desk.state
    starting: dict[str, list[tuple[int, int]]] = {flavor: [] for flavor in state.flavors}
    for start in desk.starts:
        job = state.queue.jobs[start.job_id]
        expected_ms = predicted_ms(job.resources.walltime_ms, state.recent.get(job.user_id, ()))
        starting[start.flavor].append((desk.now_ms + expected_ms, start.milli))
    return [
        Curve.of(desk.now_ms, capacity, state.live.expected.get(flavor, ()), starting[flavor])
        if (capacity := desk.gates.capacity.get(flavor, 0))
        else None
        for flavor in state.flavors
    ]


def _booked(desk: Desk, rows: Rows, tables: Tables, curves: Sequence[Curve | None]) -> tuple[Column, Column]:
    """The rows of the booked jobs in the order of their bookings, and when they will start: at the latest as booked."""
    at, starts = [], []
    ahead: Counter[int] = Counter()
    where = dict(zip(rows.ids.tolist(), range(len(rows.ids)), strict=True)) if len(rows.ids) < _PIECES else None
    for job_id, (_, terms, booked) in desk.booked.items():
        row = where[job_id] if where is not None else int(np.flatnonzero(rows.ids == job_id)[0])
        flavor = tables.flavors[booked.flavor]
        curve = curves[flavor]
        starts_ms = booked.starts_ms
        if curve is not None:
            expected = curve.when(np.array([float(ahead[flavor])]))[0], curve.room_at(np.array([terms.milli]))[0]
            starts_ms = min(starts_ms, int(max(expected)))
        ahead[flavor] += terms.work * int(rows.tasks[row])
        at.append(row)
        starts.append(starts_ms)
    return np.array(at, np.int64), np.array(starts, np.int64)


def _work_ahead(rows: Rows, booked: Column, tables: Tables) -> Work:
    """The work of the booked jobs, by flavor."""
    ahead = np.zeros(len(tables.flavors))
    np.add.at(ahead, rows.flavor[booked], rows.work[booked])
    return ahead


def _shares(desk: Desk, lines: Sequence[Line]) -> Column:
    """Usage per weight of each line's tenant."""
    tree, usage, found = desk.state.tree, desk.usage, dict[int, int]()
    for line in lines:
        if line.project_id not in found:
            path = tree.paths[line.project_id]
            tenant = path[-2] if len(path) > 1 else path[-1]
            found[line.project_id] = usage.get(tenant, 0) // tree.accounts[tenant].weight
    return np.array([found[line.project_id] for line in lines], np.int64)
