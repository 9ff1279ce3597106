"""The keeper's crew: a few threads for what takes a request, so that one slow answer keeps nobody else waiting."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from domain.errors import BarayError
from k8s.errors import ClusterError

_log = structlog.get_logger(__name__)

_NUMBER = 8
_REMEMBERED, _REMEMBERED_S = 50_000, 60.0
AGAIN_S = 5.0


@dataclass(slots=True)
class Budget:
    """So many a second, and no more at once than a second's worth."""

    rate: float
    left: float = 1.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        self.left, self.at = min(max(1.0, self.rate), self.left + (now - self.at) * self.rate), now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass(slots=True)
class _Turn:
    """When a deed was first wanted, and when it may be done again."""

    since: float
    after: float = 0.0


class Crew:
    """Deeds are known by what they are and whom they concern. Threads end with the process, whatever keeps them."""

    def __init__(self) -> None:
        self._deeds: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, object], _Turn] = {}
        for _ in range(_NUMBER):
            threading.Thread(target=self._work, name="baray-k8s-crew", daemon=True).start()

    def do(
        self, what: str, whom: object, deed: Callable[..., object], *args: object,
        first_s: float = 0.0, again_s: float = AGAIN_S, budget: Budget | None = None,
    ) -> None:  # fmt: skip
        """Have it done, once at a time, not before it was wanted for ``first_s``, and not again before ``again_s``."""
        key, now = (what, whom), time.monotonic()
        with self._lock:
            turn = self._turns.setdefault(key, _Turn(now))
            if now < max(turn.since + first_s, turn.after) or (budget is not None and not budget.take(now)):
                return
            turn.after = float("inf")
            if len(self._turns) > _REMEMBERED:
                early = now - _REMEMBERED_S
                self._turns = {one: at for one, at in self._turns.items() if max(at.since, at.after) > early}

        def run() -> None:
            try:
                deed(*args)
            except (ClusterError, BarayError) as error:
                _log.info("cluster_deed_failed", what=what, whom=str(whom), why=error.message)
            finally:
                with self._lock:
                    turn.after = time.monotonic() + again_s

        self._deeds.put(run)

    def close(self) -> None:
        for _ in range(_NUMBER):
            self._deeds.put(None)

    def _work(self) -> None:
        while (deed := self._deeds.get()) is not None:
            try:
                deed()
            except Exception:  # noqa: BLE001 - it is tried again; the thread goes on
                _log.exception("kubernetes_crew_failed")
