"""A process that tries to overdraw a centre: it plans and commits, ends what runs, submits and cancels, in no order.

Many of them work on one PostgreSQL at once, all under the leader's epoch, so that nothing but the transactions
themselves stands between them and the last GPU and the last SU. Each works in a clock of its own that all share.
"""

import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import structlog

from domain.errors import BarayError
from domain.ids import TaskId
from domain.jobs import LIVE_ATTEMPTS, AttemptState, Observation
from lifecycle import control
from lifecycle.lookout import Lookout
from lifecycle.observe import take_in
from lifecycle.people import authenticate
from lifecycle.schedule import schedule
from lifecycle.submit import submit
from store.engine import open_engine
from store.unit_of_work import Store
from tests.support.factories import A100, H100, resources, spec

QUEUE = 12  # so many may wait before one is cancelled
FAST = 1_000  # centre's milliseconds in one of ours: jobs are charged for something

SPECS = (
    spec("speech", needs=resources(1, walltime="200h")),
    spec("vision", needs=resources(1, walltime="100h")),
    spec("flood", needs=resources(1, A100, walltime="300h")),
    spec("flood", needs=resources(2, (A100, H100), walltime="100h")),
)


@dataclass(slots=True)
class Besieger:
    """One writer. ``tally`` counts what it did, and by code what it was refused."""

    store: Store
    token: str
    epoch: int
    begin_ms: int
    rng: random.Random
    tally: Counter[str] = field(default_factory=Counter)

    @property
    def now_ms(self) -> int:
        return self.begin_ms + time.monotonic_ns() // 1_000_000 * FAST

    def act(self) -> None:
        what = self.rng.choice((self.start, self.start, self.end, self.end, self.submit, self.cancel))
        try:
            self.tally[what.__name__] += what()
        except BarayError as error:
            self.tally[f"refused: {error.code}"] += 1

    def start(self) -> int:
        return schedule(Lookout(self.store), self.epoch, self.now_ms)

    def end(self) -> int:
        """One attempt, whichever, succeeded, failed or lost its node just now."""
        with self.store.write() as uow:
            live = uow.attempts.live(LIVE_ATTEMPTS)
            if not live:
                return 0
            chosen = self.rng.choice(live)
            uow.dependencies.take_turn()
            jobs = uow.jobs.many([chosen.id.job], lock=True)
            fresh = [attempt for attempt in uow.attempts.those([chosen.row]) if attempt.state in LIVE_ATTEMPTS]
            state = self.rng.choice((AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.NODE_FAILED))
            seen = {chosen.id: Observation(chosen.id, state, chosen.created_ms, max(self.now_ms, chosen.created_ms))}
            return len(take_in(uow, jobs, fresh, seen, self.now_ms))

    def submit(self) -> int:
        with self.store.write() as uow:
            submit(uow, authenticate(uow, self.token, self.now_ms), self.rng.choice(SPECS), self.now_ms)
        return 1

    def cancel(self) -> int:
        with self.store.write() as uow:
            waiting = uow.live.waiting()
            if len(waiting) < QUEUE:
                return 0
            control.cancel(uow, TaskId(self.rng.choice(waiting).job.job_id, None), self.now_ms)
        return 1


def besiege(url: str, token: str, epoch: int, begin_ms: int, seed: str, told: Connection) -> None:
    """Act until killed, or until the other end of ``told`` says stop; then answer the tally."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    one = Besieger(Store(open_engine(url)), token, epoch, begin_ms, random.Random(seed))
    while not told.poll():
        one.act()
    told.send(one.tally)
