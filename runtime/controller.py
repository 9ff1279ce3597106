"""The controller: the steps of a job's life, in the order of the design, again and again in one thread.

It leads while it holds the lease; each write carries its epoch. A step that fails is logged and tried again in the
next cycle; since each step is one transaction and repeatable, nothing is half done.
"""

import gc
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from domain.errors import StaleLeader
from lifecycle.custody import Leavings
from lifecycle.dispatch import dispatch, stop
from lifecycle.driving import Driver
from lifecycle.extend import tell
from lifecycle.gatekeeping import Gatehouse
from lifecycle.hands import WIDTH, Hands
from lifecycle.lookout import Lookout
from lifecycle.lost import Vigil
from lifecycle.notices import give_notices
from lifecycle.observe import observe
from lifecycle.oversight import expire
from lifecycle.ports import Clock, Store, Vault
from lifecycle.retention import retain
from lifecycle.schedule import schedule
from lifecycle.seal import BrokenTree, Sealer
from lifecycle.stock import Stock
from lifecycle.tending import Tending
from lifecycle.tenure import tenure
from monitoring.metrics import Metrics
from runtime.drivers import Drivers

log = structlog.get_logger(__name__)

_TOKEN_FLUSH_MS = 60_000
_GUESSES_KEPT = 10_000  # more than the estimates are learnt from
_SWEEP_EVERY_MS = 3_600_000
_TENURE_EVERY_MS = 10_000  # money is spent by the dates; this lets the states follow
_NOTICES_EVERY_MS = 60_000
_RETAIN_EVERY_MS = 10_000  # a look whether the day is over, or somebody asked; then a bounded piece of what is due
_PACE_EVERY_MS = 3_600_000  # every allocation is looked at; once a day would do
_BACK_OFF_S = 1.0
_SEAL_MS = 1_000  # how long rows wait for their leaves: gathered, they are cheaper
_SEAL_BUSY_MS = 5_000  # the same while there is other work
_BROKEN_MS = 60_000  # until a tree that is broken is looked at again
_REST_S = 0.005


@dataclass(slots=True)
class Controller:
    """``wake`` asks for a cycle now; ``changed`` is called after a cycle that moved anything.

    ``drivers`` follow the database where they are ``Drivers``; they may also be what they are.
    """

    store: Store
    lookout: Lookout
    drivers: Mapping[str, Driver]
    vault: Vault
    clock: Clock
    metrics: Metrics
    holder: str
    beat_ms: int
    lease_ms: int
    alone: bool
    used_tokens: dict[int, int]
    changed: Callable[[], None] = lambda: None
    sealer: Sealer | None = None  # without one, what is to be sealed waits
    leavings: Leavings | None = None  # without it, files stay
    _wake: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _told: dict[int, int] = field(default_factory=dict)
    _extended: dict[int, int] = field(default_factory=dict)
    _vigil: Vigil = field(default_factory=Vigil)
    _hands: Hands = field(init=False)
    _gatehouse: Gatehouse = field(init=False)
    _stock: Stock = field(init=False)
    _tending: Tending | None = field(init=False)
    _epoch: int | None = None
    _settled: int | None = None  # the epoch whose first plan is made
    _lease_until_ms: int = 0
    _flushed_ms: int = 0
    _swept_ms: int = 0
    _tenured_ms: int = 0
    _seal_from_ms: int = 0
    _noticed_ms: int = 0
    _retained_ms: int = 0
    _more_due: bool = False  # the last piece of a retention run was not all

    def __post_init__(self) -> None:
        self._gatehouse = Gatehouse(self.store)
        self._hands = Hands(WIDTH, self._may_act, self.wake)
        self._stock = Stock(self.store, self.drivers)
        self._tending = Tending(self.store, self.drivers) if isinstance(self.drivers, Drivers) else None

    def wake(self) -> None:
        self._wake.set()

    def run(self) -> None:
        """Until ``stop``: a cycle whenever woken, and on every beat.

        After a cycle it rests a moment, so that a flood of wakes gathers into fewer, larger cycles.
        """
        while not self._stop.is_set():
            self._wake.clear()
            begun = time.perf_counter()
            fine = self.cycle()
            self._stop.wait(min(time.perf_counter() - begun, _REST_S) if fine else _BACK_OFF_S)
            self._wake.wait(self.beat_ms / 1000)

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def cycle(self) -> bool:
        """One round of all steps. False if one failed: then wait a little before the next."""
        if not self._step("lead", self._lead):
            return False
        if isinstance(self.drivers, Drivers):
            opens, refresh = self._epoch is not None, self.drivers.refresh
            self._step("drivers", lambda: refresh(opens=opens))
        noted = self._step("tokens", self._note_uses)
        if self._epoch is None:
            return noted
        moved = 0

        def count(number: int) -> None:
            nonlocal moved
            moved += number

        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("observe", lambda: count(self._observe())),
            ("inventory", lambda: count(self._inventory())),
            ("tend", self._tend),
            ("gates", lambda: count(self._gatehouse.step(self._leading(), self.clock.now_ms()))),
            ("schedule", lambda: count(self._schedule())),
            ("dispatch", lambda: count(self._dispatch())),
            ("stop", lambda: stop(self.store, self.drivers, self._told, self.clock.now_ms(), self._hands)),
            ("extend", lambda: count(self._extend())),
            ("tenure", lambda: count(self._tenure())),
            ("notices", self._notices),
            ("seal", lambda: self._seal(busy=moved > 0)),
            ("housekeeping", self._housekeep),
            ("retention", self._retain),
        )
        fine = noted
        for name, step in steps:  # one that fails does not keep the others from their work
            fine = self._step(name, step) and fine
        if moved:
            self.changed()
        return fine

    def _step(self, name: str, step: Callable[[], None]) -> bool:
        begun = time.perf_counter()
        try:
            step()
        except StaleLeader as error:
            log.warning("another controller leads now", why=error.message)
            self._epoch, self._lease_until_ms = None, 0
            self.metrics.leading.set(0)
            return False
        except Exception:
            log.exception("a step failed and will be tried again", step=name)
            self.metrics.errors.labels(name).inc()
            return False
        finally:
            self.metrics.cycles.labels(name).observe(time.perf_counter() - begun)
        return True

    def _lead(self) -> None:
        """Take or keep the lease; renewed when a third of it has passed."""
        now_ms = self.clock.now_ms()
        if self._epoch is not None and now_ms < self._lease_until_ms - 2 * self.lease_ms // 3:
            return
        with self.store.write() as uow:
            self._epoch = uow.leader.take(self.holder, now_ms, self.lease_ms, alone=self.alone)
        self._lease_until_ms = now_ms + self.lease_ms
        self.metrics.leading.set(0 if self._epoch is None else 1)

    def _observe(self) -> int:
        changed = observe(
            self.store, self.drivers, self._leading(), self.clock.now_ms(), vigil=self._vigil, hands=self._hands
        )  # fmt: skip
        self.metrics.changed.inc(changed)
        return changed

    def _inventory(self) -> int:
        now_ms = self.clock.now_ms()
        drift = self._tending.drift(now_ms) if self._tending is not None else {}
        troubles = self.drivers.troubles if isinstance(self.drivers, Drivers) else {}
        changed = self._stock.step(self._leading(), now_ms, drift, troubles)
        self.metrics.tell_clusters({**self._stock.silent, **dict.fromkeys(troubles, now_ms)}, now_ms)
        return changed

    def _tend(self) -> None:
        if self._tending is not None:
            for cluster, sentence in self._tending.step(self.clock.now_ms()):
                log.warning("a cluster was altered by others, and mended", cluster=cluster, what=sentence)
                self.metrics.drift.labels(cluster).inc()

    def _schedule(self) -> int:
        started = schedule(self.lookout, self._leading(), self.clock.now_ms())
        if self._settled != self._epoch:
            # The state of the whole centre stands now and stays: the collector need not walk it again and again.
            gc.collect()
            gc.freeze()
            self._settled = self._epoch
        self.metrics.started.inc(started)
        return started

    def _dispatch(self) -> int:
        return dispatch(self.store, self.drivers, self.vault, self._leading(), self._hands, self._vigil)

    def _extend(self) -> int:
        return tell(self.store, self.drivers, self._leading(), self._hands, self._extended)

    def _tenure(self) -> int:
        now_ms = self.clock.now_ms()
        if now_ms - self._tenured_ms < _TENURE_EVERY_MS:
            return 0
        moved = tenure(self.store, self._leading(), now_ms)
        expire(self.store, self._leading(), now_ms)
        self._tenured_ms = now_ms
        return moved

    def _notices(self) -> None:
        now_ms = self.clock.now_ms()
        if now_ms - self._noticed_ms >= _NOTICES_EVERY_MS:
            hour = now_ms // _PACE_EVERY_MS != self._noticed_ms // _PACE_EVERY_MS
            give_notices(self.store, self._leading(), now_ms, marks_too=hour)
            self._noticed_ms = now_ms

    def _retain(self) -> None:
        """Remove what was kept long enough, piece by piece, so that jobs do not wait for it."""
        now_ms = self.clock.now_ms()
        if now_ms - self._retained_ms >= _RETAIN_EVERY_MS:
            self._retained_ms = now_ms
            self._more_due = retain(self.store, self.leavings, self._leading(), now_ms, at_once=self._more_due)

    def _seal(self, *, busy: bool) -> None:
        """A batch at a time. A tree that was tampered with is told of and holds up nothing else."""
        now_ms = self.clock.now_ms()
        wait_ms = _SEAL_BUSY_MS - _SEAL_MS if busy else 0
        if self.sealer is None or now_ms < self._seal_from_ms + wait_ms:
            return
        try:
            if self.sealer.step(self._leading(), now_ms) < self.sealer.batch:
                self._seal_from_ms = now_ms + _SEAL_MS
        except BrokenTree as error:
            log.exception("nothing is sealed any more", why=error.message)
            self.metrics.errors.labels("seal").inc()
            self._seal_from_ms = now_ms + _BROKEN_MS

    def _may_act(self) -> bool:
        """Nothing goes out to a cluster once the lease has run out, even if that is noticed late: another may lead by then."""
        return self._epoch is not None and self.clock.now_ms() < self._lease_until_ms

    def _leading(self) -> int:
        if self._epoch is None:
            raise StaleLeader("the lease was lost within the cycle")
        return self._epoch

    def _note_uses(self) -> None:
        """Write down when tokens were last used, once a minute: by every process, leading or not, for the requests that it
        answered. Sessions end when they were not used for long.
        """
        now_ms = self.clock.now_ms()
        if not self.used_tokens or now_ms - self._flushed_ms < _TOKEN_FLUSH_MS:
            return
        self._flushed_ms = now_ms
        used = {token_id: self.used_tokens.pop(token_id) for token_id in list(self.used_tokens)}
        with self.store.write() as uow:
            for token_id, used_ms in used.items():
                uow.people.touch_token(token_id, used_ms)

    def _housekeep(self) -> None:
        """Forget old guesses."""
        now_ms = self.clock.now_ms()
        if now_ms - self._swept_ms >= _SWEEP_EVERY_MS:
            self._swept_ms = now_ms
            with self.store.write() as uow:
                uow.leader.check(self._leading())
                uow.live.sweep_guesses(_GUESSES_KEPT)
