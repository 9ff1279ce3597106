"""Promise 3 under siege: sixteen processes want the last GPU and the last SU of one PostgreSQL, and some are killed."""

import multiprocessing
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import pytest
from sqlalchemy import text

from domain.accounts import Quota
from domain.quantities import MINUTE_MS
from lifecycle import accounts
from lifecycle.observe import observe
from store.engine import ONE_MOMENT
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL, Database
from tests.support.factories import H100
from tests.support.siege import FAST, besiege

WRITERS = 16
SECONDS = 60
KILL_EVERY = 8  # looks, about a second
CTX = multiprocessing.get_context("forkserver")

# Each answers rows only if something is over a limit; all in one snapshot.
OVER = {
    "a quota": """
        SELECT held.account_id FROM holding held JOIN quota USING (account_id, flavor)
        WHERE quota.borrow_limit IS NOT NULL AND held.milli > quota.guaranteed + quota.borrow_limit""",
    "a book": "SELECT key FROM book WHERE balance < 0 AND kind IN ('grant', 'allocation', 'held', 'consumed')",
    "a node": "SELECT name FROM node WHERE cpus_used > cpus OR memory_used > memory_bytes",
    "what is held": """
        SELECT 1 FROM (SELECT SUM(hold - charged) AS owed FROM attempt WHERE ended_ms IS NULL) a,
                      (SELECT SUM(balance) AS held FROM book WHERE kind = 'held') b
        WHERE COALESCE(a.owed, 0) <> COALESCE(b.held, 0)""",
    "what GPUs are held": """
        SELECT 1 FROM (SELECT SUM(milli) AS used FROM attempt WHERE ended_ms IS NULL) a,
                      (SELECT SUM(milli) AS held FROM holding WHERE account_id = 1) b
        WHERE COALESCE(a.used, 0) <> COALESCE(b.held, 0)""",
    "a task": "SELECT job_id FROM attempt WHERE ended_ms IS NULL GROUP BY job_id, task_index HAVING COUNT(*) > 1",
}


@dataclass(slots=True)
class Siege:
    """The writers and what they told."""

    centre: Centre
    seed: int
    writers: list[tuple[BaseProcess, Connection]] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def reinforce(self) -> None:
        """Another writer."""
        ours, theirs = CTX.Pipe()
        centre, self.made = self.centre, self.made + 1
        begin_ms = centre.clock.now_ms() - time.monotonic_ns() // 1_000_000 * FAST
        told = (
            centre.database.engine.url.render_as_string(hide_password=False), centre.population.tokens["admin"],
            centre.epoch, begin_ms, f"{self.seed}/{self.made}", theirs,
        )  # fmt: skip
        process = CTX.Process(target=besiege, args=told, daemon=True)
        process.start()
        self.writers.append((process, ours))

    def kill_one(self, rng: random.Random) -> None:
        process, told = self.writers.pop(rng.randrange(len(self.writers)))
        process.kill()
        process.join()
        told.close()

    def end(self) -> None:
        for _, told in self.writers:
            told.send("stop")
        for process, told in self.writers:
            self.tally += told.recv()
            process.join()


def overdrawn(database: Database) -> list[str]:
    """What is over its limit at this moment, in words."""
    with database.engine.connect().execution_options(**ONE_MOMENT) as connection, connection.begin():
        return [f"{what}: {rows}" for what, sql in OVER.items() if (rows := connection.execute(text(sql)).all())]


@pytest.mark.slow
@pytest.mark.promise(3)
@pytest.mark.parametrize("kills", [False, True], ids=["all live", "some are killed"])
def test_sixteen_writers_never_overdraw(centre: Centre, *, kills: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if centre.database.kind != POSTGRESQL:
        pytest.skip("SQLite has one writer at a time")
    with centre.store.write() as uow:
        accounts.put_quota(uow, uow.directory().by_name["cadt"], H100, Quota(2_000, 1_000), None)
    CTX.set_forkserver_preload(["tests.support.siege"])
    siege, rng, looks = Siege(centre, seed=1), random.Random(1), 0
    for _ in range(WRITERS):
        siege.reinforce()
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        wait([process.sentinel for process, _ in siege.writers], timeout=rng.uniform(0.05, 0.2))
        assert all(process.is_alive() for process, _ in siege.writers), "a writer fell over"
        assert overdrawn(centre.database) == []
        looks += 1
        if kills and looks % KILL_EVERY == 0:
            siege.kill_one(rng)
            siege.reinforce()
    siege.end()
    ((starts,),) = centre.database.rows("SELECT COUNT(*) FROM attempt")
    with capsys.disabled():
        done = ", ".join(f"{what} {count}" for what, count in sorted(siege.tally.items()))
        print(
            f"\n  {WRITERS} writers, {siege.made - WRITERS} killed, {looks} looks, {starts / SECONDS:.0f} starts/s; {done}"
        )
    assert starts > SECONDS, "a siege in which little starts proves little"
    assert_no_lock_is_left(centre.database)
    assert_sound(centre.database, centre.store)
    # Whoever comes after them finds a centre in order: what runs ends, what waits runs.
    centre.clock.advance(ms=SECONDS * 1_000 * FAST + MINUTE_MS)
    observe(centre.store, centre.drivers, centre.epoch, centre.clock.now_ms())
    centre.run()
    assert_sound(centre.database, centre.store)


def assert_no_lock_is_left(database: Database) -> None:
    rows = database.rows("SELECT pid FROM pg_locks WHERE NOT granted")
    assert rows == []
