"""Serving one front: start its next task, book it, or note why it waits. The working copy of one plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.jobs import Placement
from scheduler import explain
from scheduler.bookings import Bookings, Slot
from scheduler.gates import Gates, Terms
from scheduler.order import Front, Share, Turns
from scheduler.queue import Lane, Line
from scheduler.room import Ask, Room
from scheduler.snapshot import Booked, Reason, Start, State
from scheduler.typical import Typical

_NOBODY: frozenset[int] = frozenset()
_MOST_ENTITLED = 64  # bookings of a flavor for what guarantees cover; each costs a look into the future


@dataclass(frozen=True, slots=True)
class Needy:
    """A task that may ask others to make way: for a guarantee, as urgent, or for a fair share."""

    line: Line
    cause: str
    job_id: int
    terms: tuple[Terms, ...]  # by preference
    walltime_ms: int
    asks: bool = True  # False: it is in line before others who ask


@dataclass(slots=True)
class Desk:
    """What a plan has given so far, and what is left to give."""

    state: State
    now_ms: int
    room: Room
    bookings: Bookings
    gates: Gates
    usage: Share
    starts: list[Start] = field(default_factory=list)
    bookings_made: list[Booked] = field(default_factory=list)
    booked: dict[int, tuple[Front, Terms, Booked]] = field(default_factory=dict)  # by job, its first booked task
    barred: dict[int, Reason] = field(default_factory=dict)  # jobs that wait for something of their own
    closed: dict[Line, dict[int, Reason]] = field(default_factory=dict)  # lanes, by demand, that wait for their account
    needy: list[Needy] = field(default_factory=list)
    books: dict[str, int] = field(default_factory=dict)  # how many are booked of each flavor, but for guarantees
    entitled_books: dict[str, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    fronts: dict[Line, list[Front]] = field(default_factory=dict)
    _terms: dict[Front, tuple[Terms | Reason, ...]] = field(default_factory=dict)
    _tight: dict[tuple[Ask, frozenset[int]], int] = field(default_factory=dict)
    _possible: dict[Ask, bool] = field(default_factory=dict)
    _costs: dict[tuple[int, str, int], int] = field(default_factory=dict)  # by user, QoS and demand

    @classmethod
    def of(cls, state: State, now_ms: int) -> "Desk":
        room = Room.of(state.nodes, state.policy.together, Typical(state))
        usage: Share = {**_widened(state.usage), **_widened(state.user_usage)}
        return cls(state, now_ms, room, Bookings.of(state, room, now_ms), Gates.of(state, now_ms), usage)

    def fronts_of(self, line: Line) -> list[Front]:
        """The fronts of a line, the same ones in every pass of the plan."""
        fronts = self.fronts.get(line)
        if fronts is None:
            path = self.state.tree.paths[line.project_id]
            fronts = self.fronts[line] = [Front(line, lane, path) for lane in line.lanes.values()]
        return fronts

    def cost(self, line: Line, lane: Lane) -> int:
        """What one task of the lane is expected to be charged, in micro-SU: by its predicted run time."""
        key = (line.user_id, line.qos, lane.demand)
        found = self._costs.get(key)
        if found is None:
            found = self._costs[key] = self.gates.cost(line, self.state.queue.demands[lane.demand])
        return found

    def open_demands(self) -> set[int]:
        """The demands of which a job might still start or be booked. What has no bookings left and fits nowhere is shut."""
        asked = (number for number, jobs in enumerate(self.state.queue.counts) if jobs)
        if any(count >= self.state.policy.reservations for count in self.books.values()):
            asked = (number for number in asked if self._is_open(number))
        self.open = set(asked)
        return self.open

    def is_booked_up(self, demand: int) -> bool:
        """True if no flavor of the demand has bookings left: its jobs can only be backfilled."""
        flavors, most = self.state.queue.demands[demand].resources.flavors, self.state.policy.reservations
        return all(self.books.get(flavor, 0) >= most for flavor in flavors)

    def _is_open(self, demand: int) -> bool:
        asked = self.state.queue.demands[demand]
        for flavor in asked.resources.flavors:
            if self.books.get(flavor, 0) < self.state.policy.reservations:
                return True
            ask = Ask.of(asked.resources, flavor, asked.constraint)
            if self._find(ask, asked.resources.walltime_ms, _NOBODY) is not None:
                return True
            if self.bookings.owners and self.room.find(ask) is not None:
                return True
        return False

    def serve(
        self, turns: Turns, front: Front, *, entitled: bool = False, overdue: bool = False, defer: bool = False
    ) -> None:
        """Deal with the front's next task.

        ``entitled``: only where a guarantee covers it; the rest comes later. ``overdue``: if its account may not have it
        now, what it asks is for nobody behind it. ``defer``: leave for later what could only be backfilled.
        """
        outcome = self._try(front, entitled=entitled, defer=defer)
        if isinstance(outcome, int):
            turns.done(front, outcome, through=False)
        elif isinstance(outcome, Reason) and entitled:  # what keeps it, a later turn will say
            self._reclaim_quota(turns, front)
        elif isinstance(outcome, Reason):
            if overdue and self.gates.barred(front.line) is None:
                for terms in self._terms.get(front, ()):
                    if isinstance(terms, Terms):
                        self.gates.keep_place(front.line, terms, front.job.job_id)
            self._close(front, outcome)
            turns.done(front, 0, through=True)
        elif not outcome:
            turns.done(front, 0, through=True)
        else:
            self._wait(turns, front, outcome, entitled=entitled)

    def backfill(self, front: Front) -> None:
        """Start as much of the front as may start now, out of turn."""
        outcome: int | Reason | tuple[Terms, ...] = 0
        while not front.spent and isinstance(outcome, int):
            outcome = self._try(front)
        front.waits = not isinstance(outcome, int)
        if isinstance(outcome, Reason):
            self._close(front, outcome)
        elif front.waits and not self.bookings.owners:
            self.open.discard(front.lane.demand)  # and with it whoever asks for as much for longer
            self.open = {demand for demand in self.open if self._is_open(demand)}

    def _try(self, front: Front, *, entitled: bool = False, defer: bool = False) -> int | Reason | tuple[Terms, ...]:
        """Start the front's next task and answer its hold; or why its lane may not; or the terms that find no room.

        No terms at all: another turn decides.
        """
        job = front.job
        if entitled and not self._is_covered(front):
            return ()
        if job.parallel_left is not None and front.nth >= job.parallel_left:
            self.barred[job.job_id] = explain.array_limit(len(job) - front.nth)
            front.next_job()
            return 0
        reason = self.gates.barred(front.line)
        if reason is not None:
            return reason
        options, reasons = self._options(front, entitled=entitled)
        if not options:
            return reasons[0] if reasons else ()
        if defer and all(self._is_booked_up(terms) for terms in options):
            return ()
        owners = self._owners(front)
        for terms in options:
            nodes = self._find(terms.ask, self.walltime_ms(front), owners)
            if nodes is not None:
                return self._start(front, terms, nodes, owners)
        return tuple(options)

    def _is_covered(self, front: Front) -> bool:
        """True if an unused guarantee covers the front's next task in one of its flavors."""
        known = self._known(front)
        return any(
            isinstance(terms, Terms) and self.gates.entitled(front.line, terms.ask.flavor, terms.milli)
            for terms in known
        )

    def _known(self, front: Front) -> tuple[Terms | Reason, ...]:
        """The terms of each flavor, or why there are none."""
        known = self._terms.get(front)
        if known is None:
            demand = self.state.queue.demands[front.lane.demand]
            known = tuple(self.gates.terms(front.line, demand, flavor) for flavor in demand.resources.flavors)
            self._terms[front] = known
        return known

    def _is_booked_up(self, terms: Terms, *, entitled: bool = False) -> bool:
        """``entitled``: what a guarantee covers is booked beyond K, so that nobody slips into what others give back."""
        most = self.state.policy.reservations
        if entitled and most:
            return self.entitled_books.get(terms.ask.flavor, 0) >= max(most, _MOST_ENTITLED)
        return self.books.get(terms.ask.flavor, 0) >= most

    def _options(self, front: Front, *, entitled: bool) -> tuple[list[Terms], list[Reason]]:
        """The flavors that the account may hold now, by preference, and why not the others."""
        walltime_ms = self.walltime_ms(front)
        options, reasons = [], []
        for terms in self._known(front):
            if isinstance(terms, Reason):
                reasons.append(terms)
            elif entitled and not self.gates.entitled(front.line, terms.ask.flavor, terms.milli):
                continue
            elif (refused := self.gates.refused(front.line, terms, walltime_ms)) is not None:
                reasons.append(refused)
            else:
                options.append(terms)
        return options, reasons

    def _owners(self, front: Front) -> frozenset[int]:
        """The accounts on the way up that have a reservation."""
        return self.bookings.owners.intersection(front.path) if self.bookings.owners else _NOBODY

    def _find(self, ask: Ask, walltime_ms: int, owners: frozenset[int]) -> tuple[int, ...] | None:
        """Nodes on which a task may start now; what did not fit before is not tried again."""
        bookings = self.bookings
        if self._tight and walltime_ms >= self._tight.get((ask, owners), walltime_ms + 1):
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
        until_ms = self.now_ms + self.walltime_ms(front)
        placements: tuple[Placement, ...] = self.room.take(ask, nodes)
        self.bookings.take(ask, nodes, until_ms, job.job_id)
        window = self.bookings.enter(ask, nodes, until_ms, owners) if owners else None
        self.gates.take(front.line, terms)
        cluster = self.room.nodes[nodes[0]].cluster
        self.starts.append(
            Start(
                job.job_id, job.index(front.nth), job.project_id, cluster, ask.flavor, placements, terms.milli,
                terms.hold, window,
            )
        )  # fmt: skip
        front.next_task()
        return terms.hold

    def _wait(self, turns: Turns, front: Front, options: Sequence[Terms], *, entitled: bool) -> None:
        """No room now: book a start if there are bookings left for one of its flavors, else take its place in line."""
        owners = self._owners(front)
        bookable = [terms for terms in options if not self._is_booked_up(terms, entitled=entitled)]
        if not any(self.possible(terms.ask) for terms in options):
            self._close(front, explain.never_fits(options[0].ask))
            turns.done(front, 0, through=True)
            return
        walltime_ms = self.walltime_ms(front)
        slots = [(terms, self.bookings.earliest(terms.ask, walltime_ms, owners)) for terms in bookable]
        found = [(terms, slot) for terms, slot in slots if slot is not None]
        if found:
            terms, slot = min(found, key=lambda pair: pair[1].starts_ms)
            self._book(front, terms, slot, self.entitled_books if entitled else self.books)
            self._need(front, options, terms, entitled=entitled)
            front.next_task()
            turns.done(front, terms.hold, through=False)
        elif entitled and self.state.policy.reclaim:  # no booking, but others make way all the same
            self._need(front, options, options[0], entitled=True)
            front.next_task()
            turns.done(front, options[0].hold, through=False)
        else:
            front.waits = not entitled
            if not bookable and not self.bookings.owners:
                self.open.discard(front.lane.demand)
            turns.done(front, 0, through=True)

    def _reclaim_quota(self, turns: Turns, front: Front) -> None:
        """A guarantee covers the task, but others have used up a quota further up: they make way as for room."""
        squeezed = [
            terms for terms in self._terms.get(front, ())
            if isinstance(terms, Terms) and self.gates.entitled(front.line, terms.ask.flavor, terms.milli)
            and self.gates.is_squeezed(front.line, terms)
        ]  # fmt: skip
        if not squeezed or not self.state.policy.reclaim or self.gates.barred(front.line) is not None:
            turns.done(front, 0, through=True)
            return
        self._need(front, squeezed, squeezed[0], entitled=True)
        front.next_task()
        turns.done(front, squeezed[0].hold, through=False)

    def _need(self, front: Front, options: Sequence[Terms], terms: Terms, *, entitled: bool) -> None:
        """Note who may ask others to make way, and under a guarantee, in which terms it is likely to start."""
        policy = self.state.policy
        cause = "guarantee" if entitled else "urgent" if policy.tier(front.line.qos).preempts else "fair-share"
        if entitled:
            self.gates.pledge(front.line, terms)
        # Whoever was stopped before asks nobody for a fair share: no two jobs take turns at it.
        asks = cause != "fair-share" or front.nth >= len(front.job.retries)
        if policy.reclaim if cause == "guarantee" else cause == "urgent" or policy.rebalance_per_hour:
            self.needy.append(Needy(front.line, cause, front.job.job_id, tuple(options), self.walltime_ms(front), asks))

    def _book(self, front: Front, terms: Terms, slot: Slot, books: dict[str, int]) -> None:
        job, ask = front.job, terms.ask
        walltime_ms = self.walltime_ms(front)
        books[ask.flavor] = books.get(ask.flavor, 0) + 1
        self.bookings.book(ask, slot, walltime_ms, job.job_id)
        first = self.room.nodes[slot.nodes[0]]
        names = tuple(self.room.nodes[node].name for node in slot.nodes)
        until_ms = slot.starts_ms + walltime_ms
        booked = Booked(job.job_id, job.index(front.nth), first.cluster, ask.flavor, names, slot.starts_ms, until_ms)
        self.bookings_made.append(booked)
        self.booked.setdefault(job.job_id, (front, terms, booked))

    def _close(self, front: Front, reason: Reason) -> None:
        """The whole lane waits for something that is not capacity."""
        front.waits = True
        self.closed.setdefault(front.line, {})[front.lane.demand] = reason

    def possible(self, ask: Ask) -> bool:
        """True if the ask would fit were everything empty."""
        found = self._possible.get(ask)
        if found is None:
            found = self._possible[ask] = self.room.could(ask)
        return found

    def walltime_ms(self, front: Front) -> int:
        return self.state.queue.demands[front.lane.demand].resources.walltime_ms

    def reason(self, ask: Ask, walltime_ms: int, owners: frozenset[int] = frozenset()) -> Reason:
        """Why there is no room now: too little is free, or what is free is kept for others."""
        nodes = self.room.find(ask)
        if nodes is not None:
            until_ms = self.now_ms + walltime_ms
            spans = [self.bookings.blocker(node, until_ms, owners) for node in nodes]
            span = next((span for span in spans if span is not None), None)
            if span is not None:
                return explain.kept(ask, span, self.now_ms)
        return explain.capacity(ask, max(0, self.room.total.get(ask.flavor, 0)))


def _widened(usage: Mapping[int, int] | Mapping[tuple[int, int], int]) -> Share:
    return dict(usage.items())
