"""How an attempt comes to a cluster: its object under a name that follows from its id, then its satellites (driver → here).

At most one object ever: what cannot be known is looked up by name. A create whose answer was lost may still arrive; the
time in which it can is bounded, and until then ``uncertain`` holds.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from domain.clusters import ClusterConfig
from domain.errors import Unavailable
from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Observation
from k8s import marks, names
from k8s.client import FIELD_MANAGER, Client
from k8s.errors import ClusterError, Exists, Missing, Unprocessable, Unreachable
from k8s.eyes import Eyes
from k8s.hands import Hands
from k8s.manifests.build import build, is_bundled, needs_pass
from k8s.manifests.site import Made, Site, Unstartable, owned_by
from k8s.tenancy import Housekeeper
from k8s.units import paths
from lifecycle.driving import Passes

_log = structlog.get_logger(__name__)

Object = dict[str, Any]

_TAKES_S = 10  # the cluster's own limit on a create
ARRIVES_S = 20.0  # after which one whose answer was lost has come, or never will


class Starter:
    """- ``found`` answers (the queue that Kueue admits by, whether JobSet is there). Raises Unavailable.
    - ``resources`` answers what a flavor's devices are called on a node; None if the node is unknown.
    """

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        origin: str,
        passes: Passes,
        eyes: Eyes,
        hands: Hands,
        *,
        found: Callable[[], tuple[str | None, bool]],
        resources: Callable[[str, str], str | None],
        rooms: Housekeeper,
        arrives_s: float = ARRIVES_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._config, self._origin, self._passes = client, config, origin, passes
        self._eyes, self._hands = eyes, hands
        self._found, self._resources, self._rooms = found, resources, rooms
        self._arrives_s, self._monotonic = arrives_s, monotonic
        self._lock = threading.Lock()
        self._names: dict[str, threading.Lock] = {}
        self._whole: set[str] = set()  # uids of objects whose satellites are known to be there
        self._lost: dict[str, float] = {}  # names whose create was not answered, and until when it may arrive
        self.stillborn: dict[AttemptId, Observation] = {}  # those that can never start here

    @property
    def uncertain(self) -> bool:
        """Whether an object may still come up that nobody has seen."""
        now = self._monotonic()
        with self._lock:
            self._lost = {name: until for name, until in self._lost.items() if until > now}
            return bool(self._lost)

    def start(self, launch: Launch, now_ms: int) -> None:
        """Raises Unavailable if it cannot be told whether it was started."""
        if launch.attempt in self.stillborn:
            return
        try:
            made = self.made(launch)
        except Unstartable as error:
            self._refuse(launch.attempt, str(error), now_ms)
            return
        namespace = str(made.body["metadata"]["namespace"])
        key = f"{namespace}/{made.name}"
        try:
            with self._turn(key):
                self._rooms.ensure(launch.project_id, launch.spec.project)
                owner = self._owner(launch, made, key, now_ms)
                if owner is not None:
                    self._add_satellites(owner, made, namespace)
        except ClusterError as error:
            raise Unavailable(f"The cluster cannot take {launch.attempt} now: {error.message}") from error

    def made(self, launch: Launch) -> Made:
        """The objects of a launch. Raises Unstartable, or Unavailable if the cluster is not known well enough yet."""
        namespace = names.namespace(self._config.prefix, launch.spec.project)
        queue, jobset = self._found()
        resources: dict[str, str] = {}
        if launch.spec.resources.gpus:
            for node in _nodes(launch):
                resource = self._resources(node, launch.flavor)
                if resource is None:
                    raise Unavailable(f"The node {node} is not in sight, or has no {launch.flavor} any more.")
                resources[node] = resource
        passes = {attempt: self._passes.issue(attempt) for attempt in needs_pass(launch)}
        site = Site(self._origin, namespace, self._config, resources, queue, jobset, passes)
        made = build(launch, site)
        written = made.body["metadata"].setdefault("annotations", {})
        if launch.bundle is not None and is_bundled(launch):
            skipped = marks.Stop(marks.Why.SKIPPED, say="It was told to stop before it was started.").write()
            members = enumerate(launch.bundle.members)
            written |= {f"{names.STOP}.{at}": skipped for at, (one, _) in members if one in launch.bundle.skipped}
        return made

    def _owner(self, launch: Launch, made: Made, key: str, now_ms: int) -> Object | None:
        """The object, made or found; None if it is another's."""
        known = self._eyes.find(launch.attempt)
        if known is not None and known[0].uid in self._whole and _is_same(known[0].owner, made, self._origin):
            return None
        kind = "jobsets" if made.kind == "JobSet" else "jobs"
        namespace = str(made.body["metadata"]["namespace"])
        path = paths(kind, namespace)
        try:
            owner = self._create(launch, path, made, key)
        except Unprocessable as error:
            self._refuse(launch.attempt, f"The cluster refused it: {error.message}", now_ms)
            return None
        if not _is_same(owner, made, self._origin):
            say = f"There is another {made.kind} called {made.name} in {namespace} already: it was not started."
            self._refuse(launch.attempt, say, now_ms)
            return None
        owner.setdefault("kind", made.kind)
        owner.setdefault("apiVersion", made.body["apiVersion"])
        owner = {**self._hands.remember(owner, launch.attempt), "kind": made.kind, "apiVersion": owner["apiVersion"]}
        self._eyes.put(owner)
        with self._lock:
            self._lost.pop(key, None)
        return owner

    def _create(self, launch: Launch, path: str, made: Made, key: str) -> Object:
        """Make it; or find it, where it was made before."""
        there = f"{path}/{made.name}"
        for again in (False, True):
            try:
                return self._client.create(path, made.body, timeout=f"{_TAKES_S}s", fieldManager=FIELD_MANAGER)
            except Exists:
                found = self._client.get(there)
                if found is not None:
                    return found  # else it went just now, and its name is free
            except Missing:
                if again:
                    raise
                self._rooms.doubt(launch.spec.project)
                self._rooms.ensure(launch.project_id, launch.spec.project)
            except Unreachable as error:
                if error.reason == "Refused":  # nothing was sent
                    raise
                with self._lock:
                    self._lost[key] = self._monotonic() + self._arrives_s
                found = self._client.get(there)
                if found is None:
                    raise
                return found
        raise Unreachable("its name is taken, and then again it is not")

    def _add_satellites(self, owner: Object, made: Made, namespace: str) -> None:
        """Whatever is missing of what belongs to it."""
        uid = str(owner["metadata"]["uid"])
        if owner["metadata"].get("deletionTimestamp") is None:
            for satellite in made.satellites:
                kind = f"{satellite['kind'].lower()}s"
                with suppress(Exists):
                    self._client.create(paths(kind, namespace), owned_by(satellite, owner), fieldManager=FIELD_MANAGER)
        with self._lock:
            self._whole.add(uid)

    def forget(self, attempt: AttemptId, uid: str | None = None) -> None:
        with self._lock:
            self.stillborn.pop(attempt, None)
            self._whole.discard(uid or "")

    def _refuse(self, attempt: AttemptId, say: str, now_ms: int) -> None:
        _log.warning("attempt_not_started", attempt=str(attempt), why=say)
        self.stillborn[attempt] = Observation(attempt, AttemptState.FAILED, None, now_ms, detail=say)

    def _turn(self, key: str) -> threading.Lock:
        """One start of a name at a time, here; beyond that, the cluster has names only once."""
        with self._lock:
            if len(self._names) > 10_000:
                self._names = {name: lock for name, lock in self._names.items() if lock.locked()}
            return self._names.setdefault(key, threading.Lock())


def _nodes(launch: Launch) -> list[str]:
    if launch.bundle is not None and is_bundled(launch):
        return [placement.node for _, placements in launch.bundle.members for placement in placements]
    return [placement.node for placement in launch.placements]


def _is_same(owner: Mapping[str, Any], made: Made, origin: str) -> bool:
    """Whether what has the name is what this start would have made."""
    about = owner["metadata"]
    labels, annotations = about.get("labels") or {}, about.get("annotations") or {}
    return labels.get(names.ORIGIN) == origin and annotations.get(names.SPEC) == made.spec_hash
