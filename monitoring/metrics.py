"""The centre's own metrics for Prometheus. Labels are bounded: never a job, a user or a free text."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from domain.fleet import CPU_FLAVOR
from domain.jobs import JobState
from lifecycle.ports import Store

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Everything that is counted while the centre runs; states of the fleet are read when the page is asked for."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "baray_http_request_seconds", "Time to answer a request", ["method", "route", "status"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.cycles = Histogram(
            "baray_cycle_seconds", "Time of one step of the controller", ["step"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.started = Counter("baray_attempts_started_total", "Attempts committed", registry=self.registry)
        self.changed = Counter("baray_attempts_changed_total", "Attempts that moved", registry=self.registry)
        self.errors = Counter(
            "baray_controller_errors_total", "Steps of the controller that failed", ["step"], registry=self.registry
        )
        self.leading = Gauge("baray_controller_leading", "1 while this process leads", registry=self.registry)
        self.drift = Counter(
            "baray_cluster_drift_total", "What others altered on a cluster and was mended", ["cluster"],
            registry=self.registry,
        )  # fmt: skip
        self._up = Gauge("baray_cluster_up", "1 while a cluster far away answers", ["cluster"], registry=self.registry)
        self._silent = Gauge(
            "baray_cluster_silent_seconds", "For how long it has not answered", ["cluster"], registry=self.registry
        )
        self._clusters: frozenset[str] = frozenset()
        self.registry.register(_Fleet(store))

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        self.requests.labels(method, route, str(status)).observe(seconds)

    def tell_clusters(self, silent: Mapping[str, int | None], now_ms: int) -> None:
        """Clusters far away, and since when each has not answered; None if it does. Others are told of no more."""
        for name in self._clusters - silent.keys():
            self._up.remove(name)
            self._silent.remove(name)
        self._clusters = frozenset(silent)
        for name, since_ms in silent.items():
            self._up.labels(name).set(since_ms is None)
            self._silent.labels(name).set(0 if since_ms is None else max(0, now_ms - since_ms) / 1000)

    def page(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Fleet(Collector):
    """GPUs and jobs as the database has them now."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        gpus = GaugeMetricFamily("baray_devices", "Devices of a pool", labels=["cluster", "flavor", "state"])
        jobs = GaugeMetricFamily("baray_jobs", "Unfinished jobs", labels=["state"])
        with self._store.read() as uow:
            nodes = uow.fleet.nodes(list(uow.directory().clusters))
            counts = uow.jobs.states()
        pools: dict[tuple[str, str], list[int]] = {}
        for node in nodes:
            for flavor, total in node.devices.items():
                pool = pools.setdefault((node.cluster, flavor), [0, 0])
                pool[0] += total
                pool[1] += len(node.free.get(flavor, ()))
            cores = pools.setdefault((node.cluster, CPU_FLAVOR), [0, 0])
            cores[0] += node.cpus
            cores[1] += node.cpus_free
        for (cluster, flavor), (total, free) in sorted(pools.items()):
            gpus.add_metric([cluster, flavor, "total"], total)
            gpus.add_metric([cluster, flavor, "used"], total - free)
        for state in JobState:
            if not state.final:
                jobs.add_metric([state.value], counts.get(state, 0))
        return [gpus, jobs]
