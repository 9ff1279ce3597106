"""Keeps the attempts of one root directory: starts, stops, watches and forgets them. The driver's working half.

There is one keeper to a root at any time, over all processes. It comes into being with the first call that needs it,
adopts what an earlier one left, and from then on holds a warden and a thread of its own.
"""

import fcntl
import json
import os
import select
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import cast

import structlog

from domain.errors import Conflict, Unavailable
from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Observation
from domain.quantities import format_duration
from lifecycle.ports import Clock
from local.forked import claim
from local.forked.bell import REQUEST
from local.forked.files import write_whole
from local.forked.order import Order, without_run
from local.link import Link
from local.orders import OrderBook, Unstartable
from local.places import Place, Places
from local.remains import clear_remains
from local.tracking import Tracked, track
from local.watch import Watch

_log = structlog.get_logger(__name__)

_ADOPTED_BEAT = 0.2  # seconds between looks while there are attempts that report to an earlier keeper
_OWN_BEAT = 2.0  # seconds between looks at our own, which only a killed supervisor makes necessary
_WARDEN_PAUSE = 1.0  # seconds between two wardens, if they die at once
_RESEND_AFTER = 5.0  # seconds until an order that nobody claimed is sent again


class Keeper:
    """Every method takes the lock. ``wake`` is called without it, by whichever thread saw something new."""

    def __init__(self, places: Places, book: OrderBook, clock: Clock, wake: Callable[[], None], python: str) -> None:
        self._places = places
        self._book = book
        self._clock = clock
        self._wake = wake
        self._lock = RLock()
        self._tracked: dict[str, Tracked] = {}
        self._next_look = self._next_warden = 0.0
        self._cleaner = ThreadPoolExecutor(1, "baray-local-cleaner")
        self._root_lock = _lock_root(places)
        try:
            book.limits.open()
            self._link = Link(python, places.warden_log)
        except OSError as error:
            os.close(self._root_lock)
            raise Unavailable(f"The local cluster cannot be opened: {error}.") from error
        for attempt in places.marked():
            try:
                self._adopt_marked(attempt)
            except OSError:  # one damaged directory is no reason to lose sight of all others
                _log.exception("local_attempt_unreadable", attempt=str(attempt))
        self._watch = Watch(self._wanted, self._tend)

    def start(self, launch: Launch) -> None:
        """Lay down and send, or adopt. Raises Unavailable if the disk does not take it."""
        with self._lock:
            if str(launch.attempt) in self._tracked:
                return
            place = self._places.of(launch.attempt)
            try:
                if _was_claimed(place):
                    place.mark()
                    self._adopt(launch.attempt, place)
                else:
                    self._lay_down(launch, place)
                news = self._tracked[str(launch.attempt)].observation.state is not AttemptState.STARTING
            except OSError as error:
                raise Unavailable(f"The local cluster cannot take {launch.attempt} now: {error}.") from error
            if self._link.waiting:
                self._watch.nudge()
        if news:
            self._wake()

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        """Leave the request where the supervisor looks, then ring; end it here if there is no supervisor yet."""
        with self._lock:
            tracked = self._tracked.get(str(attempt))
            if tracked is None or not tracked.live:
                return
            try:
                write_whole(tracked.place.stop, str(max(0, grace_ms)).encode())
            except OSError as error:
                raise Unavailable(f"The local cluster cannot stop {attempt} now: {error}.") from error
            if not _ring(tracked.place.claim) and tracked.unclaimed:
                detail = "It was cancelled before it was started."
                tracked.end_unclaimed(without_run("cancelled", detail, self._clock.now_ms()))
            tracked.stale = True
        self._wake()

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        """Leave it where the supervisor looks, then ring; one that is yet to come looks when it begins."""
        with self._lock:
            tracked = self._tracked.get(str(attempt))
            if tracked is None or not tracked.live:
                return
            try:
                write_whole(tracked.place.walltime, f"{walltime_ms} {format_duration(walltime_ms)}".encode())
            except OSError as error:
                raise Unavailable(f"The local cluster cannot extend {attempt} now: {error}.") from error
            _ring(tracked.place.claim)

    def observe(self) -> tuple[Observation, ...]:
        with self._lock:
            for tracked in self._tracked.values():
                if tracked.stale:
                    self._look(tracked)
            return tuple(tracked.observation for tracked in self._tracked.values())

    def forget(self, attempt: AttemptId) -> None:
        """Only an ended attempt is forgotten: a living one would run on unseen."""
        with self._lock:
            tracked = self._tracked.get(str(attempt))
            if tracked is None or tracked.live:
                return
            del self._tracked[tracked.name]
        if not tracked.place.clear_at_once():
            self._cleaner.submit(tracked.place.clear)

    def order_of(self, attempt: AttemptId, rank: int) -> Order:
        """What the running rank was started with. Raises Conflict if it does not run."""
        with self._lock:
            tracked = self._tracked.get(str(attempt))
            running = tracked is not None and tracked.observation.state is AttemptState.RUNNING
            order = _spec(tracked.place) if tracked is not None and running else None
        if order is None or rank >= len(order["ranks"]):
            raise Conflict(f"rank {rank} of {attempt} does not run", "job", code="not-running")
        return order

    def close(self) -> None:
        """What runs goes on, and the next keeper finds it."""
        self._watch.close()
        with self._lock:
            self._link.close()
            if not any(tracked.live for tracked in self._tracked.values()):
                self._book.limits.close()
            self._places.tidy()
            os.close(self._root_lock)
        self._cleaner.shutdown(wait=False, cancel_futures=True)

    def _lay_down(self, launch: Launch, place: Place) -> None:
        tracked = track(launch.attempt, place)
        try:
            order = self._book.order(launch, place)
        except Unstartable as error:
            place.lay_down(b"{}")
            tracked.end_unclaimed(without_run("failed", str(error), self._clock.now_ms()))
            self._tracked[tracked.name] = tracked
            return
        spec = json.dumps(order)
        place.lay_down(spec.encode())
        tracked.line = _line(spec, launch.secrets)
        tracked.cores = [core for rank in order["ranks"] for core in rank["cores"]]
        self._tracked[tracked.name] = tracked
        self._send(tracked)

    def _adopt_marked(self, attempt: AttemptId) -> None:
        """Adopt what was claimed, and send the others again.

        That cannot be done where secrets went with the order: it is discarded, and a supervisor that comes too late
        finds no place to run. So an attempt that is not observed after this never runs, unless it is started again.
        """
        place = self._places.of(attempt)
        if _was_claimed(place):
            self._adopt(attempt, place)
            return
        spec = _spec(place)
        if spec is not None and not spec["secret"]:
            tracked = track(attempt, place)
            tracked.own = False  # the old warden may be just about to start it
            tracked.line = _line(json.dumps(spec), {})
            self._tracked[tracked.name] = tracked
            self._send(tracked)
            return
        claimed = claim.take(place.claim)
        if claimed is None and place.path.exists():
            self._adopt(attempt, place)
        else:
            place.discard()
        if claimed is not None:
            os.close(claimed)

    def _adopt(self, attempt: AttemptId, place: Place) -> None:
        tracked = track(attempt, place)
        tracked.own, tracked.stale = False, True
        if self._book.limits.pins:
            spec = _spec(place)
            tracked.cores = [] if spec is None else [core for rank in spec["ranks"] for core in rank["cores"]]
            self._book.limits.repin(tracked.cores)
        self._tracked[tracked.name] = tracked

    def _look(self, tracked: Tracked) -> bool:
        """Read the disk, bury what vanished, give back what an ended attempt held. True if something is new."""
        before = tracked.observation
        if tracked.look():
            self._bury(tracked)
        if not tracked.live and tracked.cores:
            self._book.limits.unpin(tracked.cores)
            tracked.cores = []
        return tracked.observation != before

    def _bury(self, tracked: Tracked) -> None:
        """The supervisor was killed: make sure that nothing of the attempt is left, and write what it could not."""
        spec = _spec(tracked.place)
        groups = [] if spec is None else [group["path"] for rank in spec["ranks"] for group in rank["cgroups"]]
        gone = clear_remains(tracked.name, spec["work"] if spec else str(tracked.place.work), groups)
        rest = "Nothing of it runs any more." if gone else "Some of its processes could not be killed."
        detail = f"Its supervisor was killed before it could tell the result. {rest}"
        _log.warning("local_attempt_vanished", attempt=tracked.name, all_killed=gone)
        tracked.give(without_run("vanished", detail, self._clock.now_ms(), tracked.observation.started_ms))

    def _wanted(self) -> tuple[dict[int, int], float]:
        """What the watch waits for. The pipe of orders tells by an error that the warden has died."""
        with self._lock:
            descriptors = {self._link.events: select.POLLIN}
            if time.monotonic() >= self._next_warden:
                descriptors[self._link.orders] = select.POLLOUT if self._link.waiting else 0
            return descriptors, self._beat()

    def _beat(self) -> float:
        adopted = any(tracked.live and not tracked.own for tracked in self._tracked.values())
        return _ADOPTED_BEAT if adopted else _OWN_BEAT

    def _tend(self, came: dict[int, int]) -> None:
        """Everything that the watch found, at once."""
        with self._lock:
            changed = self._hear() if self._link.events in came else False
            if came.get(self._link.orders, 0) & select.POLLERR:
                self._replace_warden()
            self._link.flush()
            changed |= self._look_around()
        if changed:
            self._wake()

    def _hear(self) -> bool:
        """Events of our supervisors. One of an attempt that was forgotten meanwhile is of no interest."""
        lines = self._link.receive()
        for line in lines:
            event = json.loads(line)
            tracked = self._tracked.get(event["attempt"])
            if tracked is not None:
                tracked.hear(event["state"], event["started_ms"])
        return bool(lines)

    def _look_around(self) -> bool:
        """Look at the adopted ones each time, at our own every few seconds, and send again what nobody claimed."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + self._beat()
        changed = False
        for tracked in self._tracked.values():
            if tracked.live and (not tracked.own or now - tracked.looked_at >= _OWN_BEAT):
                tracked.looked_at = now
                changed |= self._look(tracked)
            if tracked.unclaimed and now - tracked.sent_at >= _RESEND_AFTER:
                self._send(tracked)
        return changed

    def _send(self, tracked: Tracked) -> None:
        assert tracked.line is not None
        tracked.sent_at = time.monotonic()
        self._link.send(tracked.line)

    def _replace_warden(self) -> None:
        """What the old one may not have come to is sent again. Twice is harmless: only one supervisor can claim."""
        _log.warning("local_warden_died", log=str(self._places.warden_log))
        self._next_warden = time.monotonic() + _WARDEN_PAUSE
        self._link.revive()
        for tracked in self._tracked.values():
            if tracked.unclaimed:
                self._send(tracked)


def _lock_root(places: Places) -> int:
    """Two keepers of one root would adopt from each other. The kernel lets go of the lock when we die."""
    try:
        places.make()
        file = os.open(places.root / "keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(f"The local cluster cannot use {places.root}: {error}.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise Unavailable(f"Another process drives the local cluster under {places.root}.") from error
    return file


def _was_claimed(place: Place) -> bool:
    return place.claim.exists() and bool(claim.journal(place.claim) or claim.holder(place.claim))


def _ring(path: Path) -> bool:
    """Signal the supervisor that holds the claim. False if there is none.

    The pid is looked up again after the pidfd is open: if it still holds the claim, the pidfd is of no other process.
    """
    pid = claim.holder(path)
    if not pid:
        return False
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if claim.holder(path) == pid:
                signal.pidfd_send_signal(process, REQUEST)
        finally:
            os.close(process)
    return True


def _spec(place: Place) -> Order | None:
    """The order as it was laid down; None if it was not, or not whole."""
    with suppress(FileNotFoundError, ValueError):
        spec = json.loads(place.spec.read_bytes())
        return cast("Order", spec) if "ranks" in spec else None
    return None


def _line(spec: str, secrets: dict[str, str]) -> bytes:
    return f'{{"order":{spec},"secrets":{json.dumps(secrets)}}}\n'.encode()
