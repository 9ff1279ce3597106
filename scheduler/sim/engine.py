"""Discrete events in virtual time around the production planner: ``simulate(case) -> Record``.

At one instant: first everything that ends, then nodes and reservations that come and go, then every submission, then
one planning pass. Who starts, where, and who is stopped is ``scheduler.cycle.plan``'s decision alone. Each job runs for
the run time of its trace, every time it is started; its walltime is what it asked for, or its run time if that is
longer, so nothing is killed by walltime. The same case gives the same record.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush

from domain.quantities import MINUTE_MS, SECOND_MS
from scheduler import cycle
from scheduler.calibrate import Learner
from scheduler.outlook import Plan
from scheduler.sim.case import Case, SimJob
from scheduler.sim.record import Guess, Record
from scheduler.sim.world import World
from scheduler.snapshot import Start, State, Stop

Planner = Callable[[State, int], Plan]

_NEVER = 2**62
_END, _TURN = 0, 1  # kinds of events: an attempt ends; something of the calendar turns


@dataclass(frozen=True, slots=True)
class _Live:
    """An attempt that runs: its number tells it from the job's others, ``hold`` is what was booked for it."""

    serial: int
    hold: int
    started_ms: int
    flavor: str


def simulate(case: Case, planner: Planner = cycle.plan) -> Record:
    """Run the whole case. Jobs that never start stay out of ``first_start``."""
    return Engine.of(case, planner).run()


@dataclass(slots=True)
class Engine:
    """A run in progress. ``events`` is a heap of (time, kind, serial, job); serials are strictly increasing."""

    case: Case
    planner: Planner
    decide: Planner  # the same, where nobody asks for the outlook
    world: World
    jobs: dict[int, SimJob]
    record: Record = field(default_factory=Record)
    learner: Learner = field(default_factory=Learner)
    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    live: dict[int, _Live] = field(default_factory=dict)
    serial: int = 0
    arrived: int = 0
    changed: int = 0

    @classmethod
    def of(cls, case: Case, planner: Planner) -> "Engine":
        decide = partial(cycle.plan, outlook=False) if planner is cycle.plan else planner
        engine = cls(case, planner, decide, World.of(case), {job.pending.job_id: job for job in case.jobs})
        turns = {change.at_ms for change in case.changes}
        turns |= {at_ms for window in case.windows for at_ms in (window.starts_ms, window.ends_ms)}
        for at_ms in sorted(turns):
            engine._push(at_ms, _TURN, 0)
        return engine

    def run(self) -> Record:
        while (now_ms := self._next_ms()) != _NEVER:
            due = self._ends(now_ms)
            due |= self._turns(now_ms)
            fresh = self._submissions(now_ms)
            if (due or fresh) and self.world.queue.jobs:
                self._pass(now_ms, fresh)
        return self.record

    def _next_ms(self) -> int:
        submitted = self.case.jobs[self.arrived].pending.submitted_ms if self.arrived < len(self.case.jobs) else _NEVER
        return min(submitted, self.events[0][0]) if self.events else submitted

    def _push(self, at_ms: int, kind: int, job_id: int) -> int:
        self.serial += 1
        heappush(self.events, (at_ms, kind, self.serial, job_id))
        return self.serial

    def _ends(self, now_ms: int) -> bool:
        """End the attempts whose time has come. An event of an attempt that ended before is void."""
        ended = False
        while self.events and self.events[0][0] == now_ms and self.events[0][1] == _END:
            _, _, serial, job_id = heappop(self.events)
            live = self.live.get(job_id)
            if live is not None and live.serial == serial:
                self._end(job_id, live, now_ms)
                ended = True
        return ended

    def _end(self, job_id: int, live: _Live, now_ms: int) -> None:
        job = self.jobs[job_id]
        cut = now_ms - live.started_ms < job.runtime_ms
        told = job.runtime_ms if job.known_user and not cut else None
        del self.live[job_id]
        self.world.end(job.pending, now_ms, live.hold, told)
        self.record.attempt(job_id, live.started_ms, now_ms, live.flavor, cut=cut)
        if cut and self.case.restartable:
            self.world.queue.add(replace(job.pending, retries=(0,), fresh=range(0)))
        else:
            self.record.end[job_id] = now_ms

    def _turns(self, now_ms: int) -> bool:
        """Nodes come and go; reservations that are over are forgotten."""
        turned = False
        while self.events and self.events[0][0] == now_ms:
            heappop(self.events)
            turned = True
        changes = self.case.changes
        while self.changed < len(changes) and changes[self.changed].at_ms <= now_ms:
            change = changes[self.changed]
            if change.joins:
                self.world.join(change.node)
            else:
                self.world.leave(change.node)
            self.changed += 1
        if turned:
            self.world.windows = tuple(window for window in self.world.windows if window.ends_ms > now_ms)
        return turned

    def _submissions(self, now_ms: int) -> list[SimJob]:
        jobs, begin = self.case.jobs, self.arrived
        while self.arrived < len(jobs) and jobs[self.arrived].pending.submitted_ms <= now_ms:
            self.world.queue.add(jobs[self.arrived].pending)
            self.arrived += 1
        return list(jobs[begin : self.arrived])

    def _pass(self, now_ms: int, fresh: list[SimJob]) -> None:
        world, record = self.world, self.record
        plan = (self.planner if fresh else self.decide)(world.state(now_ms), now_ms)
        record.passes += 1
        for warning in plan.warnings:
            record.warnings[warning] = None
        for start in plan.starts:
            self._start(start, now_ms)
        for stop in plan.stops:
            self._stop(stop, now_ms)
        self._note([job.pending.job_id for job in fresh], plan, now_ms)
        if world.policy.rebalance_per_hour and self.live and world.queue.jobs:
            self._push(now_ms + 10 * MINUTE_MS, _TURN, 0)  # what was too early for a fair share may be due then

    def _start(self, start: Start, now_ms: int) -> None:
        job = self.jobs[start.job_id]
        self.world.start(job.pending, start, now_ms, self.case.grace_ms, self.case.restartable)
        serial = self._push(now_ms + job.runtime_ms, _END, start.job_id)
        self.live[start.job_id] = _Live(serial, start.hold, now_ms, start.flavor)
        if start.job_id in self.record.first_start:
            return
        self.record.first_start[start.job_id] = now_ms
        guess = self.record.guesses.get(start.job_id)
        if guess is not None:
            self.learner.observe(guess.starts_ms - guess.said_ms, now_ms - guess.said_ms)

    def _stop(self, stop: Stop, now_ms: int) -> None:
        """Told to stop: it goes on for its grace period, unless it ends before of itself."""
        live, record = self.live[stop.job_id], self.record
        record.stops[stop.cause] = record.stops.get(stop.cause, 0) + 1
        if stop.cause == "fair-share":
            self.world.stopped_ms = (*self.world.stopped_ms, now_ms)[-self.world.policy.rebalance_per_hour :]
        ends_ms = now_ms + max(SECOND_MS, self.case.grace_ms)
        natural_ms = live.started_ms + self.jobs[stop.job_id].runtime_ms
        self.world.stop(stop.job_id, min(ends_ms, self.world.live.attempts[stop.job_id, 0].ends_ms))
        if ends_ms < natural_ms:
            self.live[stop.job_id] = replace(live, serial=self._push(ends_ms, _END, stop.job_id))

    def _note(self, fresh: list[int], plan: Plan, now_ms: int) -> None:
        """Remember what the outlook says of jobs that were just submitted, with the interval as learnt so far."""
        waiting = [job_id for job_id in fresh if job_id not in self.live]
        self.record.at_once += len(fresh) - len(waiting)
        for job_id, wait_ms in (plan.outlook.waits(waiting) if waiting else {}).items():
            low, _, high = self.learner.calibration.waits(wait_ms)
            self.record.guesses[job_id] = Guess(now_ms, now_ms + wait_ms, now_ms + low, now_ms + high)
