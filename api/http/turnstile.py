"""Holds back whoever asks for too much at once, or too often. For routes that hold a thread while they last."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

from domain.errors import Refused

_REMEMBERED = 10_000


class Turnstile:
    """Lets in ``at_once`` over all, ``of_one`` of each who comes; each ``burst`` times, and then ``per_second``."""

    def __init__(self, what: str, *, at_once: int, of_one: int, per_second: float, burst: float) -> None:
        self.at_once = at_once
        self._what = what
        self._of_one = of_one
        self._per_second, self._burst = per_second, burst
        self._lock = Lock()
        self._inside: dict[Hashable, int] = {}
        self._allowance: dict[Hashable, tuple[float, float]] = {}  # how many are left, since when

    @contextmanager
    def pass_through(self, who: Hashable, now_s: float) -> Iterator[None]:
        """Raises Refused, with when to try again."""
        with self._lock:
            self._admit(who, now_s)
        try:
            yield
        finally:
            with self._lock:
                self._inside[who] -= 1
                if not self._inside[who]:
                    del self._inside[who]

    def _admit(self, who: Hashable, now_s: float) -> None:
        left, since = self._allowance.pop(who, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_second)
        inside = self._inside.get(who, 0)
        refused = left < 1.0 or inside >= self._of_one or sum(self._inside.values()) >= self.at_once
        self._allowance[who] = (left if refused else left - 1.0, now_s)
        while len(self._allowance) > _REMEMBERED:
            del self._allowance[next(iter(self._allowance))]
        if refused:
            error = Refused(f"too many {self._what} at once", fix="try again in a moment", code="rate-limited")
            error.retry_after_s = 1
            raise error
        self._inside[who] = inside + 1
