"""What the driver sees of its cluster: the kinds that it follows, put together into units and observations.

Threads of the reflectors tell what changed; ``refresh`` works through that, and nothing else. Nothing here asks the
cluster for anything: readers never wait for it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from domain.clusters import ClusterConfig
from domain.ids import AttemptId
from domain.jobs import Observation
from k8s import names, trim
from k8s.client import Client
from k8s.marks import Stop
from k8s.status import observations
from k8s.units import Unit, home, home_of, paths, pods_of
from k8s.watch import RELIST_S, Kind, Reflector

Object = dict[str, Any]

_SAID_MOST = 3
_STOPS_MOST = 100_000


class Eyes:
    """One for each driver. ``news`` is called from any thread when there is something to ``refresh``."""

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        origin: str,
        *,
        news: Callable[[], None],
        heard: Callable[[], None],
        spread: Callable[[], float],
        relist_s: float = RELIST_S,
    ) -> None:
        ours = {"labelSelector": f"{names.ORIGIN}={origin},!{names.FORGOTTEN}"}
        self._client, self._origin = client, origin
        self._news = news
        self._lock = threading.RLock()
        self._dirty: set[str] = set()  # uids of owners
        self._units: dict[str, Unit] = {}
        self._seen: dict[str, dict[int, Observation]] = {}
        self._owner: dict[AttemptId, str] = {}
        self._remains: defaultdict[str, dict[str, Object]] = defaultdict(dict)  # of pods that are gone, by home
        self._stops: dict[AttemptId, Stop] = {}
        self._said: dict[str, tuple[str, ...]] = {}
        self.fleet_moved = threading.Event()  # nodes or others' pods changed since somebody looked

        def follow(kind: Kind, changed: Callable[[Object | None, Object | None], None]) -> Reflector:
            return Reflector(client, kind, changed=changed, heard=heard, spread=spread, relist_s=relist_s)

        self.jobs = follow(Kind(paths("jobs"), trim.job, _found_by, ours), self._owner_changed)
        self.jobsets = follow(
            Kind(paths("jobsets"), trim.jobset, _found_by, ours, "jobsets.jobset.x-k8s.io"), self._owner_changed
        )
        self.pods = follow(Kind(paths("pods"), trim.pod, self._pod_keys), self._pod_changed)
        self.nodes = follow(Kind(paths("nodes"), trim.node), self._node_changed)
        workloads = Kind(
            paths("workloads"), trim.workload, lambda obj: obj["metadata"]["owners"], {}, "workloads.kueue.x-k8s.io"
        )
        self.workloads = follow(workloads, self._workload_changed) if config.kueue else None

    @property
    def reflectors(self) -> tuple[Reflector, ...]:
        found = (self.jobs, self.jobsets, self.pods, self.nodes, self.workloads)
        return tuple(one for one in found if one is not None)

    @property
    def synced(self) -> bool:
        """Whether all that attempts are made of was listed once."""
        return all(one.synced.is_set() for one in (self.jobs, self.jobsets, self.pods))

    def wait(self, timeout_s: float) -> bool:
        """Wait for the first lists."""
        deadline = time.monotonic() + timeout_s
        return all(one.synced.wait(max(0.0, deadline - time.monotonic())) for one in self.reflectors)

    def put(self, owner: Object) -> None:
        """What a request of ours was answered with: seen at once."""
        reflector = self.jobsets if owner.get("kind") == "JobSet" else self.jobs
        reflector.cache.put(owner, own=True)

    def forget(self, owner: Object) -> None:
        """It was forgotten by us, and is not to be seen any more."""
        reflector = self.jobsets if owner.get("kind") == "JobSet" else self.jobs
        reflector.cache.drop(owner)

    def look_again(self, unit: Unit) -> Unit | None:
        """Ask the cluster itself for all of a unit, where what was followed may lag behind. Raises ClusterError."""
        owner = self._client.get(unit.path)
        if owner is not None and owner["metadata"]["uid"] == unit.uid:
            self.put({**owner, "kind": unit.owner["kind"]})
        selector = pods_of(unit.owner)
        found = self._client.list(paths("pods", unit.namespace), labelSelector=selector).items
        here = {str(pod["metadata"]["uid"]) for pod in found}
        for pod in found:
            self.pods.cache.put(pod, own=True)
        for pod in self.pods.cache.by(home(unit.owner)):
            if pod["metadata"]["uid"] not in here:
                self.pods.cache.lose(str(pod["metadata"]["uid"]))
        self.refresh()
        with self._lock:
            return self._units.get(unit.uid)

    def refresh(self) -> list[Unit]:
        """Look again at what changed. Answers the units that did."""
        with self._lock:
            dirty, self._dirty = self._dirty, set()
            changed = []
            for uid in dirty:
                unit = self._gather(uid)
                if unit is None:
                    self._lose(uid)
                    continue
                changed.append(unit)
                self._units[uid] = unit
                self._seen[uid] = observations(unit, self._stops)
                for attempt in unit.attempts:
                    self._owner[attempt] = uid
            return changed

    def unit(self, uid: str) -> Unit | None:
        with self._lock:
            return self._units.get(uid)

    def seen(self) -> list[tuple[Unit, dict[int, Observation]]]:
        """Every unit, with the observations of its attempts by position, as the cluster shows them."""
        with self._lock:
            return [(unit, self._seen[uid]) for uid, unit in self._units.items()]

    def find(self, attempt: AttemptId) -> tuple[Unit, int] | None:
        """What stands for an attempt, and its position in that."""
        self.refresh()
        with self._lock:
            unit = self._units.get(self._owner.get(attempt, ""))
            if unit is None or attempt not in unit.attempts:
                return None
            return unit, unit.attempts.index(attempt)

    def asked_to_stop(self, attempt: AttemptId, stop: Stop) -> None:
        """It is stopping from now on, before the cluster knows."""
        with self._lock:
            if len(self._stops) < _STOPS_MOST:
                self._stops.setdefault(attempt, stop)
            if (uid := self._owner.get(attempt)) is not None:
                self._dirty.add(uid)

    def stop_asked(self, attempt: AttemptId) -> Stop | None:
        with self._lock:
            return self._stops.get(attempt)

    def says(self, uid: str, said: tuple[str, ...]) -> None:
        """What the cluster's events tell of a unit."""
        with self._lock:
            if self._said.get(uid, ()) != said:
                self._said[uid] = said[-_SAID_MOST:]
                self._dirty.add(uid)
        self._news()

    def _gather(self, uid: str) -> Unit | None:
        owner = self.jobs.cache.get(uid) or self.jobsets.cache.get(uid)
        if owner is None or not names.attempts_of(owner["metadata"]):
            return None
        place = home(owner)
        pods = self.pods.cache.by(place)
        here = {str(pod["metadata"]["uid"]) for pod in pods}
        remains = self._remains.get(place, {})
        gone = {gone_uid: pod for gone_uid, pod in remains.items() if gone_uid not in here}
        found = self.workloads.cache.by(uid) if self.workloads is not None else []
        return Unit(
            owner,
            (*gone.values(), *pods),
            frozenset(gone),
            found[-1] if found else None,
            self._said.get(uid, ()),
        )

    def _lose(self, uid: str) -> None:
        unit = self._units.pop(uid, None)
        self._seen.pop(uid, None)
        self._said.pop(uid, None)
        if unit is None:
            return
        self._remains.pop(home(unit.owner), None)
        for attempt in unit.attempts:
            if self._owner.get(attempt) == uid:
                del self._owner[attempt]
                self._stops.pop(attempt, None)

    def _owner_changed(self, before: Object | None, after: Object | None) -> None:
        self._touch(str(((after or before) or {})["metadata"]["uid"]))

    def _workload_changed(self, before: Object | None, after: Object | None) -> None:
        for uid in ((after or before) or {})["metadata"]["owners"]:
            self._touch(uid)

    def _pod_changed(self, before: Object | None, after: Object | None) -> None:
        pod = after or before
        assert pod is not None
        if not self._is_ours(pod):
            self.fleet_moved.set()
            return
        place = home_of(pod)
        with self._lock:
            owner = self._owner_at(place)
            if owner is None:  # which comes later, or was forgotten
                return
            if after is None:
                self._remains[place][str(pod["metadata"]["uid"])] = pod
        self._touch(owner)

    def _node_changed(self, before: Object | None, after: Object | None) -> None:  # noqa: ARG002 - that it did is all
        self.fleet_moved.set()

    def _owner_at(self, place: str) -> str | None:
        if "/" not in place:
            return place if self.jobs.cache.get(place) is not None else None
        found = self.jobsets.cache.by(place)
        return str(found[-1]["metadata"]["uid"]) if found else None

    def _touch(self, uid: str) -> None:
        with self._lock:
            self._dirty.add(uid)
        self._news()

    def _is_ours(self, pod: Object) -> bool:
        return bool((pod["metadata"].get("labels") or {}).get(names.ORIGIN) == self._origin)

    def _pod_keys(self, pod: Object) -> Iterable[str]:
        return (home_of(pod),) if self._is_ours(pod) else ()


def _found_by(owner: Object) -> Iterable[str]:
    return (home(owner),)
