"""A small centre whose steps a test takes one by one, on a real database and a simulated cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.fleet import Node
from domain.ids import TaskId
from domain.jobs import JobSpec
from domain.people import Caller, Token, TokenKind
from domain.records import Attempt, Job, Task
from lifecycle import control, people, tokens
from lifecycle.dispatch import dispatch, stop
from lifecycle.driving import Driver
from lifecycle.extend import extend, tell
from lifecycle.gatekeeping import Gatehouse
from lifecycle.lookout import Lookout
from lifecycle.lost import Vigil
from lifecycle.observe import observe
from lifecycle.paging import Page
from lifecycle.ports import Store, Vault
from lifecycle.schedule import schedule
from lifecycle.submit import submit
from store.vault import FileVault
from tests.support import factories
from tests.support.clock import FakeClock
from tests.support.databases import Database, Rows
from tests.support.driver import FakeDriver
from tests.support.factories import CLUSTER, Population
from tests.support.mortal import Life, MortalDriver, MortalStore

STEPS = ("observe", "schedule", "dispatch", "stop")
EVERY = Page(None, 100_000)


# The small centre's rows by kind of database: written once by the steps, then put back as they were (10 ms, not 80).
_kept: dict[str, tuple[Rows, Population]] = {}


def _populated(database: Database, driver: FakeDriver, clock: FakeClock, *, kept: bool) -> Population:
    if kept and database.kind in _kept:
        rows, made = _kept[database.kind]
        database.load(rows)
        return made
    with database.store().write() as uow:
        made = factories.populate(uow, driver, clock.now_ms())
    if kept:
        _kept[database.kind] = (database.dump(), made)
    return made


@dataclass(slots=True)
class Centre:
    """``restart`` forgets all that a controller's process knew; the database, the clock and the cluster stay."""

    database: Database
    clock: FakeClock
    driver: FakeDriver
    vault: Vault
    population: Population
    store: Store
    lookout: Lookout
    life: Life = field(default_factory=Life)
    others: dict[str, FakeDriver] = field(default_factory=dict)  # further clusters, by name
    epoch: int = 0
    _told: dict[int, int] = field(default_factory=dict)
    _vigil: Vigil = field(default_factory=Vigil)
    _gatehouse: Gatehouse = field(init=False)
    _lives: int = 0

    @classmethod
    def found(cls, database: Database, root: Path, nodes: Sequence[Node] | None = None) -> "Centre":
        """The small centre; with other ``nodes`` than usual if they are given."""
        clock = FakeClock()
        driver = FakeDriver(clock, factories.nodes() if nodes is None else nodes)
        made = _populated(database, driver, clock, kept=nodes is None)
        centre = cls(
            database, clock, driver, FileVault(root / "secret.key"), made, database.store(), Lookout(database.store())
        )
        centre.restart()
        return centre

    def refound(self) -> None:
        """The same small centre anew, on the same database, with nothing submitted."""
        self.database.empty()
        self.clock = FakeClock()
        self.driver = FakeDriver(self.clock, self.driver.nodes)
        self.population = _populated(self.database, self.driver, self.clock, kept=True)
        self.restart()

    def restart(self, ends_at: int = 0) -> None:
        """Another process takes over, at once. With ``ends_at`` it dies at that moment: see ``support.mortal``."""
        self._lives += 1
        self.life = Life()
        self.store = MortalStore(self.database.store(), self.life)
        self.lookout = Lookout(self.store)
        self._gatehouse = Gatehouse(self.store)
        self._told, self._vigil = {}, Vigil()
        with self.store.write() as uow:
            epoch = uow.leader.take(f"controller-{self._lives}", self.clock.now_ms(), 0, alone=False)
        assert epoch is not None, "somebody else leads"
        self.epoch = epoch
        self.life.ends_at = ends_at + self.life.lived if ends_at else 0

    # The steps.

    @property
    def drivers(self) -> Mapping[str, Driver]:
        return {name: MortalDriver(one, self.life) for name, one in {CLUSTER: self.driver, **self.others}.items()}

    def observe(self) -> int:
        return observe(self.store, self.drivers, self.epoch, self.clock.now_ms(), vigil=self._vigil)

    def gates(self) -> int:
        return self._gatehouse.step(self.epoch, self.clock.now_ms())

    def schedule(self) -> int:
        return schedule(self.lookout, self.epoch, self.clock.now_ms())

    def dispatch(self) -> int:
        return dispatch(self.store, self.drivers, self.vault, self.epoch, vigil=self._vigil)

    def stop(self) -> int:
        before = dict(self._told)
        stop(self.store, self.drivers, self._told, self.clock.now_ms())
        return len(self._told.items() - before.items()) + tell(self.store, self.drivers, self.epoch)

    def step(self, name: str) -> int:
        step: Callable[[], int] = getattr(self, name)
        return step()

    def cycle(self) -> int:
        """All steps once. Answers how much moved."""
        return self.gates() + sum(self.step(name) for name in STEPS)

    def settle(self) -> None:
        """Cycles until nothing moves, while time stands still."""
        for _ in range(50):
            if not self.cycle():
                return
        raise AssertionError("the centre does not come to rest")

    def run(self, **for_: int) -> None:
        """Let time pass, from event to event; without a duration until nothing runs any more."""
        until_ms = None if not for_ else FakeClock(self.clock.now_ms()).advance(**for_)
        for _ in range(10_000):
            self.settle()
            times = [one.next_event_ms() for one in (self.driver, *self.others.values())]
            next_ms = min((at_ms for at_ms in times if at_ms is not None), default=None)
            if next_ms is None or (until_ms is not None and next_ms > until_ms):
                break
            self.clock.set(next_ms)
        else:
            raise AssertionError("the centre runs on and on")
        if until_ms is not None:
            self.clock.set(until_ms)
            self.settle()

    # What people do.

    def caller(self, user: str = "dara") -> Caller:
        with self.store.read() as uow:
            return people.authenticate(uow, self.population.tokens[user], self.clock.now_ms())

    def login(self, user: str = "admin") -> str:
        """The text of a token that comes of a login just now."""
        now_ms = self.clock.now_ms()
        with self.store.write() as uow:
            token = Token(0, people.user_named(uow, user).id, "login", now_ms, kind=TokenKind.LOGIN, login_ms=now_ms)
            return tokens.keep(uow, token)[1]

    def submit(self, spec: JobSpec | None = None, user: str = "dara") -> Job:
        caller = self.caller(user)
        with self.store.write() as uow:
            return submit(uow, caller, spec or factories.spec(), self.clock.now_ms())

    def control(self, what: str, job: int | TaskId) -> Job:
        """``cancel``, ``hold``, ``release`` or ``requeue``."""
        task_id = TaskId(job) if isinstance(job, int) else job
        act = {"cancel": control.cancel, "hold": control.hold, "release": control.release, "requeue": control.requeue}
        with self.store.write() as uow:
            return act[what](uow, task_id, self.clock.now_ms())

    def extend(self, job: int | TaskId, *, by_ms: int | None = None, to_ms: int | None = None) -> Job:
        task_id = TaskId(job) if isinstance(job, int) else job
        with self.store.write() as uow:
            return extend(uow, task_id, self.clock.now_ms(), by_ms=by_ms, to_ms=to_ms)

    # What there is.

    def job(self, job_id: int) -> Job:
        with self.store.read() as uow:
            job = uow.jobs.get(job_id)
        assert job is not None, f"job {job_id} is lost"
        return job

    def task(self, job_id: int, index: int = 0) -> Task:
        with self.store.read() as uow:
            task = uow.jobs.task(job_id, index)
        assert task is not None, f"task {job_id}_{index} was not touched"
        return task

    def tasks(self, job_id: int) -> list[Task]:
        with self.store.read() as uow:
            return uow.jobs.tasks(job_id, EVERY)

    def attempts(self, job_id: int, index: int | None = None) -> list[Attempt]:
        with self.store.read() as uow:
            return uow.attempts.of_job(job_id, EVERY, index)

    def attempt(self, job_id: int, index: int | None = None) -> Attempt:
        """The newest."""
        return self.attempts(job_id, index)[-1]
