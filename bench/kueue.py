"""Kueue's own load, fed to a whole centre: the shapes of its scheduler performance test, in real time, on PostgreSQL.

Every workload takes the production path: ``lifecycle.submit`` in batches as they fall due, then the controller's own
steps. Only the cluster is simulated. What is measured is how fast the control plane decides and writes down, as in
Kueue's test: no container is started, and there is no kube-apiserver here.

A cohort is a tenant, a ClusterQueue a project with its nominal quota guaranteed and its borrowing limit; a class's
priority is its jobs' priority. Kueue counts no nodes in this test: ours is a single one. It knows no walltime
either: every job asks for the same. Times are ms.
"""

import gc
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Executable, select

from bench.cluster import SimulatedCluster, now_ms
from domain.accounts import Quota
from domain.fleet import CPU_FLAVOR, Node
from domain.jobs import JobSpec, Launch, Resources
from domain.people import Caller
from domain.quantities import DAY_MS, MICRO, MILLI, MINUTE_MS
from lifecycle import accounts, allocations, fleet, grants, people, policies, report
from lifecycle.founding import found
from lifecycle.lookout import Lookout
from lifecycle.ports import UnitOfWork
from lifecycle.submit import submit_many
from monitoring.metrics import Metrics
from runtime import logs
from runtime.clock import SystemClock
from runtime.controller import Controller
from scheduler.policy import Policy
from scheduler.rules import write_policy
from store.engine import open_engine
from store.schema import migrate
from store.tables.jobs import AttemptRow, JobRow
from store.unit_of_work import Store
from store.vault import FileVault
from tests.support import postgres

CLUSTER = "sim"
_SOURCE = "kubernetes-sigs/kueue, test/performance/scheduler/configs/*/rangespec.yaml, mean of its CI"
BASELINE_PEER = {"name": "Kueue", "value": 351.1, "source": _SOURCE}
LARGE_PEER = {"name": "Kueue", "value": 1179.4, "source": _SOURCE}
_GIB = 2**30
_BATCH = 1_000  # jobs a submission carries at the most, as over HTTP
_LIMIT_S = 600
_BEAT_MS, _LEASE_MS = 500, 10_000  # as the settings have them


@dataclass(frozen=True, slots=True)
class Class:
    """``count`` workloads a queue, one every ``every_ms``, each of ``cpus`` cores for ``runs_ms``."""

    name: str
    count: int
    every_ms: int
    cpus: int
    runs_ms: int
    priority: int


@dataclass(frozen=True, slots=True)
class Load:
    """``cohorts`` x ``queues`` of the same classes."""

    cohorts: int
    queues: int
    classes: tuple[Class, ...]

    def arrivals(self) -> list[tuple[int, str, Class]]:
        """(ms after the beginning, project, class), in order; the first of a class comes after its first interval."""
        return sorted(
            (
                (nth * class_.every_ms, project, class_)
                for class_ in self.classes
                for nth in range(1, class_.count + 1)
                for projects in self.projects().values()
                for project in projects
            ),
            key=lambda arrival: (arrival[0], arrival[1], arrival[2].name),
        )

    def projects(self) -> Mapping[str, Sequence[str]]:
        return {f"c{c}": [f"c{c}-q{q}" for q in range(self.queues)] for c in range(self.cohorts)}

    @property
    def cpus(self) -> int:
        """The capacity: as much as all nominal quotas."""
        return self.cohorts * self.queues * NOMINAL

    @property
    def cpu_ms(self) -> int:
        return self.cohorts * self.queues * sum(c.count * c.cpus * c.runs_ms for c in self.classes)


NOMINAL, BORROWING = 20, 100  # cores
POLICY = Policy(reservations=0)  # Kueue keeps nothing free for those who wait
BASELINE = Load(
    5, 6,
    (Class("small", 350, 100, 1, 200, 50), Class("medium", 100, 500, 5, 500, 100), Class("large", 50, 1200, 20, 1000, 200)),
)  # fmt: skip
LARGE = Load(
    10, 100,
    (Class("small", 35, 60, 1, 150, 50), Class("medium", 11, 350, 5, 300, 100), Class("large", 4, 700, 20, 700, 200)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds from the first arrival to the last end; mean seconds from a class's arrivals to their starts."""

    wall_s: float
    waits_s: Mapping[str, float]
    used: float
    cpu_s: float
    resident_mib: float
    preempted: int


@dataclass(slots=True)
class Replays:
    """The runs of one load: ``measure`` for the bench, ``notes`` on what else was seen."""

    load: Load
    outcomes: list[Outcome] = field(default_factory=list)
    unsynced: Outcome | None = None

    def measure(self, runs: int) -> list[float]:
        """Seconds, every commit synced; then one run more on a database that syncs nothing, to compare."""
        self.outcomes = [replay(self.load) for _ in range(runs)]
        self.unsynced = replay(self.load, durable=False)
        return [outcome.wall_s for outcome in self.outcomes]

    def notes(self) -> Mapping[str, object]:
        middle = sorted(self.outcomes, key=lambda outcome: outcome.wall_s)[len(self.outcomes) // 2]
        return {
            "ideal_s": round(self.load.cpu_ms / 1000 / self.load.cpus, 1),
            "to_admission_s": {name: round(wait, 2) for name, wait in middle.waits_s.items()},
            "used_percent": round(middle.used, 1),
            "cpu_s": round(middle.cpu_s, 1),
            "resident_mib": round(middle.resident_mib),
            "preempted": middle.preempted,
            "unsynced_s": None if self.unsynced is None else round(self.unsynced.wall_s, 1),
        }


def skipped() -> str | None:
    """Why the figures cannot be measured here."""
    return None if postgres.find_binaries() else f"there is no PostgreSQL {postgres.OLDEST} or newer on this machine"


def replay(load: Load, *, durable: bool = True) -> Outcome:
    """One run of the load on a fresh centre. Raises RuntimeError if it does not end, or the books do not agree."""
    gc.collect()
    logs.configure("warning")  # standard output is for the figures
    with _centre(load, durable=durable) as centre:
        before = _cpu_s()
        begun_ms = now_ms()
        centre.submit(begun_ms)
        last_ms = centre.drained()
        cpu_s = _cpu_s() - before
        centre.check()
        return centre.outcome(begun_ms, last_ms, cpu_s)


@dataclass(slots=True)
class Centre:
    """A centre with its controller at work in a thread."""

    load: Load
    engine: Engine
    store: Store
    controller: Controller
    driver: SimulatedCluster
    caller: Caller
    due_ms: dict[int, int] = field(default_factory=dict)  # job -> when it was to arrive, from the beginning

    def submit(self, begun_ms: int) -> None:
        """Hand in what is due, again and again, until all is handed in."""
        arrivals, specs = self.load.arrivals(), _specs(self.load)
        done = 0
        while done < len(arrivals):
            time.sleep(max(0, begun_ms + arrivals[done][0] - now_ms()) / 1000)
            late_ms = now_ms() - begun_ms
            batch = []
            for at_ms, project, class_ in arrivals[done : done + _BATCH]:
                if at_ms > late_ms:
                    break
                batch.append((at_ms, specs[project, class_.name]))
            with self.store.write() as uow:
                jobs = submit_many(uow, self.caller, [spec for _, spec in batch], now_ms())
            self.controller.wake()
            self.due_ms.update((job, at_ms) for job, (at_ms, _) in zip(jobs, batch, strict=True))
            done += len(batch)

    def drained(self) -> int:
        """Wait until the end of every workload is committed; answers when that was."""
        deadline = time.monotonic() + _LIMIT_S
        while self.driver.finished < len(self.due_ms):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.driver.finished} of {len(self.due_ms)} workloads finished in {_LIMIT_S} s")
            time.sleep(0.01)
        return now_ms()

    def check(self) -> None:
        """The books balance, say what was metered, and every job succeeded."""
        with self.store.read() as uow:
            wrong = uow.ledger.unbalanced()
            agrees = report.usage(uow, "project", None, None, None).agrees
        failed = _rows(self.engine, select(JobRow.id).where(JobRow.state != "succeeded"))
        if wrong or failed or not agrees or len(self.due_ms) != len(self.load.arrivals()):
            raise RuntimeError(f"not all went well: {wrong[:3]}, {len(failed)} jobs failed, agrees: {agrees}")

    def outcome(self, begun_ms: int, last_ms: int, cpu_s: float) -> Outcome:
        columns = (AttemptRow.job_id, AttemptRow.started_ms, AttemptRow.state, JobRow.name)
        found = _rows(self.engine, select(*columns).join(JobRow))
        waits: dict[str, list[int]] = {class_.name: [] for class_ in self.load.classes}
        for row in found:
            if row.state == "succeeded":
                waits[row.name].append(row.started_ms - begun_ms - self.due_ms[row.job_id])
        wall_ms = last_ms - begun_ms - min(self.due_ms.values())
        return Outcome(
            wall_s=wall_ms / 1000,
            waits_s={name: statistics.fmean(wait) / 1000 for name, wait in waits.items()},
            used=100 * self.load.cpu_ms / (self.load.cpus * wall_ms),
            cpu_s=cpu_s,
            resident_mib=_resident_mib(),
            preempted=sum(row.state != "succeeded" for row in found),
        )


@contextmanager
def _centre(load: Load, *, durable: bool) -> Iterator[Centre]:
    binaries = postgres.find_binaries()
    assert binaries is not None, "the figure is skipped without it"
    settings = () if durable else ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
    with postgres.cluster(binaries, settings) as address, tempfile.TemporaryDirectory() as root:
        engine = open_engine(address.format("postgres"))
        migrate(engine)
        store = Store(engine)
        driver = SimulatedCluster([Node("all", {}, load.cpus, load.cpus * _GIB)], _runs_ms(load))
        with store.write() as uow:
            caller = _founded(uow, load, driver)
        controller = _controller(store, driver, Path(root))
        driver.ended = controller.wake
        threads = [threading.Thread(target=work, daemon=True) for work in (driver.run, controller.run)]
        for thread in threads:
            thread.start()
        try:
            yield Centre(load, engine, store, controller, driver, caller)
        finally:
            controller.stop()
            driver.close()
            for thread in threads:
                thread.join(timeout=60)
            engine.dispose()


def _controller(store: Store, driver: SimulatedCluster, root: Path) -> Controller:
    return Controller(
        store=store,
        lookout=Lookout(store),
        drivers={CLUSTER: driver},
        vault=FileVault(root / "secret.key"),
        clock=SystemClock(),
        metrics=Metrics(store),
        holder="bench",
        beat_ms=_BEAT_MS,
        lease_ms=_LEASE_MS,
        alone=False,
        used_tokens={},
    )


def _runs_ms(load: Load) -> Callable[[Launch], int]:
    by_name = {class_.name: class_.runs_ms for class_ in load.classes}
    return lambda launch: by_name[launch.spec.name]


def _specs(load: Load) -> dict[tuple[str, str], JobSpec]:
    """The job file of each project and class."""
    return {
        (project, c.name): JobSpec(
            project, c.name, Resources((CPU_FLAVOR,), 0, 1, c.cpus, _GIB // 4, MINUTE_MS), command=("workload",),
            restartable=True, grace_ms=0, priority=c.priority,
        )
        for projects in load.projects().values()
        for project in projects
        for c in load.classes
    }  # fmt: skip


def _founded(uow: UnitOfWork, load: Load, driver: SimulatedCluster) -> Caller:
    """A new centre with the load's tenants and projects, all of them paid for."""
    at_ms = now_ms()
    span = (at_ms - DAY_MS, at_ms + DAY_MS)
    token = found(uow, at_ms)
    assert token is not None, "the database is new"
    fleet.sync_cluster(uow, CLUSTER, "simulated", driver, at_ms)
    grants.add_funder(uow, "ministry", "Ministry")
    grants.add_grant(uow, "grant", "ministry", 10**8 * MICRO, *span, at_ms)
    quota = Quota(NOMINAL * MILLI, BORROWING * MILLI)
    for tenant, projects in load.projects().items():
        accounts.add_tenant(uow, tenant, tenant, "university", "education", "KH-12", 1)
        for name in projects:
            project = accounts.add_project(uow, name, tenant, name, None, 1)
            accounts.put_quota(uow, project, CPU_FLAVOR, quota, None)
            allocations.add_allocation(uow, name, [("grant", 10**4 * MICRO)], *span, at_ms)
    caller = people.authenticate(uow, token, at_ms)
    policies.apply(uow, caller, write_policy(POLICY), "as Kueue", at_ms)
    return caller


def _rows(engine: Engine, statement: Executable) -> Sequence[Any]:
    """A look behind the repositories."""
    with engine.connect() as connection:
        return connection.execute(statement).all()


def _cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
