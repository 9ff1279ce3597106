"""The queue as columns: one row for each job that waits, with what it costs, its class and its reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.quantities import MILLI
from scheduler import explain
from scheduler.desk import Desk
from scheduler.forecast import Work
from scheduler.gates import Terms
from scheduler.outlook import Column
from scheduler.predict import predicted_ms
from scheduler.queue import Line
from scheduler.snapshot import Reason

_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What all jobs of a demand have in common, by its number; ``reasons`` grows as they are told.

    ``hold`` is before the factors of QoS.
    """

    flavors: dict[str, int]
    flavor: Column
    milli: Column
    hold: Column
    walltime_ms: Column
    reason: Column
    waits: npt.NDArray[np.bool_]  # for capacity, so that its start can be estimated
    reasons: list[Reason]
    terms: list[Terms | None]

    @classmethod
    def of(cls, desk: Desk) -> "Tables":
        flavors = {flavor: number for number, flavor in enumerate(desk.state.flavors)}
        reasons: list[Reason] = []
        found = []
        for number, jobs in enumerate(desk.state.queue.counts):
            why, terms = _common(desk, number) if jobs else (explain.HELD, None)
            reasons.append(why)
            ask = None if terms is None else terms.ask
            found.append((
                flavors.get(ask.flavor, -1) if ask else -1, terms.milli if terms else 0, terms.hold if terms else 0,
                desk.state.queue.demands[number].resources.walltime_ms, number,
                terms is not None and why.code != "never-fits", terms,
            ))  # fmt: skip
        flavor, milli, hold, walltime_ms, reason = np.array([row[:5] for row in found], np.int64).reshape(-1, 5).T
        waits = np.array([row[5] for row in found], np.bool_)
        return cls(flavors, flavor, milli, hold, walltime_ms, reason, waits, reasons, [row[6] for row in found])

    def tell(self, reason: Reason) -> int:
        self.reasons.append(reason)
        return len(self.reasons) - 1


def _common(desk: Desk, number: int) -> tuple[Reason, Terms | None]:
    """Why jobs of a demand wait if nothing of their own keeps them, and their terms in the first flavor that has any."""
    demand = desk.state.queue.demands[number]
    line = next(iter(desk.state.queue.asking[number].values()))
    every = [desk.gates.terms(line, demand, flavor, MILLI) for flavor in demand.resources.flavors]
    known = [terms for terms in every if isinstance(terms, Terms)]
    if not known:
        return next(terms for terms in every if isinstance(terms, Reason)), None
    able = [terms for terms in known if desk.possible(terms.ask)]
    if not able:
        return explain.never_fits(known[0].ask), known[0]
    return desk.reason(able[0].ask, demand.resources.walltime_ms), able[0]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The jobs that wait, line by line, in each line by key. ``hold`` and ``work`` are of all tasks that wait,
    ``cost`` is what the next one is expected to be charged.

    ``tier`` orders classes of jobs: what preempts, then who is out of patience, then the other tiers; lower first.
    ``order`` is that of the lanes, and the submission of those out of patience.
    """

    ids: Column
    line: Column
    order: Column
    tasks: Column
    tier: Column
    flavor: Column
    milli: Column
    hold: Column
    cost: Column
    work: Work
    reason: Column
    waits: npt.NDArray[np.bool_]

    @classmethod
    def none(cls) -> "Rows":
        n = _NONE
        return cls(n, n, n, n, n, n, n, n, n, np.zeros(0), n, np.zeros(0, np.bool_))

    @classmethod
    def of(cls, desk: Desk, lines: Sequence[Line], tables: Tables) -> "Rows":
        columns = [_columns(line) for line in lines]
        ids, order, submitted, tasks, demand = np.concatenate(columns, axis=1)
        sizes = [column.shape[1] for column in columns]
        line = np.repeat(np.arange(len(lines)), sizes)
        tasks, left = _left(desk, ids, tasks)
        expected = np.array([_expected_ms(desk, one) for one in lines], np.int64)
        milli = tables.milli[demand]
        reason, waits = _reasons(desk, lines, tables, (ids, demand, sizes))
        every = slice(None) if left is None else left
        walltime_ms = tables.walltime_ms[demand]
        expected_ms = np.minimum(walltime_ms, expected[line])
        hold = _holds(desk, lines, line, tables.hold[demand])
        cost = (hold * (expected_ms / np.maximum(walltime_ms, 1))).astype(np.int64)
        tiers = _tiers(desk, lines, line, submitted)
        order = np.where(is_overdue(tiers), submitted, order)
        work = milli.astype(np.float64) * expected_ms * tasks  # an array of long, wide tasks is beyond 64 bits
        return cls(
            ids[every], line[every], order[every], tasks[every], tiers[every],
            tables.flavor[demand][every], milli[every], (hold * tasks)[every], cost[every], work[every],
            reason[every], waits[every],
        )  # fmt: skip


def _holds(desk: Desk, lines: Sequence[Line], line: Column, plain: Column) -> Column:
    """The rows' holds by the factors of their QoS; to the micro-SU only where that is 1, which will do to foretell."""
    factors = np.array([desk.state.factor(one.qos) for one in lines], np.int64)
    return plain if np.all(factors == MILLI) else (plain * (factors[line] / MILLI)).astype(np.int64)


def _columns(line: Line) -> Column:
    """Ids, order, submission, tasks and demand of a line's jobs in the order of their keys; kept with the line."""
    if isinstance(line.columns, np.ndarray):
        return line.columns
    lanes = list(line.lanes.values())
    names = ("ids", "order", "submitted", "tasks")
    columns = np.empty((5, sum(len(lane.ids) for lane in lanes)), np.int64)
    for row, name in enumerate(names):
        np.concatenate([np.frombuffer(getattr(lane, name), np.int64) for lane in lanes], out=columns[row])
    columns[4] = np.repeat([lane.demand for lane in lanes], [len(lane.ids) for lane in lanes])
    if len(lanes) > 1:
        columns = columns[:, np.lexsort((columns[0], columns[1]))]
    line.columns = columns
    return columns


def _left(desk: Desk, ids: Column, tasks: Column) -> tuple[Column, npt.NDArray[np.bool_] | None]:
    """The tasks that are left after this plan's starts, and which rows have any (None: all)."""
    if not desk.starts:
        return tasks, None
    counts = Counter(start.job_id for start in desk.starts)
    jobs = np.array(sorted(counts), np.int64)
    at = np.flatnonzero(np.isin(ids, jobs))
    tasks = tasks.copy()
    tasks[at] -= np.array([counts[job] for job in ids[at].tolist()], np.int64)
    return tasks, tasks > 0


def _expected_ms(desk: Desk, line: Line) -> int:
    return predicted_ms(1 << 40, desk.state.recent.get(line.user_id, ()))


def _tiers(desk: Desk, lines: Sequence[Line], line: Column, submitted: Column) -> Column:
    policy = desk.state.policy
    ranks = {one.qos: policy.tier(one.qos) for one in lines}
    known = sorted({(not tier.preempts, -tier.rank) for tier in ranks.values()})
    # Even numbers for tiers; the one before the first that does not preempt for those out of patience.
    number = {key: 2 * place + 2 for place, key in enumerate(known)}
    overdue = 2 * sum(not key[0] for key in known) + 1
    of_line = np.array([number[not ranks[one.qos].preempts, -ranks[one.qos].rank] for one in lines], np.int64)
    tiers: Column = of_line[line]
    if policy.patience_ms is None:
        return tiers
    late = (submitted <= desk.now_ms - policy.patience_ms) & (tiers > overdue)
    return np.where(late, overdue, tiers)


def is_overdue(tiers: Column) -> "npt.NDArray[np.bool_]":
    """Which of them are that of those out of patience."""
    late: npt.NDArray[np.bool_] = tiers % 2 == 1
    return late


def _reasons(
    desk: Desk, lines: Sequence[Line], tables: Tables, rows: tuple[Column, Column, Sequence[int]]
) -> tuple[Column, npt.NDArray[np.bool_]]:
    """Each row's reason, and whether it waits for capacity alone."""
    ids, demand, sizes = rows
    reason, waits = tables.reason[demand], tables.waits[demand]
    begin = 0
    for line, size in zip(lines, sizes, strict=True):
        until = begin + size
        barred = desk.gates.barred(line)
        if barred is not None:
            reason[begin:until], waits[begin:until] = tables.tell(barred), False
        else:
            for number, closed in _closed(desk, line, tables):
                mine = begin + np.flatnonzero(demand[begin:until] == number)
                reason[mine], waits[mine] = tables.tell(closed), False
        begin = until
    if desk.barred:
        for row in np.flatnonzero(np.isin(ids, np.array(list(desk.barred), np.int64))):
            reason[row], waits[row] = tables.tell(desk.barred[int(ids[row])]), False
    return reason, waits


def _own(desk: Desk, line: Line, number: int, plain: Terms | None) -> Terms | None:
    """The terms of a demand for jobs of this line."""
    if plain is None or desk.state.factor(line.qos) == MILLI:
        return plain
    terms = desk.gates.terms(line, desk.state.queue.demands[number], plain.ask.flavor)
    return terms if isinstance(terms, Terms) else None


def _closed(desk: Desk, line: Line, tables: Tables) -> list[tuple[int, Reason]]:
    """The lanes of a line that wait for their account, with why."""
    found = dict(desk.closed.get(line, {}))
    if desk.gates.may_refuse(line):
        for number in line.lanes:
            terms = _own(desk, line, number, tables.terms[number])
            if number not in found and terms is not None:
                refused = desk.gates.refused(line, terms, int(tables.walltime_ms[number]))
                if refused is not None:
                    found[number] = refused
    return list(found.items())
