"""A controller that dies at a chosen moment: before or after a commit, before or after it has spoken to a cluster.

``Life`` counts the moments and ends at the n-th. What was committed and what the cluster was told stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from domain.clusters import Tenancy
from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Sight
from lifecycle.driving import Channel, Driver
from lifecycle.ports import Store, UnitOfWork


class Died(BaseException):
    """Nothing of a step catches this, as nothing catches SIGKILL."""


@dataclass(slots=True)
class Life:
    """Ends at moment ``ends_at``, counted from 1; never with 0. ``lived`` is how many have passed."""

    ends_at: int = 0
    lived: int = 0

    def moment(self) -> None:
        self.lived += 1
        if self.lived == self.ends_at:
            raise Died


@dataclass(frozen=True, slots=True)
class MortalStore:
    """See ``lifecycle.ports.Store``."""

    store: Store
    life: Life

    @contextmanager
    def read(self) -> Iterator[UnitOfWork]:
        with self.store.read() as uow:
            yield uow

    @contextmanager
    def write(self) -> Iterator[UnitOfWork]:
        with self.store.write() as uow:
            yield uow
            self.life.moment()  # all is written, nothing committed
        self.life.moment()  # it is committed, nobody knows yet


@dataclass(frozen=True, slots=True)
class MortalDriver:
    """See ``lifecycle.driving.Driver``."""

    driver: Driver
    life: Life

    def start(self, launch: Launch) -> None:
        self.life.moment()
        self.driver.start(launch)
        self.life.moment()

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        self.life.moment()
        self.driver.stop(attempt, grace_ms)
        self.life.moment()

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        self.life.moment()
        self.driver.extend(attempt, walltime_ms)
        self.life.moment()

    def forget(self, attempt: AttemptId) -> None:
        self.life.moment()
        self.driver.forget(attempt)
        self.life.moment()

    def observe(self) -> Sight:
        return self.driver.observe()

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:
        return self.driver.preview(launch)

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:
        return self.driver.tend(tenancy)

    def inventory(self) -> Inventory:
        return self.driver.inventory()

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        return self.driver.logs(attempt, rank, offset, limit)

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        return self.driver.output(attempt, path, offset, limit)

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> Channel:
        return self.driver.exec(attempt, rank, command, tty=tty)

    def forward(self, attempt: AttemptId, rank: int, port: int) -> Channel:
        return self.driver.forward(attempt, rank, port)

    def close(self) -> None:
        self.driver.close()
