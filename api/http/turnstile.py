"""Holds back whoever asks for too much at once, or too often."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock

from domain.errors import Refused

REMEMBERED = 10_000


class Allowances:
    """Token buckets: each who comes has ``burst`` to spend, and gets back ``per_second``.

    The ``REMEMBERED`` that came last are kept; who came before them is as if they never had. Not for several threads.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second, self.burst = per_second, burst
        self._left: dict[Hashable, tuple[float, float]] = {}  # how many are left, since when

    def __len__(self) -> int:
        return len(self._left)

    def left(self, who: Hashable, now_s: float) -> float:
        left, since = self._left.get(who, (self.burst, now_s))
        return min(self.burst, left + max(0.0, now_s - since) * self.per_second)

    def take(self, who: Hashable, now_s: float) -> float:
        """Spend one, if there is one; answers how many there were before, so that less than one is a refusal."""
        left = self.left(who, now_s)
        self._left.pop(who, None)
        self._left[who] = (left - 1.0 if left >= 1.0 else left, now_s)
        if len(self._left) > REMEMBERED:
            del self._left[next(iter(self._left))]
        return left

    def wait_s(self, left: float) -> int:
        """Whole seconds until there is one again."""
        return max(1, -int(-(1.0 - left) // self.per_second))


class Turnstile:
    """Lets in ``at_once`` over all, ``of_one`` of each who comes; each ``burst`` times, and then ``per_second``.

    For routes that hold a thread while they last.
    """

    def __init__(self, what: str, *, at_once: int, of_one: int, per_second: float, burst: float) -> None:
        self.at_once = at_once
        self._what = what
        self._of_one = of_one
        self._lock = Lock()
        self._inside: dict[Hashable, int] = {}
        self._allowances = Allowances(per_second, burst)

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
        inside = self._inside.get(who, 0)
        full = inside >= self._of_one or sum(self._inside.values()) >= self.at_once
        if full or self._allowances.take(who, now_s) < 1.0:
            error = Refused(f"too many {self._what} at once", fix="try again in a moment", code="rate-limited")
            error.retry_after_s = 1
            raise error
        self._inside[who] = inside + 1
