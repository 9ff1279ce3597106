"""Transactions: ``Store.read`` and ``Store.write`` open one each, with every repository on its connection."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from domain.money import Book
from lifecycle import (
    books,
    brought,
    custody,
    identity,
    live,
    past,
    ports,
    reach,
    registry,
    rights,
    rulebook,
    treasury,
    witness,
)
from store.accounts import Accounts
from store.allocations import Allocations
from store.attempts import Attempts
from store.audit import Audit
from store.budgets import Budgets
from store.calendar import Calendar
from store.charging import Charging
from store.clusters import Clusters
from store.custody import Custody
from store.dependencies import Dependencies
from store.directory import DirectoryCache
from store.engine import ONE_MOMENT, WRITES
from store.errors import translated
from store.fleet import Fleet
from store.gates import Gates
from store.grants import Grants
from store.history import History
from store.imports import Imports
from store.jobs import Jobs
from store.leases import Leader
from store.ledger import Ledger
from store.live import Live
from store.logins import Logins
from store.once import Once
from store.oversight import Oversight
from store.people import People
from store.policies import Policies
from store.privacy import Privacy
from store.registrations import Registrations, Rights
from store.seals import Seals
from store.stamps import CHANGED, DIRECTORY, STAMP
from store.tables.jobs import SourceRow
from store.tables.service import StampRow
from store.upsert import upsert

_TURN = select(StampRow.value).where(StampRow.name == DIRECTORY).with_for_update()


@dataclass(slots=True)
class UnitOfWork:
    """One transaction; see ``lifecycle.ports.UnitOfWork``."""

    accounts: ports.Accounts
    people: ports.People
    logins: identity.Logins
    oversight: identity.Oversight
    privacy: identity.Privacy
    custody: custody.Custody
    fleet: ports.Fleet
    clusters: reach.Clusters
    grants: treasury.Grants
    budgets: treasury.Budgets
    allocations: treasury.Allocations
    ledger: treasury.Ledger
    audit: witness.Audit
    seals: witness.Seals
    jobs: ports.Jobs
    dependencies: ports.Dependencies
    attempts: ports.Attempts
    policies: rulebook.Policies
    charging: books.Charging
    history: past.History
    imports: brought.Imports
    calendar: rulebook.Calendar
    gates: rulebook.Gates
    live: live.Live
    once: ports.Once
    leader: ports.Leader
    registrations: registry.Registrations
    rights: rights.Rights
    _connection: Connection
    _cache: DirectoryCache

    def directory(self) -> ports.Directory:
        """Read once a transaction, unless the transaction itself changes it (``store.stamps``)."""
        known = self._connection.info.get(DIRECTORY)
        if known is None:
            known = self._connection.info[DIRECTORY] = self._cache.get(self._connection)
        assert isinstance(known, ports.Directory)
        return known

    def take_turn(self) -> None:
        """Locks the stamp that every such change moves on; the directory is read afresh after it."""
        self._connection.execute(_TURN)
        self._connection.info.pop(DIRECTORY, None)
        self._connection.info.pop(STAMP, None)

    def keep_source(self, sha256: str, size: int, now_ms: int) -> None:
        upsert(self._connection, SourceRow, [{"sha256": sha256, "size": size, "created_ms": now_ms}])

    def has_source(self, sha256: str) -> bool:
        return self._connection.scalar(select(SourceRow.size).where(SourceRow.sha256 == sha256)) is not None


class Store:
    """Opens transactions on one database.

    SQLite has one writer at a time; here they queue up for it in the process, since its own waiting is by polling.
    """

    def __init__(self, engine: Engine) -> None:
        # A reader sees one moment throughout, as it does on SQLite anyway.
        self._reader = engine if engine.dialect.name == "sqlite" else engine.execution_options(**ONE_MOMENT)
        self._engine = engine
        self._writer = engine.execution_options(**WRITES)
        self._cache = DirectoryCache()
        self._books: dict[Book, int] = {}
        self._nodes: dict[tuple[str, str], int] = {}
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        with translated(), self._reader.connect() as connection, connection.begin():
            yield self._unit(connection)

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        with translated(), self._turn, self._writer.connect() as connection, connection.begin():
            yield self._unit(connection)

    def close(self) -> None:
        self._engine.dispose()

    def _unit(self, connection: Connection) -> UnitOfWork:
        connection.info.pop(DIRECTORY, None)
        connection.info.pop(CHANGED, None)
        connection.info.pop(STAMP, None)
        return UnitOfWork(
            Accounts(connection),
            People(connection),
            Logins(connection),
            Oversight(connection),
            Privacy(connection),
            Custody(connection),
            Fleet(connection, self._nodes),
            Clusters(connection),
            Grants(connection),
            Budgets(connection),
            Allocations(connection),
            Ledger(connection, self._books, self._cache),
            Audit(connection),
            Seals(connection),
            Jobs(connection),
            Dependencies(connection),
            Attempts(connection),
            Policies(connection),
            Charging(connection),
            History(connection),
            Imports(connection),
            Calendar(connection),
            Gates(connection),
            Live(connection),
            Once(connection),
            Leader(connection),
            Registrations(connection),
            Rights(connection),
            connection,
            self._cache,
        )
