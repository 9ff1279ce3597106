"""Watches: what changed, told as it changes, to whoever asked for it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tests.support.kube.failure import expired
from tests.support.kube.selecting import Match
from tests.support.kube.store import Change, Store, Version
from tests.support.kube.table import Resource

_BEAT_S = 0.25  # how often a quiet watch looks whether it was closed


@dataclass(slots=True)
class Tampering:
    """What tests do to events on their way: asked for each, answers those to send instead."""

    edit: Callable[[Resource, dict[str, Any]], list[dict[str, Any]]] | None = None
    closed: int = 0  # watches that began under a lower number are closed
    lost: int = 0  # likewise, with 410


@dataclass(slots=True)
class Watch:
    store: Store
    resource: Resource
    namespace: str
    match: Match
    after: int  # revision
    timeout_s: float
    bookmarks: bool
    initial: list[Version] | None = None  # told first, as added
    bookmark_s: float = 60.0
    tampering: Tampering = field(default_factory=Tampering)
    alive: Callable[[], bool] = lambda: True
    marks_initial: bool = True

    def events(self) -> Iterator[bytes]:
        tampering, closed, lost = self.tampering, self.tampering.closed, self.tampering.lost
        end = monotonic() + self.timeout_s
        marked = monotonic() + self.bookmark_s
        if self.initial is not None:
            for version in self.initial:
                yield from self._told("ADDED", version)
            if self.bookmarks and self.marks_initial:
                yield _line("BOOKMARK", self._bookmark(self.after, initial=True))
        while monotonic() < end and self.alive() and closed == tampering.closed:
            if lost != tampering.lost or self.after < self.store.compacted:
                yield _line("ERROR", expired(f"too old resource version: {self.after} ({self.store.revision})").body())
                return
            changes = self._next(min(end, marked))
            pieces = [piece for change in changes for piece in self._translated(change)]
            if pieces:
                yield b"".join(pieces)
            if self.bookmarks and monotonic() >= marked:
                marked = monotonic() + self.bookmark_s
                yield _line("BOOKMARK", self._bookmark(self.after))

    def _next(self, until: float) -> list[Change]:
        with self.store.lock:
            if self.store.revision == self.after:
                self.store.changed.wait(max(0.0, min(_BEAT_S, until - monotonic())))
            if self.after < self.store.compacted:
                return []
            changes = [change for change in self.store.since(self.after) if change.resource is self.resource]
            self.after = self.store.revision
        return [change for change in changes if not self.namespace or change.key[0] == self.namespace]

    def _translated(self, change: Change) -> Iterator[bytes]:
        """As one who sees only what matches sees it."""
        was = change.old is not None and self.match(change.old.obj)
        now = change.new is not None and self.match(change.new.obj)
        if now and change.new is not None:
            yield from self._told("MODIFIED" if was else "ADDED", change.new)
        elif was and change.old is not None:
            meta = {**change.old.obj["metadata"], "resourceVersion": str(change.revision)}
            gone = change.last if change.new is None else Version({**change.old.obj, "metadata": meta}, change.revision)
            yield from self._told("DELETED", gone)

    def _told(self, kind: str, version: Version) -> Iterator[bytes]:
        if self.tampering.edit is None:
            yield b'{"type":"' + kind.encode() + b'","object":' + version.text + b"}\n"
            return
        for event in self.tampering.edit(self.resource, {"type": kind, "object": version.obj}):
            yield json.dumps(event).encode() + b"\n"

    def _bookmark(self, revision: int, *, initial: bool = False) -> dict[str, Any]:
        meta: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        return {"kind": self.resource.kind, "apiVersion": self.resource.group_version, "metadata": meta}


def _line(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"
