"""What a cluster has of one kind, kept up to date: a list, then a watch, and a list again now and then.

A ``Reflector`` is a thread. It trusts the list: what a watch lost, doubled, delayed or turned round is set right by the
next one, every few minutes. A watch goes on from the version of a list, a bookmark or an event of the same watch, never
from an object's own. Readers ask the ``Cache``, and never wait for the cluster.
"""

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from k8s.client import Client, Listing, Watching
from k8s.errors import ClusterError, Denied, Gone, Missing
from k8s.streams import Change

_log = structlog.get_logger(__name__)

Object = dict[str, Any]

RELIST_S = 270.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _ABSENT_PAUSE_S = 0.2, 20.0, 60.0
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
_REMEMBERED = 4096  # objects seen to go, whose late events are dropped


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects to follow. ``trim`` keeps what is needed of one, or None for one that does not concern us.

    ``keys`` names what an object is found by, beside its uid. ``definition``: of a kind that the cluster may not know at all.
    """

    path: str
    trim: Callable[[Object], Object | None]
    keys: Callable[[Object], Iterable[str]] = lambda _: ()
    query: dict[str, Any] = field(default_factory=dict)
    definition: str | None = None


class Cache:
    """The objects of one kind by uid. Every method may be called from any thread; what it gives is not to be altered."""

    def __init__(self, kind: Kind, changed: Callable[[Object | None, Object | None], None]) -> None:
        self._kind = kind
        self._changed = changed  # (before, after), called without the lock
        self._lock = threading.Lock()
        self._objects: dict[str, Object] = {}
        self._found: defaultdict[str, dict[str, Object]] = defaultdict(dict)
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._put_at: dict[str, int] = {}  # when what start made was put here, in counts of ``_moment``
        self._moment = 0

    def __len__(self) -> int:
        return len(self._objects)

    def all(self) -> list[Object]:
        with self._lock:
            return list(self._objects.values())

    def get(self, uid: str) -> Object | None:
        with self._lock:
            return self._objects.get(uid)

    def by(self, key: str) -> list[Object]:
        """The objects that ``Kind.keys`` gave this key."""
        with self._lock:
            return list(self._found[key].values()) if key in self._found else []

    def put(self, raw: Object, *, own: bool = False) -> None:
        """Take in a newer state. ``own``: it is the answer to a request of ours, which a list under way may not know."""
        found = self._kind.trim(raw)
        uid, before = str(raw["metadata"]["uid"]), None
        with self._lock:
            before = self._objects.get(uid)
            if found is None or (before is not None and _is_older(found, before)):
                return
            if own:
                self._put_at[uid] = self._moment
                self._gone.pop(uid, None)
            elif uid in self._gone:
                return
            self._set(uid, before, found)
        if before is None or before["metadata"].get("resourceVersion") != found["metadata"].get("resourceVersion"):
            self._changed(before, found)

    def drop(self, raw: Object) -> None:
        """It is gone, or does not concern us any more; ``raw`` is its last state."""
        last = self._kind.trim(raw)
        uid = str(raw["metadata"]["uid"])
        with self._lock:
            before = self._objects.get(uid)
            if before is not None and _is_older(raw, before):  # it came back meanwhile
                return
            self._bury(uid, before)
        if before is not None or last is not None:
            self._changed(last or before, None)

    def lose(self, uid: str) -> None:
        """It was looked for, and is gone."""
        with self._lock:
            before = self._objects.get(uid)
            self._bury(uid, before)
        if before is not None:
            self._changed(before, None)

    def begin(self) -> int:
        """A list is about to be asked for: what is put from now on may be newer than it."""
        with self._lock:
            self._moment += 1
            return self._moment

    def replace(self, listing: Listing, began: int) -> None:
        """Be as the list says: what it lacks is gone, but for what was put since it was asked for."""
        found = {str(raw["metadata"]["uid"]): self._kind.trim(raw) for raw in listing.items}
        changes: list[tuple[Object | None, Object | None]] = []
        with self._lock:
            for uid, before in list(self._objects.items()):
                if found.get(uid) is None and self._put_at.get(uid, -1) < began:
                    changes.append((before, None))
                    self._bury(uid, before)
            self._put_at = {uid: at for uid, at in self._put_at.items() if at >= began}
            for uid, after in found.items():
                known = self._objects.get(uid)
                if after is None or (uid in self._put_at and known is not None and _is_older(after, known)):
                    continue
                self._gone.pop(uid, None)
                self._set(uid, known, after)
                if known is None or known["metadata"].get("resourceVersion") != after["metadata"].get(
                    "resourceVersion"
                ):
                    changes.append((known, after))
        for one, other in changes:
            self._changed(one, other)

    def clear(self) -> None:
        self.replace(Listing([], ""), self.begin())

    def _set(self, uid: str, before: Object | None, after: Object) -> None:
        if before is not None:
            self._unfind(uid, before)
        self._objects[uid] = after
        for key in self._kind.keys(after):
            self._found[key][uid] = after

    def _bury(self, uid: str, before: Object | None) -> None:
        self._objects.pop(uid, None)
        self._put_at.pop(uid, None)
        self._gone[uid] = None
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        if before is not None:
            self._unfind(uid, before)

    def _unfind(self, uid: str, before: Object) -> None:
        for key in self._kind.keys(before):
            if key in self._found:
                self._found[key].pop(uid, None)
                if not self._found[key]:
                    del self._found[key]


class Reflector:
    """Keeps a ``Cache`` like its cluster, in a thread of its own, from ``begin`` to ``close``.

    - ``heard`` is called whenever the cluster answered or sent anything.
    - ``spread`` gives numbers from 0 to 1, so that not all watches of a centre end at one time.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        *,
        changed: Callable[[Object | None, Object | None], None],
        heard: Callable[[], None],
        spread: Callable[[], float],
        relist_s: float = RELIST_S,
        quiet_s: float = 90.0,
    ) -> None:
        self.cache = Cache(kind, changed)
        self.synced = threading.Event()  # once the first list is in
        self.trouble = ""  # why it cannot follow now; empty: it does
        self.absent = False  # the cluster does not know the kind
        self._client, self._kind = client, kind
        self._heard, self._spread = heard, spread
        self._relist_s, self._quiet_s = relist_s, quiet_s
        self._closing = threading.Event()
        self._hurry = False
        self._watching: Watching | None = None
        self._version = ""  # to watch from; empty: list first
        self._listed_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"baray-k8s{kind.path.rsplit('/', 1)[-1]}", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def relist(self) -> None:
        """Look at all again now, such as after the cluster was silent."""
        self._hurry = True
        if (watching := self._watching) is not None:
            watching.close()

    def close(self) -> None:
        """Ask the thread to end; ``join`` waits for it."""
        self._closing.set()
        if (watching := self._watching) is not None:
            watching.close()

    def join(self, timeout_s: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            try:
                self._follow()
                failures, self.trouble = 0, ""
                continue
            except Gone:
                self._version = ""
                pause = _FIRST_PAUSE_S * (failures > 0)
            except ClusterError as error:
                self.trouble = error.message
                pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures, 10))
                pause = max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE_S))
                if isinstance(error, Missing | Denied):
                    self._version = ""
                    pause = _ABSENT_PAUSE_S if self._is_absent() else pause
            except Exception as error:  # noqa: BLE001 - an object that we do not understand must not blind us to all others
                _log.exception("kubernetes_watch_failed", path=self._kind.path)
                self.trouble, self._version = f"{type(error).__name__}", ""
                pause = _LONGEST_PAUSE_S
            failures += 1
            self._closing.wait(pause * (0.5 + self._spread()))

    def _follow(self) -> None:
        """One list if it is due, then one watch to its end."""
        if not self._version or self._hurry or time.monotonic() - self._listed_at >= 0.9 * self._relist_s:
            self._list()
        left = self._relist_s - (time.monotonic() - self._listed_at)
        lasts = max(1.0, left) * (0.9 + 0.1 * self._spread())
        watching = self._client.watch(self._kind.path, self._version, lasts, quiet_s=self._quiet_s, **self._kind.query)
        self._watching = watching
        if self._closing.is_set() or self._hurry:
            watching.close()
        self.trouble = ""
        self._heard()
        began = time.monotonic()
        try:
            for change in watching:
                self._heard()
                self._take(change)
        finally:
            self._watching = None
        if time.monotonic() - began < 1.0:  # one that ends at once, again and again, must not keep us busy
            self._closing.wait(_FIRST_PAUSE_S)

    def _list(self) -> None:
        self._hurry = False
        began = self.cache.begin()
        listing = self._client.list(self._kind.path, **self._kind.query)
        self._heard()
        self._listed_at = time.monotonic()
        self._version, self.absent = listing.version, False
        self.cache.replace(listing, began)
        self.synced.set()

    def _take(self, change: Change) -> None:
        about = change.object.get("metadata") or {}
        if change.kind in ("ADDED", "MODIFIED"):
            self.cache.put(change.object)
        elif change.kind == "DELETED":
            self.cache.drop(change.object)
        self._version = str(about.get("resourceVersion") or self._version)

    def _is_absent(self) -> bool:
        """Whether the cluster does not have the kind, or never showed it to us: then there are none.

        Not so if there were some. An API server that comes up may deny for a moment to know what others defined.
        """
        if self._kind.definition is None:
            return False
        if len(self.cache):
            try:
                if self._client.get(_DEFINITIONS + self._kind.definition) is not None:
                    return False
            except ClusterError:
                return False
            self.cache.clear()
        self._heard()
        self.absent, self.trouble = True, ""
        self.synced.set()
        return True


def _is_older(one: Object, other: Object) -> bool:
    """Whether an event came late. Versions of one object that are plain numbers grow; of others nothing is known."""
    old, new = one["metadata"].get("resourceVersion", ""), other["metadata"].get("resourceVersion", "")
    return old.isdecimal() and new.isdecimal() and int(old) < int(new)
