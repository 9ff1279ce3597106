"""The logs of pods, brought to the shelf: followed while somebody reads them, and whole before an end is told.

A log is read with the cluster's timestamps, which are taken off again. They tell where to go on after a cut. After a
restart of Baray nothing is known but what the shelf has: then the log is read from its beginning, and as much skipped.
"""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.errors import BarayError
from domain.ids import AttemptId
from k8s import names
from k8s.client import Client
from k8s.errors import ClusterError, Missing, Unprocessable, Unreachable
from lifecycle.driving import Shelf

_log = structlog.get_logger(__name__)

Object = dict[str, Any]

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")
_FOLLOWERS = 64
_IDLE_S = 60.0  # without a reader a follower ends
_FIRST_LOOK_S = 3.0  # the first reader of a log waits so long for what there is
_QUIET_S = 30.0  # of a job that prints nothing: then one looks again
_READ_S, _END_S = 5.0, 20.0  # silence of a node, and all of it, until the end is told without the rest
_LONGEST_LINE = 1 << 18
_COMPARED = 256

_UNREADABLE = b"[baray] The rest of this log could not be read from its node.\n"
_DOUBTFUL = b"[baray] The log goes on here; some of it may be missing or twice.\n"


@dataclass
class _Place:
    """Where the reading of a rank's log stands. ``lock`` is held by the one who reads.

    ``stamp``, ``count``: the newest time, and how many lines of it are on the shelf.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: bytes = b""
    count: int = 0
    asked: float = 0.0  # when somebody last wanted to read it
    following: bool = False
    opened: threading.Event = field(default_factory=threading.Event)  # what is printed from now on will be read


class Scribe:
    """Brings logs to the shelf. ``pod`` is one of the cluster's, with the user's container begun."""

    def __init__(self, client: Client, shelf: Shelf) -> None:
        self._client = client
        self._shelf = shelf
        self._lock = threading.Lock()
        self._places: dict[tuple[AttemptId, int], _Place] = {}
        self._followers = 0
        self._closed = threading.Event()

    def has_ended(self, attempt: AttemptId, rank: int) -> bool:
        return self._shelf.log(attempt, rank, 1 << 60, 0).complete

    def wanted(self, attempt: AttemptId, rank: int, pod: Object) -> None:
        """Somebody reads it: bring what there is now, and follow on for a while."""
        place = self._place(attempt, rank)
        first = place.asked == 0.0
        place.asked = time.monotonic()
        if place.following:
            return
        if (first or not self.follow(attempt, rank, pod)) and place.lock.acquire(blocking=False):
            try:
                self._read(attempt, rank, pod, place, follow=False, over=False, lasts=_FIRST_LOOK_S)
            except ClusterError:
                pass  # the follower tries again
            finally:
                place.lock.release()
            self.follow(attempt, rank, pod)

    def sweep(self, attempt: AttemptId, rank: int, pod: Object) -> None:
        """Bring what there is now, if nobody is at it. Raises ClusterError."""
        place = self._place(attempt, rank)
        if not place.following and place.lock.acquire(blocking=False):
            try:
                self._read(attempt, rank, pod, place, follow=False, over=False, lasts=_FIRST_LOOK_S)
            finally:
                place.lock.release()

    def follow(self, attempt: AttemptId, rank: int, pod: Object) -> bool:
        """Begin to follow in a thread of its own. False if there are too many already."""
        place = self._place(attempt, rank)
        with self._lock:
            if place.following:
                return True
            if self._followers >= _FOLLOWERS or self._closed.is_set():
                return False
            place.following = True
            place.opened.clear()
            self._followers += 1
        place.asked = max(place.asked, time.monotonic())
        name = f"baray-log-{attempt}-{rank}"
        threading.Thread(target=self._follow, args=(attempt, rank, pod, place), name=name, daemon=True).start()
        return True

    def hold(self, attempt: AttemptId, pods: Mapping[int, Object]) -> None:
        """These are about to end, and their logs may go with them: be there before. Waits for it a little."""
        deadline = time.monotonic() + _FIRST_LOOK_S
        followed = [self._place(attempt, rank) for rank, pod in pods.items() if self.follow(attempt, rank, pod)]
        for place in followed:
            place.opened.wait(max(0.0, deadline - time.monotonic()))
        if not followed:  # too many at once: what there is must do
            for rank, pod in pods.items():
                if time.monotonic() < deadline:
                    self.wanted(attempt, rank, pod)

    def finish(
        self, attempt: AttemptId, rank: int, pod: Object | None, *, there: bool, patience_s: float = _END_S
    ) -> None:
        """The rank has ended: bring the rest, and say that no more will come. Bounded, whatever its node does.

        ``there``: the pod is still on the cluster. One that is gone may have a follower that was quicker.
        """
        if self.has_ended(attempt, rank):
            return
        place = self._place(attempt, rank)
        if place.lock.acquire(
            timeout=patience_s if there else min(2.0, patience_s)
        ):  # a follower reads to the end by itself
            try:
                self._read_rest(attempt, rank, pod if there else None, place, patience_s)
            finally:
                place.lock.release()
        else:
            self._shelf.append_log(attempt, rank, _UNREADABLE)
        self._shelf.end_log(attempt, rank)
        with self._lock:
            self._places.pop((attempt, rank), None)

    def forget(self, attempt: AttemptId) -> None:
        with self._lock:
            for key in [key for key in self._places if key[0] == attempt]:
                del self._places[key]

    def close(self) -> None:
        self._closed.set()

    def _read_rest(self, attempt: AttemptId, rank: int, pod: Object | None, place: _Place, patience_s: float) -> None:
        if pod is None:
            return
        for last in (False, True):
            try:
                self._read(attempt, rank, pod, place, follow=False, over=True, lasts=patience_s / 2)
            except (Missing, Unprocessable):  # gone meanwhile, or its container never began
                return
            except ClusterError as error:
                if last or self._closed.is_set():
                    _log.warning("log_unreadable", attempt=str(attempt), rank=rank, why=error.message)
                    self._shelf.append_log(attempt, rank, _UNREADABLE)
            else:
                return

    def _follow(self, attempt: AttemptId, rank: int, pod: Object, place: _Place) -> None:
        try:
            with place.lock:
                pause = 0.2
                while not self._closed.is_set() and time.monotonic() - place.asked < _IDLE_S:
                    try:
                        self._read(attempt, rank, pod, place, follow=True, over=False, lasts=_IDLE_S)
                        break  # it has ended
                    except (Missing, Unprocessable):
                        break
                    except ClusterError as error:
                        if error.reason != "Timeout":  # which is a job that prints nothing
                            pause = min(10.0, 2 * pause)
                        self._closed.wait(pause)
        except BarayError as error:  # a full disk: the end tells
            _log.warning("log_not_followed", attempt=str(attempt), rank=rank, why=error.message)
        finally:
            with self._lock:
                place.following = False
                self._followers -= 1
            place.opened.set()  # nobody need wait for it

    def _read(
        self, attempt: AttemptId, rank: int, pod: Object, place: _Place, *, follow: bool, over: bool, lasts: float
    ) -> None:
        """Bring what is new to the shelf; to the end of the log, or of a follower's time."""
        about = pod["metadata"]
        query: dict[str, Any] = {"container": names.MAIN, "timestamps": True}
        if follow:
            query["follow"] = True
        if place.stamp:
            query["sinceTime"] = place.stamp[:19].decode() + place.stamp[29:].decode()
        sieve = _Sieve(place)
        skip = 0 if place.stamp else self._length(attempt, rank)
        gate = _Gate(self._shelf.log(attempt, rank, 0, min(skip, _COMPARED)).data, skip)
        path = f"/api/v1/namespaces/{about['namespace']}/pods/{about['name']}/log"
        deadline = time.monotonic() + lasts
        rest = b""
        with self._client.stream(path, quiet_s=_QUIET_S if follow else _READ_S, **query) as stream:
            place.opened.set()
            for piece in stream:
                *lines, rest = (rest + piece).split(b"\n")
                found = [sieve.take(line + b"\n") for line in lines]
                if len(rest) > _LONGEST_LINE:  # which goes on without a time
                    found.append(sieve.take(rest, whole=False))
                    rest = b""
                self._put(attempt, rank, gate.let(b"".join(found)))
                if not follow and time.monotonic() > deadline:
                    raise Unreachable("the log is longer than there is time for")
                if follow and (self._closed.is_set() or time.monotonic() - place.asked > _IDLE_S):
                    return
        if rest and (follow or over):  # else it is a line that goes on
            self._put(attempt, rank, gate.let(sieve.take(rest)))

    def _put(self, attempt: AttemptId, rank: int, data: bytes) -> None:
        if data:
            self._shelf.append_log(attempt, rank, data)

    def _length(self, attempt: AttemptId, rank: int) -> int:
        """How long the log on the shelf is, found by asking for single bytes."""
        if not self._shelf.log(attempt, rank, 0, 1).data:
            return 0
        low, high = 0, 1
        while self._shelf.log(attempt, rank, high, 1).data:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._shelf.log(attempt, rank, middle, 1).data else (low, middle)
        return high

    def _place(self, attempt: AttemptId, rank: int) -> _Place:
        with self._lock:
            return self._places.setdefault((attempt, rank), _Place())


class _Sieve:
    """Takes the time off each line, and keeps back those that are on the shelf: they come first when one reads again."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._known = place.stamp
        self._left = place.count
        self._again = bool(place.stamp)

    def take(self, line: bytes, *, whole: bool = True) -> bytes:
        """What of the line is new, without its time. One without a time is the rest of a long one."""
        match = _STAMP.match(line)
        if match is None:
            return b"" if self._again else line
        stamp = match[1] + b"." + (match[2] or b"").ljust(9, b"0") + match[3]
        if self._again:
            if stamp < self._known:
                return b""
            if stamp == self._known and self._left:
                self._left -= 1
                return b""
            self._again = False
        place = self._place
        if stamp > place.stamp:
            place.stamp, place.count = stamp, 0
        if stamp == place.stamp and whole:
            place.count += 1
        return line[match.end() :]


class _Gate:
    """Leaves out as much as the shelf has, if that begins like what comes."""

    def __init__(self, head: bytes, skip: int) -> None:
        self._head = head
        self._skip = skip
        self._held = b""

    def let(self, data: bytes) -> bytes:
        if self._head:
            self._held += data
            if len(self._held) < len(self._head):
                return b""
            if not self._held.startswith(self._head):  # the cluster has thrown the beginning away
                self._held, self._skip = _DOUBTFUL + self._held, 0
            data, self._held, self._head = self._held, b"", b""
        cut = min(self._skip, len(data))
        self._skip -= cut
        return data[cut:]
