"""Sweeps away the pods of forgotten Jobs, those of many Jobs by one request (``hands`` and ``keeper`` → here).

They have all ended, and nobody reads them any more. What is not swept, since this process died or the cluster did not
answer, goes with its Job an hour later: nothing here needs to be remembered.
"""

import threading
import time
from collections import defaultdict

from k8s.client import Client
from k8s.trim import UID_OF_JOB
from k8s.units import paths

_MOST = 50  # Jobs a request: its address is of bounded length
_WAIT_S = 0.5  # how long they are gathered
_KEPT = 20_000


class Broom:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._heaps: defaultdict[str, list[str]] = defaultdict(list)  # uids of Jobs, by namespace
        self._since: dict[str, float] = {}

    def take(self, namespace: str, uid: str) -> None:
        with self._lock:
            heap = self._heaps[namespace]
            if len(heap) < _KEPT:
                heap.append(uid)
            self._since.setdefault(namespace, time.monotonic())

    def due(self) -> list[str]:
        """The namespaces in which there is something to sweep now."""
        now = time.monotonic()
        with self._lock:
            return [
                namespace
                for namespace, since in self._since.items()
                if now - since >= _WAIT_S or len(self._heaps[namespace]) >= _MOST
            ]

    def sweep(self, namespace: str) -> None:
        """Until nothing is left there. Raises ClusterError; then the rest is tried again."""
        while True:
            with self._lock:
                heap = self._heaps.get(namespace, [])
                part, rest = heap[:_MOST], heap[_MOST:]
                if not part:
                    self._heaps.pop(namespace, None)
                    self._since.pop(namespace, None)
                    return
                self._heaps[namespace] = rest
            try:
                self._client.delete(paths("pods", namespace), labelSelector=f"{UID_OF_JOB} in ({','.join(part)})")
            except BaseException:
                with self._lock:
                    self._heaps[namespace] += part
                raise
