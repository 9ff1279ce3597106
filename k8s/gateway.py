"""Reaches Kubernetes clusters: implements ``lifecycle.driving.Gateway`` (runtime.wiring → here)."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from domain.clusters import ClusterConfig, Examination
from domain.quantities import DAY_MS
from k8s import kubeconfig
from k8s.client import Client
from k8s.driver import KubernetesDriver
from k8s.probe import examine
from lifecycle.driving import Driver, Passes, Shelf
from lifecycle.ports import Clock

_log = structlog.get_logger(__name__)

_SOON_MS = 30 * DAY_MS  # before the end of a login, when it is said


class KubernetesGateway:
    """``origin`` is this centre's short id: on a cluster, whatever bears it is ours."""

    def __init__(self, origin: str, shelf: Shelf, passes: Passes, clock: Clock) -> None:
        self._origin, self._shelf, self._passes, self._clock = origin, shelf, passes, clock

    def read_access(self, text: str, context: str | None, config: ClusterConfig) -> str:
        return kubeconfig.read(text, context, config, self._clock.now_ms())

    def examine(self, access: str, config: ClusterConfig) -> Examination:
        client = Client(access)
        try:
            found = examine(client, config, self._origin, self._clock.now_ms())
        except (AttributeError, LookupError, TypeError, ValueError):  # answers that no API server gives
            _log.exception("a_cluster_answers_nonsense")
            return Examination(problems=("What it answers is not what a Kubernetes API server answers.",))
        finally:
            client.close()
        ends_ms, now_ms = kubeconfig.ends_ms(access), self._clock.now_ms()
        if ends_ms is None or ends_ms - now_ms > _SOON_MS:
            return found
        if ends_ms <= now_ms:
            return replace(found, problems=(*found.problems, f"The login ended on {kubeconfig.day(ends_ms)}."))
        soon = f"The login ends on {kubeconfig.day(ends_ms)}: until then, give the cluster a new kubeconfig."
        return replace(found, notes=(soon, *found.notes))

    def open(self, name: str, access: str, config: ClusterConfig, wake: Callable[[], None]) -> Driver:
        return KubernetesDriver(
            name=name,
            client=Client(access),
            config=config,
            origin=self._origin,
            shelf=self._shelf,
            passes=self._passes,
            clock=self._clock,
            wake=wake,
        )
