"""What all controllers share: they follow the store's changes, keep a queue of keys, and may be due at a time."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.kube import failure
from tests.support.kube.objects import Obj, Objects
from tests.support.kube.store import Change, Key, Store
from tests.support.kube.table import EVENTS, Resource


@dataclass(slots=True)
class World:
    """What controllers work on, and what they tell the test."""

    objects: Objects
    absent: frozenset[str] = frozenset()  # groups that are not served
    violations: list[str] = field(default_factory=list)
    notify: Callable[[], None] = lambda: None

    @property
    def store(self) -> Store:
        return self.objects.store

    def now_ms(self) -> int:
        return self.objects.clock.now_ms()

    def now(self) -> str:
        return self.objects.now()

    def event(self, obj: Obj, kind: str, reason: str, message: str, source: str) -> None:
        """Tell people of ``obj``. Repeats are counted; lost where its namespace is gone."""
        meta = obj["metadata"]
        namespace = meta.get("namespace", "default")
        involved = {"kind": obj["kind"], "name": meta["name"], "uid": meta["uid"], "apiVersion": obj["apiVersion"]}
        involved |= {"namespace": namespace} if meta.get("namespace") else {}
        name = f"{meta['name']}.{abs(hash((meta['uid'], reason, message))) % (1 << 60):x}"
        now = self.now()

        def count(event: Obj) -> None:
            event["count"] += 1
            event["lastTimestamp"] = now

        if self.objects.change(EVENTS, (namespace, name), count) is not None:
            return
        body = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {"component": source},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "reportingComponent": source,
            "reportingInstance": "",
        }
        try:
            self.objects.create(EVENTS, body)
        except failure.Failure:
            return


def ms_of(text: str | None) -> int:
    """Of a timestamp as objects have it; 0 for none."""
    if not text:
        return 0
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


class Controller:
    """Subclasses say by ``noticed`` which keys a change concerns, and bring one key in order by ``sync``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store, self.objects = world.store, world.objects
        self._cursor = 0
        self._queue: dict[Any, None] = {}
        self._timers: list[tuple[int, int, Any]] = []
        self._count = 0

    def noticed(self, change: Change) -> None:
        raise NotImplementedError

    def sync(self, key: Any) -> None:
        raise NotImplementedError

    def enqueue(self, key: Any) -> None:
        self._queue[key] = None

    def enqueue_at(self, at_ms: int, key: Any) -> None:
        self._count += 1
        heapq.heappush(self._timers, (at_ms, self._count, key))

    def due_ms(self) -> int | None:
        return self._timers[0][0] if self._timers else None

    def step(self) -> None:
        for change in self.store.since(self._cursor):
            self._cursor = change.revision  # not the newest: to notice one may write another
            self.noticed(change)
        now = self.world.now_ms()
        while self._timers and self._timers[0][0] <= now:
            self.enqueue(heapq.heappop(self._timers)[2])
        queue, self._queue = self._queue, {}
        for key in queue:
            self.sync(key)

    @property
    def idle(self) -> bool:
        due = self.due_ms()
        return not self._queue and self._cursor == self.store.revision and (due is None or due > self.world.now_ms())


def controller_of(obj: Obj) -> Obj | None:
    return next((ref for ref in obj["metadata"].get("ownerReferences") or [] if ref.get("controller")), None)


def owned_by(resource: Resource, owner: Obj, kind: str) -> dict[str, Any]:
    meta = owner["metadata"]
    return {
        "apiVersion": resource.group_version,
        "kind": kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def set_condition(
    conditions: list[Obj], kind: str, status: str, reason: str, message: str, now: str, **more: Any
) -> bool:
    """Whether anything changed."""
    for entry in conditions:
        if entry["type"] == kind:
            if (entry["status"], entry.get("reason"), entry.get("message")) == (status, reason, message):
                return False
            if entry["status"] != status:
                entry["lastTransitionTime"] = now
            entry |= {"status": status, "reason": reason, "message": message, **more}
            return True
    conditions.append(
        {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message, **more}
    )
    return True


def is_true(obj: Obj, kind: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)


def key_of(obj: Obj) -> Key:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
