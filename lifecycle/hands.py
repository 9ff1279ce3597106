"""Passes on to clusters what was committed, so that no cluster waits for a slow one (``dispatch``, ``observe`` → here).

A near cluster is called at once, in the caller's thread. One far away has threads of its own: what they have not done
within a moment goes on while the controller does, and nothing that is under way is asked for a second time.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import structlog

from domain.errors import Unavailable
from domain.ids import AttemptId

log = structlog.get_logger(__name__)

WIDTH = 16  # calls that are out to one cluster at a time
_WAIT_S = 0.2  # how long the controller waits for far clusters, so that quick ones are done within the cycle
_REST_S = 1.0  # how long a cluster that took nothing is left alone

Key = tuple[str, str, AttemptId]


@dataclass(frozen=True, slots=True)
class Deed:
    """One call to a cluster. ``what`` is a word such as ``start``; ``about`` are all attempts that it may bring to life."""

    cluster: str
    what: str
    attempt: AttemptId
    call: Callable[[], None]
    about: frozenset[AttemptId] = frozenset()

    @property
    def key(self) -> Key:
        return self.cluster, self.what, self.attempt


class Hands:
    """One a controller.

    - ``width`` is how many calls go out to one far cluster at a time; 0: it is treated like a near one.
    - ``leads`` is asked before every call: once it says no, because the lease ran out, nothing more goes out.
    - ``wake`` is called, from any thread, when something was done that the controller no longer waited for.
    """

    def __init__(
        self, width: int = 0, leads: Callable[[], bool] = lambda: True, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._width = width
        self._leads = leads
        self._wake = wake
        self._lock = threading.Lock()
        self._underway: dict[Key, Deed] = {}
        self._out: Counter[str] = Counter()  # calls under way, by cluster
        self._done: set[Key] = set()
        self._rest: dict[str, float] = {}
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def do(self, deeds: Sequence[Deed], far: Collection[str]) -> None:
        """Make these calls, each once: those that are under way already are not repeated. ``done`` tells which succeeded."""
        futures = []
        for deed in deeds:
            if self._width and deed.cluster in far:
                futures += self._send(deed)
            elif self._make(deed, resting=False):
                with self._lock:
                    self._done.add(deed.key)
        if futures:
            wait(futures, timeout=_WAIT_S)

    def done(self, what: str) -> frozenset[AttemptId]:
        """Whose calls succeeded since this was asked last."""
        with self._lock:
            found = {key for key in self._done if key[1] == what}
            self._done -= found
        return frozenset(attempt for _, _, attempt in found)

    def underway(self, what: str) -> frozenset[AttemptId]:
        """Whose calls are out, or wait to go out."""
        with self._lock:
            return frozenset(attempt for _, word, attempt in self._underway if word == what)

    def arriving(self) -> frozenset[AttemptId]:
        """All attempts that a call which is out may yet bring to life: that a cluster does not show them proves nothing."""
        with self._lock:
            groups = {id(deed.about): deed.about for deed in self._underway.values() if deed.about}
        return frozenset().union(*groups.values())

    def close(self) -> None:
        """What is out goes on; what waited to go out does not."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, deed: Deed) -> list[Future[None]]:
        with self._lock:
            if deed.key in self._underway:
                return []
            self._underway[deed.key] = deed
            self._out[deed.cluster] += 1
        pool = self._pools.get(deed.cluster)
        if pool is None:
            pool = self._pools[deed.cluster] = ThreadPoolExecutor(self._width, f"baray-{deed.cluster}")
        return [pool.submit(self._carry, deed)]

    def _carry(self, deed: Deed) -> None:
        """In a thread of the cluster's."""
        succeeded = False
        try:
            succeeded = self._make(deed, resting=time.monotonic() < self._rest.get(deed.cluster, 0.0))
        finally:
            with self._lock:
                del self._underway[deed.key]
                self._out[deed.cluster] -= 1
                last = not self._out[deed.cluster]
                if succeeded:
                    self._done.add(deed.key)
        if last:
            self._wake()

    def _make(self, deed: Deed, *, resting: bool) -> bool:
        """One that fails keeps no other from being made."""
        if resting or not self._leads():
            return False
        told = {"cluster": deed.cluster, "attempt": str(deed.attempt)}
        try:
            deed.call()
        except Unavailable as error:
            self._rest[deed.cluster] = time.monotonic() + _REST_S
            log.warning("cluster takes nothing now", what=deed.what, why=error.message, **told)
            return False
        except Exception:
            log.exception("a call to a cluster failed and will be made again", what=deed.what, **told)
            return False
        return True
