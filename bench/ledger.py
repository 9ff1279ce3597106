"""The ledger on PostgreSQL: how fast it is posted to, how fast a balance is known among many entries, and how large it is.

Everything goes the way it goes in a centre: transactions built by ``quotas.ledger``, posted through the store, each
commit synced to disk. Only the ten million entries that a lookup is measured among are made by the database itself.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Engine, text

from domain.fleet import CPU_FLAVOR
from domain.ids import AttemptId
from domain.jobs import AttemptState, JobSpec, Placement, Resources
from domain.money import Transaction
from domain.purses import split_hold
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MILLI, MINUTE_MS
from domain.records import Attempt, Part
from lifecycle import accounts, allocations, grants
from lifecycle.founding import found
from lifecycle.ports import UnitOfWork
from quotas import ledger
from quotas.charging import settled_until
from quotas.ledger import Settled
from store.engine import open_engine
from store.schema import migrate
from store.unit_of_work import Store
from tests.support import postgres

_NOW_MS = 1_767_225_600_000
_SPAN = (_NOW_MS - DAY_MS, _NOW_MS + 365 * DAY_MS)
_RATE = 2 * MICRO

_SLICES = 10  # charges of each attempt: with its hold and its release 12 postings, of 70 entries
_ATTEMPTS = 1_000
_A_COMMIT = 100  # postings that one transaction carries, as the controller's do under load

_ENTRIES = 10_000_000
_A_CHARGE = 7  # entries: held and consumed of two grants, capacity, delivered to both
_ALLOCATIONS = 1_000
_LOOKUPS = 1_000


def skipped() -> str | None:
    return None if postgres.find_binaries() else f"there is no PostgreSQL {postgres.OLDEST} or newer on this machine"


@dataclass(slots=True)
class Postings:
    """Durable postings per second by one writer: whole lives of attempts that two grants pay, a hundred a commit.

    On a machine with other work the rate is mostly waiting; ``per_cpu_second`` says what the processor needs for them.
    """

    cpu: list[float] = field(default_factory=list)

    def measure(self, runs: int) -> Sequence[float]:
        with _centre(1) as (store, engine):
            with engine.connect() as connection:
                server = connection.scalar(text("SELECT pg_backend_pid()")) or 0
            return [self._run(store, server, number) for number in range(1, runs + 1)]

    def notes(self) -> Mapping[str, object]:
        return {"a_commit": _A_COMMIT, "per_cpu_second": round(statistics.median(self.cpu))}

    def _run(self, store: Store, server: int, number: int) -> float:
        with store.write() as uow:
            attempts = add_attempts(uow, number)
        rows = {str(attempt.id): attempt.row for attempt in attempts}
        everything = lives(attempts)
        begun, used = time.perf_counter(), time.process_time() + _cpu_s(server)
        for first in range(0, len(everything), _A_COMMIT):
            with store.write() as uow:
                uow.ledger.post(everything[first : first + _A_COMMIT], rows)
        taken = time.perf_counter() - begun
        self.cpu.append(len(everything) / (time.process_time() + _cpu_s(server) - used))
        _check(store)
        return len(everything) / taken


@dataclass(slots=True)
class Large:
    """A ledger of ten million entries, made once for the figures that look at it."""

    lookups: list[float] = field(default_factory=list)
    bytes_each: float = 0.0
    made_s: float = 0.0
    totals: Mapping[str, float] = field(default_factory=dict)

    def balance(self, runs: int) -> Sequence[float]:
        """Milliseconds to know an allocation's balances, each time another one's, each in a transaction of its own."""
        self._measure()
        return [statistics.median(self.lookups[run::runs]) for run in range(runs)]

    def size(self, runs: int) -> Sequence[float]:
        """Bytes an entry, with its part of its transaction and all indexes."""
        self._measure()
        return [self.bytes_each] * runs

    def lookup_notes(self) -> Mapping[str, object]:
        ordered = sorted(self.lookups)
        return {
            "entries": _ENTRIES,
            "p99_ms": round(ordered[len(ordered) * 99 // 100], 2),
            "made_s": round(self.made_s),
        }

    def size_notes(self) -> Mapping[str, object]:
        return {"entries": _ENTRIES, **{name: round(value, 1) for name, value in self.totals.items()}}

    def _measure(self) -> None:
        if self.lookups:
            return
        begun = time.perf_counter()
        with _centre(_ALLOCATIONS) as (store, engine):
            _fill(engine)
            self.made_s = time.perf_counter() - begun
            _check(store)
            for number in range(_LOOKUPS):
                start = time.perf_counter()
                with store.read() as uow:
                    uow.ledger.balances([1 + number * 7 % _ALLOCATIONS])
                self.lookups.append((time.perf_counter() - start) * 1_000)
            with engine.connect() as connection:
                sizes = {
                    name: connection.scalar(text(f"SELECT pg_total_relation_size('{table}')")) / _ENTRIES
                    for name, table in (("entries_b", "ledger_entry"), ("transactions_b", "ledger_transaction"))
                }
        self.bytes_each, self.totals = sum(sizes.values()), sizes


@contextmanager
def _centre(count: int) -> Iterator[tuple[Store, Engine]]:
    """A migrated, durable database with one project that has so many allocations, each of two grants."""
    binaries = postgres.find_binaries()
    assert binaries is not None, "the figure is skipped without it"
    with postgres.cluster(binaries, ()) as address, tempfile.TemporaryDirectory():
        engine = open_engine(address.format("postgres"))
        migrate(engine)
        store = Store(engine)
        with store.write() as uow:
            set_up(uow, count)
        try:
            yield store, engine
        finally:
            engine.dispose()


def set_up(uow: UnitOfWork, count: int) -> None:
    assert found(uow, _NOW_MS) is not None, "the database is new"
    accounts.add_tenant(uow, "cadt", "CADT", "university", "education", "KH-12", 1)
    accounts.add_project(uow, "speech", "cadt", "Speech", None, 1)
    for funder in ("one", "two"):
        grants.add_funder(uow, funder, funder)
        grants.add_grant(uow, f"grant-{funder}", funder, 10**8 * MICRO, *_SPAN, _NOW_MS)
    for _ in range(count):
        paid = [("grant-one", 30_000 * MICRO), ("grant-two", 20_000 * MICRO)]
        allocations.add_allocation(uow, "speech", paid, *_SPAN, _NOW_MS)


def add_attempts(uow: UnitOfWork, run: int, count: int = _ATTEMPTS) -> list[Attempt]:
    """Attempts of one job that are over, so that any number of them may be; with their holds split as usual."""
    project = uow.directory().by_name["speech"].id
    spec = JobSpec("speech", "bench", Resources((CPU_FLAVOR,), 0, 1, 1, 1 << 30, HOUR_MS), command=("true",))
    job = uow.jobs.add(spec, project, 1, _NOW_MS)
    purses = uow.ledger.purses([project], _NOW_MS)[project]
    hold = Attempt(
        0, AttemptId(job.id, None, 1), project, "bench", CPU_FLAVOR, (Placement("n1", ()),), AttemptState.SUCCEEDED, 1,
        3 * MILLI, 1, 1 << 30, _RATE, (), 3 * _RATE, _NOW_MS, started_ms=_NOW_MS, ended_ms=_NOW_MS + run,
    )  # fmt: skip
    parts = split_hold(hold.hold, purses, CPU_FLAVOR, None)
    assert parts is not None, "there is enough"
    made = [
        replace(hold, id=AttemptId(job.id, None, number), parts=parts) for number in range(1, count + 1)
    ]  # fmt: skip
    return uow.attempts.add(made)


def lives(attempts: Sequence[Attempt]) -> list[Transaction]:
    """Their holds, then slice after slice of all of them, then their releases: as in a centre that is busy."""
    found = [ledger.hold(str(attempt.id), attempt.parts, _NOW_MS) for attempt in attempts]
    for nth in range(1, _SLICES + 1):
        at_ms = _NOW_MS + nth * MINUTE_MS
        for attempt in attempts:
            before, after = settled_until(attempt, at_ms - MINUTE_MS), settled_until(attempt, at_ms)
            found.append(ledger.charge(str(attempt.id), nth, attempt.parts, attempt.flavor, before, after, at_ms - 1))
    over_ms = _NOW_MS + _SLICES * MINUTE_MS
    found += [ledger.release(str(a.id), a.parts, settled_until(a, over_ms), over_ms) for a in attempts]
    return found


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process, from the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fill(engine: Engine) -> None:
    """Ten million entries: charges of a micro-SU and a GPU-millisecond to each of an allocation's two grants."""
    store = Store(engine)
    with store.write() as uow:
        opened = [one for n in range(1, _ALLOCATIONS + 1) for one in _first(n)]
        uow.ledger.post(opened, {})
    charges = _ENTRIES // _A_CHARGE
    with engine.begin() as connection:
        for statement in _FILL:
            connection.execute(text(statement), {"charges": charges, "allocations": _ALLOCATIONS, "now": _NOW_MS})
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _first(allocation_id: int) -> Iterator[Transaction]:
    """What makes all books of an allocation: a hold, and a first charge."""
    parts = (Part(allocation_id, 1, MICRO), Part(allocation_id, 2, MICRO))
    name = f"0_{allocation_id}.1"
    yield ledger.hold(name, parts, _NOW_MS)
    yield ledger.charge(name, 1, parts, CPU_FLAVOR, Settled(), Settled(2, 2), _NOW_MS)


# One charge is (allocation, number); its seven entries are those of the books that ``_first`` made. Foreign keys are
# not checked meanwhile: each would be looked up twenty million times.
_FILL = (
    "SET LOCAL session_replication_role = replica",
    """CREATE TEMPORARY TABLE charge ON COMMIT DROP AS
       SELECT nextval(pg_get_serial_sequence('ledger_transaction', 'id')) AS id, n, 1 + n % :allocations AS allocation_id
       FROM generate_series(1, :charges) AS n""",
    """INSERT INTO ledger_transaction (id, name, kind, at_ms)
       SELECT id, 'charge/' || n || '_0.1/2', 'charge', :now + n FROM charge""",
    """INSERT INTO ledger_entry (transaction_id, book_id, amount)
       SELECT charge.id, book.id, CASE WHEN book.kind = 'held' THEN -1 ELSE 1 END FROM charge
       JOIN book ON book.allocation_id = charge.allocation_id AND book.kind IN ('held', 'consumed', 'delivered')""",
    """INSERT INTO ledger_entry (transaction_id, book_id, amount)
       SELECT charge.id, book.id, -2 FROM charge CROSS JOIN book WHERE book.kind = 'capacity'""",
    """UPDATE book SET balance = sums.total
       FROM (SELECT book_id, SUM(amount) AS total FROM ledger_entry GROUP BY book_id) AS sums
       WHERE sums.book_id = book.id""",
)


def _check(store: Store) -> None:
    with store.read() as uow:
        wrong = uow.ledger.unbalanced()
    if wrong:
        raise RuntimeError(f"the ledger does not balance: {wrong[0]}")
