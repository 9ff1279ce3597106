"""What etcd is to a real server: every object under one growing revision, with the history that watches read.

Objects handed out are never changed in place: a write puts a new one. All use is under ``lock``; ``changed`` is
notified by each write.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition, RLock
from typing import Any

from tests.support.kube.failure import expired
from tests.support.kube.table import Resource

Key = tuple[str, str]  # namespace, name
FIRST_REVISION = 1000


class Version:
    """One object at one revision; its JSON is made once."""

    __slots__ = ("_text", "obj", "revision")

    def __init__(self, obj: dict[str, Any], revision: int) -> None:
        self.obj, self.revision, self._text = obj, revision, b""

    @property
    def text(self) -> bytes:
        if not self._text:
            self._text = json.dumps(self.obj, separators=(",", ":")).encode()
        return self._text


@dataclass(frozen=True, slots=True)
class Change:
    revision: int
    resource: Resource
    key: Key
    old: Version | None
    new: Version | None
    last: Version  # what is told of it: the new one, or the old one with the revision of its end


class Store:
    def __init__(self, history: int = 50_000) -> None:
        self.lock = RLock()
        self.changed = Condition(self.lock)
        self.revision = FIRST_REVISION
        self.compacted = FIRST_REVISION  # revisions up to here cannot be asked for any more
        self._history = history
        self._changes: list[Change] = []
        self._held: dict[Resource, dict[Key, Version]] = {}

    def get(self, resource: Resource, key: Key) -> dict[str, Any] | None:
        version = self._held.get(resource, {}).get(key)
        return version.obj if version else None

    def version(self, resource: Resource, key: Key) -> Version | None:
        return self._held.get(resource, {}).get(key)

    def all(self, resource: Resource, namespace: str = "") -> list[dict[str, Any]]:
        return [v.obj for key, v in self._held.get(resource, {}).items() if not namespace or key[0] == namespace]

    def put(self, resource: Resource, obj: dict[str, Any]) -> Version:
        """Keep ``obj``, which gets its resourceVersion here."""
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        held = self._held.setdefault(resource, {})
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        new = Version(obj, self.revision)
        self._note(Change(self.revision, resource, key, held.get(key), new, new))
        held[key] = new
        return new

    def remove(self, resource: Resource, key: Key, end: dict[str, Any] | None = None) -> Version:
        """``end``: the object as it is told to go, if that is not as it was."""
        self.revision += 1
        old = self._held[resource].pop(key)
        obj = old.obj if end is None else end
        last = Version({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}, self.revision)
        self._note(Change(self.revision, resource, key, old, None, last))
        return last

    def _note(self, change: Change) -> None:
        self._changes.append(change)
        if len(self._changes) > 2 * self._history:
            self.compact(self._changes[-self._history].revision - 1)
        self.changed.notify_all()

    def compact(self, revision: int | None = None) -> None:
        """Forget history up to ``revision``; all of it by default."""
        self.compacted = self.revision if revision is None else revision
        self._changes = [change for change in self._changes if change.revision > self.compacted]

    def since(self, revision: int) -> Iterator[Change]:
        """Changes after ``revision``, oldest first. Those that are forgotten are not told: see ``compacted``."""
        position = max(0, len(self._changes) - (self.revision - revision))
        # One change is one revision, so the position is exact as long as nothing else counts revisions.
        for change in self._changes[position:]:
            if change.revision > revision:
                yield change

    def at(self, resource: Resource, revision: int) -> dict[Key, Version]:
        """All objects as they were at ``revision``."""
        if revision < self.compacted and revision < self.revision:
            raise expired("The provided resource version is too old.")
        held = dict(self._held.get(resource, {}))
        for change in reversed(list(self.since(revision))):
            if change.resource is resource:
                if change.old is None:
                    held.pop(change.key, None)
                else:
                    held[change.key] = change.old
        return held
