"""What goes wrong on purpose: answers that are lost, refusals, silence."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.kube import failure
from tests.support.kube.web import Cut, Reply, Request

Handler = Callable[[Request], Reply]
_HANGS_S = 600.0


@dataclass(slots=True)
class Fault:
    """One thing that will go wrong with requests that match, ``left`` more times (None: until it is lifted)."""

    kind: str
    method: str
    path: re.Pattern[str]
    left: int | None
    code: int = 0
    seconds: float = 0.0
    hits: int = 0
    lifted: threading.Event = field(default_factory=threading.Event)


class Faults:
    """Stands between the connection and what answers. ``requests`` is all that was asked, as (method, path with query)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[Request], None] = lambda _: None  # called with each request that is let through
        self.after: Callable[[Request, Reply], None] = lambda _request, _reply: None  # done, not yet answered

    def lose(self, method: str = "", path: str = "", times: int | None = 1) -> Fault:
        """Do what is asked, then cut the connection instead of an answer."""
        return self._add("lose", method, path, times)

    def cut(self, method: str = "", path: str = "", times: int | None = 1) -> Fault:
        """Cut the connection without doing anything."""
        return self._add("cut", method, path, times)

    def hang(self, method: str = "", path: str = "", times: int | None = 1) -> Fault:
        """Never answer, nor do what is asked, until the fault is lifted: then the connection is cut."""
        return self._add("hang", method, path, times)

    def late(self, method: str = "", path: str = "", times: int | None = 1) -> Fault:
        """Answer nothing until the fault is lifted, and only then do what is asked: a request that was on its way."""
        return self._add("late", method, path, times)

    def fail(self, code: int, method: str = "", path: str = "", times: int | None = 1, retry_after: int = 1) -> Fault:
        """Answer with an error: 429 (with Retry-After), 500, 503, 504, or any other."""
        return self._add("fail", method, path, times, code=code, seconds=retry_after)

    def slow(self, seconds: float, method: str = "", path: str = "", times: int | None = None) -> Fault:
        """Wait so long before doing what is asked."""
        return self._add("slow", method, path, times, seconds=seconds)

    def lift(self, fault: Fault | None = None) -> None:
        """End the fault; all of them by default."""
        with self._lock:
            gone = [entry for entry in self._faults if fault in (None, entry)]
            self._faults = [entry for entry in self._faults if entry not in gone]
        for entry in gone if fault is None else [fault]:
            entry.lifted.set()

    def _add(self, kind: str, method: str, path: str, times: int | None, code: int = 0, seconds: float = 0.0) -> Fault:
        fault = Fault(kind, method, re.compile(path), times, code, seconds)
        with self._lock:
            self._faults.append(fault)
        return fault

    def _next(self, request: Request, told: str) -> Fault | None:
        with self._lock:
            self.requests.append((request.method, told))
            for fault in self._faults:
                if fault.method in ("", request.method) and fault.path.search(told) and fault.left != 0:
                    fault.hits += 1
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def around(self, handler: Handler, request: Request) -> Reply:
        told = request.path + ("?" + "&".join(f"{k}={v}" for k, v in request.query.items()) if request.query else "")
        fault = self._next(request, told)
        if fault is None:
            self.before(request)
            reply = handler(request)
            self.after(request, reply)
            return reply
        if fault.kind == "fail":
            raise _failure(fault)
        if fault.kind == "cut":
            raise Cut
        if fault.kind in ("hang", "late"):
            fault.lifted.wait(_HANGS_S)
        elif fault.kind == "slow":
            fault.lifted.wait(fault.seconds)
        if fault.kind == "hang":
            raise Cut
        reply = handler(request)
        if fault.kind == "lose":
            raise Cut
        return reply


def _failure(fault: Fault) -> failure.Failure:
    if fault.code == 429:
        return failure.too_many(int(fault.seconds))
    reasons = {
        500: "InternalError",
        503: "ServiceUnavailable",
        504: "Timeout",
        403: "Forbidden",
        409: "Conflict",
        410: "Expired",
    }
    messages = {
        500: "Internal error occurred: etcdserver: request timed out",
        503: "the server is currently unable to handle the request",
    }
    return failure.Failure(
        fault.code, reasons.get(fault.code, ""), messages.get(fault.code, f"a fault of the test: {fault.code}")
    )
