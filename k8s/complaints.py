"""What a cluster's events say of attempts that wait and cannot be seen why (``keeper`` → here).

An API server goes through all events of a namespace for each question, so many units are asked about at once.
"""

import time
from collections import defaultdict

from k8s.client import Client, Object
from k8s.eyes import Eyes
from k8s.status import how_over
from k8s.units import Unit, paths
from k8s.waiting import waits_for

_FIRST_S, _AGAIN_S = 5.0, 15.0  # how long one must wait to be asked about, and until it is again
_EVERY_S = 2.5  # they are gathered
_FEW = 4  # are asked about one by one
_LONGEST = 500


class Complaints:
    """``waits`` and ``due`` are called by one thread."""

    def __init__(self, client: Client, eyes: Eyes) -> None:
        self._client, self._eyes = client, eyes
        self._due: dict[str, float] = {}  # by uid
        self._next = 0.0

    def waits(self, unit: Unit) -> None:
        """It waits, and it cannot be seen for what."""
        self._due.setdefault(unit.uid, time.monotonic() + _FIRST_S)

    def due(self) -> dict[str, list[Unit]]:
        """Those to ask about now, by namespace: each is answered once, and again after a while."""
        now = time.monotonic()
        found: defaultdict[str, list[Unit]] = defaultdict(list)
        if now < self._next:
            return found
        self._next = now + _EVERY_S
        for uid in [uid for uid, at in self._due.items() if at <= now]:
            unit = self._eyes.unit(uid)
            if unit is None or not _is_vague(unit):
                del self._due[uid]
            else:
                self._due[uid] = now + _AGAIN_S
                found[unit.namespace].append(unit)
        return found

    def read(self, namespace: str, units: list[Unit]) -> None:
        """Raises ClusterError."""
        if len(units) <= _FEW:
            for unit in units:
                query = {"fieldSelector": f"involvedObject.uid={_about(unit)},type=Warning", "limit": 50}
                answer = self._client.call("GET", paths("events", namespace), query=query).json()
                self._eyes.says(unit.uid, _told(answer.get("items") or []))
            return
        by_uid: defaultdict[str, list[Object]] = defaultdict(list)
        for event in self._client.list(paths("events", namespace), fieldSelector="type=Warning").items:
            by_uid[str(event["involvedObject"].get("uid"))].append(event)
        for unit in units:
            self._eyes.says(unit.uid, _told(by_uid[_about(unit)]))


def _is_vague(unit: Unit) -> bool:
    return any(how_over(unit, at) is None and waits_for(unit, at).vague for at in range(len(unit.attempts)))


def _about(unit: Unit) -> str:
    return next((str(pod["metadata"]["uid"]) for pod in unit.by_rank.values()), unit.uid)


def _told(events: list[Object]) -> tuple[str, ...]:
    """Their messages, the newest last."""
    events = sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return tuple(dict.fromkeys(" ".join(str(event.get("message", "")).split())[:_LONGEST] for event in events))
