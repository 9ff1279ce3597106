"""The audit tree on SQLite: how fast committed rows are sealed, and how fast the whole tree is verified.

The rows are an attempt's usual postings, posted through the store; sealing takes batches of a thousand, each with its
signed head, as the controller does; the verification is the one of ``baray admin audit verify``.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import ledger
from lifecycle.keys import list_key
from lifecycle.seal import Sealer
from lifecycle.verify import Verification
from store.engine import open_engine
from store.schema import migrate
from store.signer import open_key, signed_by
from store.unit_of_work import Store

_NOW_MS = 1_767_225_600_000
_ATTEMPTS = 1_700  # of 12 postings each
_A_COMMIT = 1_000


@dataclass(slots=True)
class Sealing:
    """Leaves per second, from the outbox to signed heads, each batch synced to disk."""

    cpu: list[float] = field(default_factory=list)

    def measure(self, runs: int) -> Sequence[float]:
        found = []
        for _ in range(runs):
            with _posted() as (store, sealer, epoch):
                found.append(_rate(self.cpu, lambda: _seal(sealer, epoch), store))
        return found

    def notes(self) -> Mapping[str, object]:
        return {"per_cpu_second": round(statistics.median(self.cpu))}


@dataclass(slots=True)
class Verifying:
    """Leaves per second of a verification of everything."""

    cpu: list[float] = field(default_factory=list)

    def measure(self, runs: int) -> Sequence[float]:
        with _posted() as (store, sealer, epoch):
            _seal(sealer, epoch)
            return [_rate(self.cpu, lambda: _verify(store), store) for _ in range(runs)]

    def notes(self) -> Mapping[str, object]:
        return {"per_cpu_second": round(statistics.median(self.cpu))}


def _rate(cpu: list[float], act: Callable[[], None], store: Store) -> float:
    """Leaves per second; on a machine with other work, per second of the processor says more."""
    begun, used = time.perf_counter(), time.process_time()
    act()
    taken, used = time.perf_counter() - begun, time.process_time() - used
    leaves = _size(store)
    cpu.append(leaves / used)
    return leaves / taken


def _verify(store: Store) -> None:
    with store.read() as uow:
        Verification(uow, signed_by).run()


def _seal(sealer: Sealer, epoch: int) -> None:
    while sealer.step(epoch, _NOW_MS):
        pass


def _size(store: Store) -> int:
    with store.read() as uow:
        return uow.seals.size()


@contextmanager
def _posted() -> Iterator[tuple[Store, Sealer, int]]:
    """A centre whose ledger holds the lives of many attempts, none of them sealed."""
    with tempfile.TemporaryDirectory(prefix="baray-bench-") as root:
        engine = open_engine(f"sqlite:///{Path(root) / 'baray.db'}")
        migrate(engine)
        store = Store(engine)
        signer = open_key(Path(root) / "audit.key", "bench", None)
        with store.write() as uow:
            ledger.set_up(uow, 1)
            list_key(uow, signer, _NOW_MS)
            epoch = uow.leader.take("bench", _NOW_MS, 60_000, alone=True)
            attempts = ledger.add_attempts(uow, 1, _ATTEMPTS)
        assert epoch is not None, "nobody else leads"
        rows, postings = {str(attempt.id): attempt.row for attempt in attempts}, ledger.lives(attempts)
        for first in range(0, len(postings), _A_COMMIT):
            with store.write() as uow:
                uow.ledger.post(postings[first : first + _A_COMMIT], rows)
        try:
            yield store, Sealer(store, signer), epoch
        finally:
            engine.dispose()
