"""Serving one front: start its next task, book it, or say why it waits. The working copy of one plan."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.jobs import Placement
from scheduler import explain
from scheduler.bookings import Bookings, Slot
from scheduler.forecast import Pool, pools
from scheduler.gates import Gates, Terms
from scheduler.order import Front, Share, Turns
from scheduler.outlook import Stretch
from scheduler.policy import BackfillOrder
from scheduler.room import Ask, Room
from scheduler.snapshot import Booked, Reason, Start, State

# A long queue is ranked in stretches of equal jobs, so that a cycle takes about as many turns for any length.
_TURNS = 2_048


@dataclass(frozen=True, slots=True)
class Needy:
    """A booked task that may ask others to make way: for a guarantee, as urgent, or for its fair share."""

    front: Front
    cause: str
    job_id: int
    index: int
    terms: tuple[Terms, ...]
    starts_ms: int


@dataclass(slots=True)
class Desk:
    """What a plan has given so far, and what is left to give."""

    state: State
    now_ms: int
    tells: bool  # whether those who wait are to be told rank, reason and estimate
    room: Room
    bookings: Bookings
    gates: Gates
    usage: Share
    pools: dict[str, Pool]
    starts: list[Start] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    needy: list[Needy] = field(default_factory=list)
    late: list[Front] = field(default_factory=list)
    waiting: list[tuple[Front, Terms]] = field(default_factory=list)
    _books: dict[str, int] = field(default_factory=dict)
    _terms: dict[Front, tuple[Terms | Reason, ...]] = field(default_factory=dict)
    _tight: dict[tuple[Ask, frozenset[int]], int] = field(default_factory=dict)
    _never: dict[Ask, bool] = field(default_factory=dict)
    _why: dict[tuple[Ask, int, frozenset[int]], Reason] = field(default_factory=dict)
    _told: set[int] = field(default_factory=set)
    _chunk: int = 1

    @classmethod
    def of(cls, state: State, now_ms: int, *, tells: bool) -> "Desk":
        room = Room.of(state.nodes, state.policy.together)
        gates = Gates.of(state)
        usage: Share = {**_widened(state.usage), **_widened(state.user_usage)}
        bookings = Bookings.of(state, room, now_ms)
        forecast = pools(state, gates.capacity, now_ms) if tells else {}
        desk = cls(state, now_ms, tells, room, bookings, gates, usage, forecast)
        desk._chunk = max(1, len(state.queue) // _TURNS)
        return desk

    def serve(self, turns: Turns, front: Front, *, entitled: bool = False, defer: bool = False) -> None:
        """Deal with the front's next task, or with a stretch of its jobs that wait all the same.

        ``entitled``: only where a guarantee covers it; the rest comes later. ``defer``: leave for later what could
        only be backfilled.
        """
        outcome = self._try(front, entitled=entitled, defer=defer)
        if isinstance(outcome, int):
            turns.done(front, outcome, through=False)
        elif isinstance(outcome, Reason):
            self._close(turns, front, outcome, silent=entitled)
        elif not outcome:
            turns.done(front, 0, through=True)
        else:
            self._wait(turns, front, outcome, entitled=entitled)

    def backfill(self, front: Front) -> None:
        """Start as much of the front as may start now, out of turn."""
        outcome: int | Reason | tuple[Terms, ...] = 0
        while not front.spent and isinstance(outcome, int):
            outcome = self._try(front)
        if isinstance(outcome, tuple):
            self.put_back(front, outcome[0])

    def _try(self, front: Front, *, entitled: bool = False, defer: bool = False) -> int | Reason | tuple[Terms, ...]:
        """Start the front's next task and answer its hold; or why its lane may not; or the terms that find no room.

        No terms at all: another turn decides.
        """
        job = front.job
        if job.parallel_left is not None and front.nth >= job.parallel_left:
            self._tell(front, 1, explain.array_limit(len(job) - front.nth))
            front.next_job()
            return 0
        reason = self.gates.barred(front)
        if reason is not None:
            return reason
        options, reasons = self._options(front, entitled=entitled)
        if not options:
            return reasons[0] if reasons else ()
        if defer and all(self._is_booked_up(terms) for terms in options):
            self.late.append(front)
            return ()
        owners = self._owners(front)
        for terms in options:
            nodes = self._find(front, terms, owners)
            if nodes is not None:
                return self._start(front, terms, nodes, owners)
        return tuple(options)

    def work(self, front: Front) -> int:
        """The least work that one task of the lane is expected to be, of those flavors that have been looked at."""
        return min((terms.work for terms in self._terms[front] if isinstance(terms, Terms)), default=0)

    def _is_booked_up(self, terms: Terms) -> bool:
        return self._books.get(terms.ask.flavor, 0) >= self.state.policy.reservations

    def _options(self, front: Front, *, entitled: bool) -> tuple[list[Terms], list[Reason]]:
        """The flavors that the account may hold now, by preference, and why not the others."""
        known = self._terms.get(front)
        if known is None:
            known = tuple(self.gates.terms(front, flavor) for flavor in front.lane.resources.flavors)
            self._terms[front] = known
        options, reasons = [], []
        for terms in known:
            if isinstance(terms, Reason):
                reasons.append(terms)
            elif entitled and not self.gates.entitled(front, terms.ask.flavor, terms.milli):
                continue
            elif (refused := self.gates.refused(front, terms)) is not None:
                reasons.append(refused)
            else:
                options.append(terms)
        return options, reasons

    def _owners(self, front: Front) -> frozenset[int]:
        """The accounts on the way up that have a reservation."""
        return self.bookings.owners.intersection(front.path) if self.bookings.owners else _NOBODY

    def _find(self, front: Front, terms: Terms, owners: frozenset[int]) -> tuple[int, ...] | None:
        """Nodes on which the task may start now; what did not fit before is not tried again."""
        walltime_ms = front.lane.resources.walltime_ms
        ask, bookings = terms.ask, self.bookings
        if walltime_ms >= self._tight.get((ask, owners), walltime_ms + 1):
            return None
        if not bookings.kept:
            nodes = self.room.find(ask)
        else:
            until_ms = self.now_ms + walltime_ms
            nodes = self.room.find(ask, lambda node: bookings.usable(ask, node, until_ms, owners))
        if nodes is None:
            hopeless = not bookings.kept or self.room.find(ask) is None
            self._tight[ask, owners] = 0 if hopeless else walltime_ms
        return nodes

    def _start(self, front: Front, terms: Terms, nodes: Sequence[int], owners: frozenset[int]) -> int:
        job, ask = front.job, terms.ask
        until_ms = self.now_ms + front.lane.resources.walltime_ms
        placements: tuple[Placement, ...] = self.room.take(ask, nodes)
        self.bookings.take(ask, nodes, until_ms, job.job_id)
        window = self.bookings.enter(ask, nodes, until_ms, owners) if owners else None
        self.gates.take(front, terms)
        cluster = self.room.nodes[nodes[0]].cluster
        self.starts.append(
            Start(
                job.job_id, job.index(front.nth), job.project_id, cluster, ask.flavor, placements, terms.milli,
                terms.hold, window,
            )
        )  # fmt: skip
        if ask.flavor in self.pools:
            self.pools[ask.flavor].occupy(self.now_ms + terms.work // max(1, terms.milli), terms.milli)
        front.next_task()
        return terms.hold

    def _wait(self, turns: Turns, front: Front, options: Sequence[Terms], *, entitled: bool) -> None:
        """No room now: book a start if there are bookings left for one of its flavors, else take its place in line."""
        owners = self._owners(front)
        bookable = [terms for terms in options if not self._is_booked_up(terms)]
        if not any(self._possible(terms.ask) for terms in options):
            self._close(turns, front, explain.never_fits(options[0].ask), silent=entitled)
            return
        walltime_ms = front.lane.resources.walltime_ms
        slots = [(terms, self.bookings.earliest(terms.ask, walltime_ms, owners)) for terms in bookable]
        found = [(terms, slot) for terms, slot in slots if slot is not None]
        if found:
            terms, slot = min(found, key=lambda pair: pair[1].starts_ms)
            self._book(front, terms, slot, owners)
            self._need(front, options, slot, entitled=entitled)
            front.next_task()
            turns.done(front, terms.hold, through=False)
        else:
            if not entitled:
                self.put_back(front, options[0])
            turns.done(front, 0, through=True)

    def _need(self, front: Front, options: Sequence[Terms], slot: Slot, *, entitled: bool) -> None:
        """Note who may ask others to make way."""
        policy = self.state.policy
        cause = "guarantee" if entitled else "urgent" if policy.tier(front.lane.qos).preempts else "fair-share"
        if (cause == "guarantee" and policy.reclaim) or cause == "urgent" or policy.rebalance_per_hour:
            index = front.job.index(front.nth)
            self.needy.append(Needy(front, cause, front.job.job_id, index, tuple(options), slot.starts_ms))

    def _book(self, front: Front, terms: Terms, slot: Slot, owners: frozenset[int]) -> None:
        job, ask = front.job, terms.ask
        walltime_ms = front.lane.resources.walltime_ms
        self._books[ask.flavor] = self._books.get(ask.flavor, 0) + 1
        self.bookings.book(ask, slot, walltime_ms, job.job_id)
        index = job.index(front.nth)
        first = self.room.nodes[slot.nodes[0]]
        names = tuple(self.room.nodes[node].name for node in slot.nodes)
        self.booked.append(
            Booked(job.job_id, index, first.cluster, ask.flavor, names, slot.starts_ms, slot.starts_ms + walltime_ms)
        )
        if not self.tells:
            return
        pool = self.pools[ask.flavor]
        expected_ms = min(slot.starts_ms, pool.start(terms.milli, pool.ahead))
        pool.ahead += terms.work
        self._tell(front, 1, self._reason(front, terms, owners), expected_ms, expected_ms)

    def put_back(self, front: Front, terms: Terms) -> None:
        """The lane waits for capacity and has no more bookings to get: it is through, but for the outlook."""
        front.waits = True
        self.waiting.append((front, terms))

    def line_up(self, turns: Turns, front: Front, terms: Terms) -> None:
        """Rank a stretch of a waiting lane; the work of its tasks stands before all that come later."""
        lane, first = front.lane, front.at
        count = min(self._chunk, len(lane.jobs) - first)
        tasks = sum(len(job) for job in lane.jobs[first : first + count]) - front.nth
        pool = self.pools.get(terms.ask.flavor)
        begins_ms = ends_ms = None
        if pool is not None:
            begins_ms = pool.start(terms.milli, pool.ahead)
            pool.ahead += terms.work * tasks
            ends_ms = pool.start(terms.milli, pool.ahead) if count > 1 else begins_ms
        self._tell(front, count, self._reason(front, terms, self._owners(front)), begins_ms, ends_ms or 0)
        front.at += count
        front.nth = 0
        turns.done(front, terms.hold * tasks, through=False)

    def _close(self, turns: Turns, front: Front, reason: Reason, *, silent: bool) -> None:
        """The whole lane waits for something that is not capacity. ``silent``: a later turn will say so."""
        if not silent:
            self._tell(front, len(front.lane.jobs) - front.at, reason)
            front.at = len(front.lane.jobs)
        turns.done(front, 0, through=True)

    def _tell(self, front: Front, count: int, reason: Reason, starts_ms: int | None = None, until_ms: int = 0) -> None:
        """A line for each of the next jobs of the lane; one for a job, whichever of its tasks wait."""
        if not self.tells:
            return
        ids: array[int] = front.lane.ids[front.at : front.at + count]
        if ids[0] in self._told:
            ids = ids[1:]
        elif front.job.is_array:
            self._told.add(ids[0])
        if ids:
            tenant = front.path[-2] if len(front.path) > 1 else front.path[-1]
            share = self.usage.get(tenant, 0) // self.state.tree.accounts[tenant].weight
            self.stretches.append(Stretch(ids, share, reason, starts_ms, until_ms))

    def _possible(self, ask: Ask) -> bool:
        found = self._never.get(ask)
        if found is None:
            found = self._never[ask] = self.room.could(ask)
        return found

    def _reason(self, front: Front, terms: Terms, owners: frozenset[int]) -> Reason:
        """Why there is no room now: too little is free, or what is free is kept for others."""
        walltime_ms = front.lane.resources.walltime_ms
        key = (terms.ask, walltime_ms, owners)
        found = self._why.get(key)
        if found is None:
            found = self._why[key] = self._explain(terms.ask, walltime_ms, owners)
        return found

    def _explain(self, ask: Ask, walltime_ms: int, owners: frozenset[int]) -> Reason:
        nodes = self.room.find(ask)
        if nodes is not None:
            until_ms = self.now_ms + walltime_ms
            spans = [self.bookings.blocker(node, until_ms, owners) for node in nodes]
            span = next((span for span in spans if span is not None), None)
            if span is not None:
                return explain.kept(ask, span, self.now_ms)
        return explain.capacity(ask, max(0, self.room.total.get(ask.flavor, 0)))


_NOBODY: frozenset[int] = frozenset()


def _widened(usage: Mapping[int, int] | Mapping[tuple[int, int], int]) -> Share:
    return dict(usage.items())


def in_order_of_prediction(desk: Desk, fronts: Sequence[Front]) -> list[Front]:
    """Shortest predicted work first; within a tier, higher tiers first."""
    policy = desk.state.policy
    assert policy.backfill is BackfillOrder.SHORTEST

    def key(front: Front) -> tuple[int, int, tuple[int, int]]:
        return -policy.tier(front.lane.qos).rank, desk.work(front), front.key

    return sorted(fronts, key=key)
