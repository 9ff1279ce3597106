"""The composition root: the only place that builds adapters and hands them out."""

import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import IO

from fastapi import FastAPI

from api.http.app import create_app
from api.http.edge import Edge
from api.http.services import Services
from api.identity.ports import Providers
from lifecycle.driving import Gateway
from lifecycle.fleet import sync_cluster
from lifecycle.founding import found
from lifecycle.keys import list_key
from lifecycle.lookout import Lookout
from lifecycle.registry import Registry
from lifecycle.seal import Sealer
from local.driver import LocalDriver
from local.gpus import Machine, find_machine
from monitoring.metrics import Metrics
from runtime import logs, xroad
from runtime.clock import SystemClock
from runtime.controller import Controller
from runtime.datadir import open_data_dir
from runtime.drivers import Drivers
from runtime.edge import check_host, edge_of, tls_of
from runtime.leavings import FileLeavings
from runtime.logins import logins_of
from runtime.migration import migrate_apart
from runtime.pages import pages_of, providers_of
from runtime.settings import Settings
from store.engine import open_engine
from store.passes import VaultPasses
from store.schema import is_current
from store.shelf import FileShelf
from store.signer import FileSigner, open_key
from store.sources import FileSources
from store.unit_of_work import Store
from store.vault import FileVault

LOCAL = "local"
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Centre:
    """The whole running system of one process. ``first_token`` is set at a centre's very first start only.

    ``facade`` is what other governments' systems are answered by, on a listener of its own.
    """

    settings: Settings
    store: Store
    drivers: Drivers
    controller: Controller
    app: FastAPI
    facade: FastAPI | None
    first_token: str | None
    notes: tuple[str, ...]
    _lock: IO[str]

    def close(self) -> None:
        """Let go of everything. Jobs run on and are adopted at the next start."""
        self.controller.stop()
        self.drivers.close()
        self.store.close()
        self._lock.close()


def build(settings: Settings) -> Centre:
    """Open the data directory, bring the database up to date, build all parts, found the centre if there is none.

    Founding comes last of all that may fail: its token is shown once.
    """
    edge, providers, registry = _outside(settings)
    machine = find_machine(settings.local_nodes)
    lock = open_data_dir(settings.data_dir)
    data, clock = settings.data_dir, SystemClock()
    lookout = Lookout(store := _store(settings))
    signer = _signer(settings, store, clock.now_ms())
    sources = FileSources(data / "sources")
    wake = _Wake()
    driver = _local_driver(settings, machine, clock, wake, sources)
    vault = FileVault(data / "secret.key")
    first_token = _founded(store, driver, clock.now_ms())
    metrics = Metrics(store)
    used_tokens: dict[int, int] = {}
    shelf, passes = _shelf(settings), VaultPasses(vault)
    gateway = _gateway(store, shelf, passes, clock)
    drivers = Drivers({LOCAL: driver}, store, vault, gateway, wake)
    controller = Controller(
        store=store,
        lookout=lookout,
        drivers=drivers,
        vault=vault,
        clock=clock,
        metrics=metrics,
        holder=f"{socket.gethostname()}:{os.getpid()}:{clock.now_ms()}",
        beat_ms=settings.beat_ms,
        lease_ms=settings.lease_ms,
        alone=not settings.database_url,  # then the data directory's lock keeps all others out
        used_tokens=used_tokens,
        sealer=Sealer(store, signer, tell=logs.tell),
        leavings=FileLeavings(shelf, driver, sources),
    )
    services = Services(
        store=store,
        lookout=lookout,
        drivers=drivers,
        gateway=gateway,
        exec_plugins=settings.exec_plugins,
        shelf=shelf,
        passes=passes,
        vault=vault,
        sources=sources,
        clock=clock,
        wake=controller.wake,
        metrics=metrics.page,
        observe_request=metrics.observe_request,
        version=version("baray"),
        used_tokens=used_tokens,
        registry=registry,
        privacy_contact=settings.privacy_contact,
        **logins_of(settings),
    )
    controller.changed = services.bell.ring
    wake.target = controller.wake
    app = create_app(services, edge, pages_of(settings, services, providers))
    facade, notes = xroad.facade_of(settings, store, clock), driver.inventory().notes
    return Centre(settings, store, drivers, controller, app, facade, first_token, notes, lock)


def _outside(settings: Settings) -> tuple[Edge, Providers, Registry | None]:
    """What the centre meets the network with. Raises CannotStart for what cannot be meant."""
    check_host(settings)
    tls_of(settings)
    return edge_of(settings), providers_of(settings), xroad.registry_of(settings)


def _store(settings: Settings) -> Store:
    """The database, brought up to date."""
    engine = open_engine(settings.url)
    if not is_current(engine):
        migrate_apart(settings)
    return Store(engine)


def _founded(store: Store, driver: LocalDriver, now_ms: int) -> str | None:
    """Take in what this machine has; the first token if the centre was founded just now."""
    with store.write() as uow:
        sync_cluster(uow, LOCAL, "local", driver, now_ms)
        return found(uow, now_ms)


def _local_driver(
    settings: Settings, machine: Machine, clock: SystemClock, wake: "_Wake", sources: FileSources
) -> LocalDriver:
    return LocalDriver(
        root=settings.data_dir / "local",
        machine=machine,
        clock=clock,
        wake=wake,
        sources=sources.path,
        uid_base=settings.local_uid_base,
        log_limit_bytes=settings.log_limit_mib * _MIB,
        output_limit_bytes=settings.output_limit_mib * _MIB,
    )


def _shelf(settings: Settings) -> FileShelf:
    return FileShelf(
        settings.data_dir / "shelf",
        log_limit_bytes=settings.log_limit_mib * _MIB,
        output_limit_bytes=settings.output_limit_mib * _MIB,
    )


def _gateway(store: Store, shelf: FileShelf, passes: VaultPasses, clock: SystemClock) -> Callable[[], Gateway]:
    """Made when the first cluster far away is looked at: a centre without any does not pay for its libraries."""

    @cache
    def made() -> Gateway:
        from k8s.gateway import KubernetesGateway

        with store.read() as uow:
            first = uow.seals.public_keys()[0].public
        # On all that this centre makes on a cluster. Keys rotate, and the first one stays listed.
        origin = hashlib.sha256(first).hexdigest()[:12]
        return KubernetesGateway(origin, shelf, passes, clock)

    return made


def _signer(settings: Settings, store: Store, now_ms: int) -> FileSigner:
    """The key that signs the audit tree; made and listed if the centre never had one."""
    with store.read() as uow:
        keys = uow.seals.public_keys()
    signer = open_key(settings.audit_key_file, settings.audit_name, keys[-1].public if keys else None)
    with store.write() as uow:
        list_key(uow, signer, now_ms)
    return signer


class _Wake:
    """The driver is built before the controller that it wakes."""

    target: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self.target is not None:
            self.target()
