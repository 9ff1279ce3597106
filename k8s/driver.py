"""The Kubernetes driver: attempts as Jobs and JobSets of a cluster. Implements ``lifecycle.driving.Driver``.

    start     makes the object and what belongs to it, at most once            (``start``, ``manifests``)
    eyes      follow the cluster's Jobs, pods and nodes                        (``eyes``, ``watch``, ``trim``)
    status    says what these mean                                             (``status``, ``waiting``, ``ending``)
    hands     stop, extend, forget                                             (``hands``, ``marks``)
    keeper    enforces walltimes, brings logs home, sees ends through          (``keeper``, ``logs``)

What is decided is written on the objects, so that the cluster remembers and a driver that comes later goes on. Two
drivers of one cluster, by mistake, do the same things to the same objects.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from domain.clusters import ClusterConfig, Tenancy
from domain.errors import Conflict, Refused, Unavailable
from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Observation, Sight
from k8s import names
from k8s.broom import Broom
from k8s.channel import open_port, open_shell
from k8s.client import Client
from k8s.errors import ClusterError
from k8s.eyes import Eyes
from k8s.hands import Hands
from k8s.keeper import Keeper
from k8s.logs import Scribe
from k8s.manifests.build import shown
from k8s.manifests.site import Unstartable
from k8s.marks import Stop, Why, grace_of
from k8s.nodes import NOTHING, Fleet, read_nodes
from k8s.start import ARRIVES_S, Starter
from k8s.tenancy import Housekeeper
from k8s.units import main_state
from k8s.waiting import shows_container
from k8s.watch import RELIST_S
from lifecycle.driving import Channel, Passes, Shelf
from lifecycle.ports import Clock

Object = dict[str, Any]

_FLEET_S = 0.5  # how old what is known of nodes may be, while it changes
_JOIN_S = 2.0
_NODES_S = 15.0
_SIGHT_S = 2.0  # for which a start waits until a cluster that was opened just now was looked at


class KubernetesDriver:
    """Construct one for each cluster; it answers at once, and begins to look.

    - ``origin``: this centre's short id, on everything that it makes.
    - ``wake`` is called from any thread, and must only note that there is something to observe.
    - ``spread`` gives numbers from 0 to 1, by which many clusters are not asked all at one time.
    - ``relist_s``: how often all is listed anew. ``arrives_s``: after which a create whose answer was lost has arrived,
      by ``monotonic``.
    """

    def __init__(
        self,
        name: str,
        client: Client,
        config: ClusterConfig,
        origin: str,
        shelf: Shelf,
        passes: Passes,
        clock: Clock,
        wake: Callable[[], None],
        *,
        spread: Callable[[], float] = lambda: 0.5,
        relist_s: float = RELIST_S,
        arrives_s: float = ARRIVES_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._client, self._config, self._origin = name, client, config, origin
        self._shelf, self._clock = shelf, clock
        self._monotonic, self._certain_from = monotonic, monotonic() + arrives_s
        self._fleet, self._fleet_at = NOTHING, 0.0
        self._resources: dict[tuple[str, str], str] = {}  # (node, flavor) → resource, of nodes out of sight as well
        self._fleet_lock = threading.Lock()
        self._rooms = Housekeeper(client=client, config=config, origin=origin)
        broom = Broom(client)
        self._hands = Hands(client, broom)
        self._scribe = Scribe(client, shelf)
        self.eyes = Eyes(client, config, origin, news=self._news, heard=self._heard, spread=spread, relist_s=relist_s)
        self._keeper = Keeper(client, self.eyes, self._hands, self._scribe, broom, shelf, clock, wake)
        self._starter = Starter(
            client, config, origin, passes, self.eyes, self._hands,
            found=self._found, resources=self._resource, rooms=self._rooms, arrives_s=arrives_s,
            monotonic=monotonic,
        )  # fmt: skip
        self._keeper.begin()
        for reflector in self.eyes.reflectors:
            reflector.begin()

    def inventory(self) -> Inventory:
        return self._read_fleet().inventory

    def start(self, launch: Launch) -> None:
        self._starter.start(launch, self._clock.now_ms())
        self._keeper.nudge()

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        found = self.eyes.find(attempt)
        if found is None:
            if not self._is_certain:  # it may still come up
                self.eyes.asked_to_stop(attempt, Stop(Why.ASKED, grace_ms))
            return
        unit, position = found
        own = grace_of(unit.owner)
        stop = Stop(Why.ASKED, grace_ms if own is None or grace_ms < own else None)
        try:
            self._keeper.stop(unit, position, stop)
        except ClusterError as error:
            raise Unavailable(f"The cluster cannot be told to stop {attempt} now: {error.message}") from error
        self._keeper.nudge()

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        found = self.eyes.find(attempt)
        if found is None or self._ended(attempt):
            return
        unit, position = found
        try:
            told = self._hands.extend(unit, position, walltime_ms)
        except ClusterError as error:
            raise Unavailable(f"The cluster cannot extend {attempt} now: {error.message}") from error
        if told is not None:
            self.eyes.put({**told, "kind": unit.owner["kind"]})

    def observe(self) -> Sight:
        self.eyes.refresh()
        seen: dict[AttemptId, Observation] = {}
        for unit, observations in self.eyes.seen() if self.eyes.synced else ():
            for position, observation in observations.items():
                seen[observation.attempt] = self._keeper.shown(unit, position, observation)
        seen |= self._starter.stillborn  # whatever bears the name is another's
        silent_ms = self._keeper.silent_ms
        return Sight(tuple(seen.values()), self._is_certain and silent_ms is None, silent_ms)

    def forget(self, attempt: AttemptId) -> None:
        if attempt in self._starter.stillborn:
            self._starter.forget(attempt)
            return
        found, end = self.eyes.find(attempt), self._keeper.end_of(attempt)
        if found is None or end is None:
            return
        unit, position = found
        try:
            told, whole = self._hands.forget(unit, position, end)
        except ClusterError as error:
            raise Unavailable(f"The cluster cannot forget {attempt} now: {error.message}") from error
        if whole:
            self.eyes.forget({**(told or unit.owner), "kind": unit.owner["kind"]})
            self._starter.forget(attempt, unit.uid)
        elif told is not None:
            self.eyes.put({**told, "kind": unit.owner["kind"]})
        self.eyes.refresh()
        self._keeper.forget(attempt)

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        chunk = self._shelf.log(attempt, rank, offset, limit)
        if chunk.complete or chunk.data or self._scribe.has_ended(attempt, rank):
            return chunk
        pod = self._pod(attempt, rank)
        if pod is None or not shows_container(pod):
            return chunk
        self._scribe.wanted(attempt, rank, pod)
        return self._shelf.log(attempt, rank, offset, limit)

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        return self._shelf.output(attempt, path, offset, limit)

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:
        try:
            return shown(self._starter.made(launch))
        except Unstartable as error:
            raise Refused(str(error)) from error

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:
        if not self.eyes.nodes.synced.wait(_NODES_S):  # Kueue's queues share out what nodes have
            raise Unavailable("The cluster's nodes were not seen yet.")
        return self._rooms.tend(tenancy, self._read_fleet())

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> Channel:
        about = self._visited(attempt, rank)
        return open_shell(self._client, about["namespace"], about["name"], names.MAIN, command, tty=tty)

    def forward(self, attempt: AttemptId, rank: int, port: int) -> Channel:
        about = self._visited(attempt, rank)
        return open_port(self._client, about["namespace"], about["name"], port)

    def close(self) -> None:
        self._keeper.close()
        self._scribe.close()
        for reflector in self.eyes.reflectors:
            reflector.close()
        self._client.close()
        deadline = time.monotonic() + _JOIN_S
        for reflector in self.eyes.reflectors:
            reflector.join(max(0.0, deadline - time.monotonic()))

    @property
    def _is_certain(self) -> bool:
        """Whether what is not in sight is not there: all was listed, and no create of ours or an earlier driver's is out."""
        return self._monotonic() > self._certain_from and self.eyes.synced and not self._starter.uncertain

    def _news(self) -> None:
        self._keeper.nudge()

    def _heard(self) -> None:
        self._keeper.heard()

    def _ended(self, attempt: AttemptId) -> bool:
        return self._keeper.end_of(attempt) is not None

    def _pod(self, attempt: AttemptId, rank: int) -> Object | None:
        found = self.eyes.find(attempt)
        if found is None:
            return None
        unit, position = found
        pod = unit.ranks(position).get(rank)
        return pod if pod is not None and unit.here(pod) else None

    def _visited(self, attempt: AttemptId, rank: int) -> Object:
        """The metadata of the pod of a rank that runs. Raises Refused where nobody may go in, Conflict if it does not run."""
        if not self._config.exec:
            raise Refused(f"Nobody may go into jobs on the cluster {self._name}.", code="exec-not-allowed")
        pod = self._pod(attempt, rank)
        if pod is None or "running" not in main_state(pod):
            raise Conflict(f"rank {rank} of {attempt} does not run", "job", code="not-running")
        about: Object = pod["metadata"]
        return about

    def _read_fleet(self) -> Fleet:
        """Read anew if nodes or others' pods changed, but not on every change."""
        with self._fleet_lock:
            eyes, now = self.eyes, time.monotonic()
            old = now - self._fleet_at >= _FLEET_S or not self._fleet.supplies  # nothing is never new enough
            if eyes.fleet_moved.is_set() and old:
                eyes.fleet_moved.clear()
                self._fleet_at = now
                self._fleet = read_nodes(eyes.nodes.cache.all(), eyes.pods.cache.all(), self._config, self._origin)
                for node, resources in self._fleet.resources.items():
                    self._resources.update({(node, flavor): resource for flavor, resource in resources.items()})
            return self._fleet

    def _resource(self, node: str, flavor: str) -> str | None:
        self._read_fleet()
        return self._resources.get((node, flavor))

    def _found(self) -> tuple[str | None, bool]:
        """(the queue that jobs go through, whether JobSet is there). Raises Unavailable while that is not known."""
        eyes, until = self.eyes, time.monotonic() + _SIGHT_S
        asked = [one for one in (eyes.jobsets, eyes.workloads) if one is not None]
        if not all(one.synced.wait(max(0.0, until - time.monotonic())) for one in asked):
            raise Unavailable(f"The cluster {self._name} was not looked at yet.")
        kueue = eyes.workloads is not None and not eyes.workloads.absent
        return (names.LOCAL_QUEUE if kueue else None), not eyes.jobsets.absent
