"""The controller's loop: it leads or waits, wakes and beats, and goes on after a step that failed."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from domain.errors import Unavailable
from domain.jobs import AttemptState, JobState
from lifecycle.lookout import Lookout
from lifecycle.ports import Store
from monitoring.metrics import Metrics
from runtime.controller import Controller
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite

LEASE_MS = 10_000


def controller(centre: Centre, holder: str = "one", *, store: Store | None = None, alone: bool = False) -> Controller:
    store = store or centre.database.store()
    return Controller(
        store=store, lookout=Lookout(store), drivers=centre.drivers, vault=centre.vault, clock=centre.clock,
        metrics=Metrics(store), holder=holder, beat_ms=60_000, lease_ms=LEASE_MS, alone=alone, used_tokens={},
    )  # fmt: skip


def said(one: Controller, name: str, **labels: str) -> float:
    return one.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.promise(2)
def test_one_leads_and_the_other_stands_by_until_the_lease_is_over(centre: Centre) -> None:
    centre.clock.advance(1)
    leader, standby = controller(centre, "leader"), controller(centre, "standby")
    job = centre.submit(spec(command="run 1h")).id
    assert leader.cycle()
    assert standby.cycle()
    assert (said(leader, "baray_controller_leading"), said(standby, "baray_controller_leading")) == (1, 0)
    assert (said(leader, "baray_attempts_started_total"), said(standby, "baray_attempts_started_total")) == (1, 0)
    centre.clock.advance(LEASE_MS // 2)
    leader.cycle()
    centre.clock.advance(LEASE_MS - 1)
    standby.cycle()
    assert said(standby, "baray_controller_leading") == 0, "the lease was renewed"
    centre.clock.advance(1)
    standby.cycle()
    assert said(standby, "baray_controller_leading") == 1, "a silent leader is followed"
    second = centre.submit(spec(command="run 1h")).id
    leader.cycle()
    assert said(leader, "baray_controller_leading") == 0, "who was followed notices"
    standby.cycle()
    assert [len(centre.attempts(number)) for number in (job, second)] == [1, 1]
    assert set(centre.driver.runs.values()) == {1}
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(9)
def test_a_cluster_that_is_away_keeps_no_other_step_from_its_work(centre: Centre) -> None:
    centre.clock.advance(1)
    one = controller(centre)
    running = centre.submit(spec(command="run 1m")).id
    one.cycle()
    centre.driver.away = True
    waiting = centre.submit(spec(command="run 1m")).id
    centre.clock.advance(minutes=1)
    one.cycle()
    one.cycle()
    assert centre.job(running).state is JobState.SUCCEEDED, "what ran is seen to its end"
    assert centre.job(waiting).state is JobState.STARTING
    centre.driver.away = False
    one.cycle()
    centre.clock.advance(minutes=1)
    one.cycle()
    assert centre.job(waiting).state is JobState.SUCCEEDED
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(9)
def test_a_cluster_out_of_sight_keeps_what_runs_and_lets_the_other_steps_go_on(centre: Centre) -> None:
    centre.clock.advance(1)
    one = controller(centre)
    running = centre.submit(spec(command="run 1h")).id
    assert one.cycle()
    centre.driver.blind = True
    second = centre.submit(spec(command="run 1m")).id
    for _ in range(3):
        centre.clock.advance(minutes=2)
        assert one.cycle()
    assert centre.driver.runs[centre.attempt(second).id] == 1, "it was planned and handed over all the same"
    assert centre.job(running).state in {JobState.STARTING, JobState.RUNNING}, "not seen is not gone"
    assert centre.attempt(running).state is AttemptState.LOST
    centre.driver.blind = False
    assert one.cycle()
    assert centre.job(second).state is JobState.SUCCEEDED
    assert centre.attempt(second).gpu_ms == 60_000
    assert centre.job(running).state is JobState.RUNNING
    assert_sound(centre.database, centre.store)


@dataclass
class Flaky:
    """A store whose database goes away and comes back."""

    store: Store
    away: bool = False
    asked: int = field(default=0)

    def read(self):
        return self._open(self.store.read)

    def write(self):
        return self._open(self.store.write)

    def _open(self, opened):
        self.asked += 1
        if self.away:
            raise Unavailable("the database does not answer; nothing was changed")
        return opened()


@pytest.mark.promise(9)
def test_a_database_that_is_away_is_tried_again_and_caught_up_with(centre: Centre) -> None:
    centre.clock.advance(1)
    store = Flaky(centre.database.store())
    one = controller(centre, store=store)
    job = centre.submit(spec(command="run 1m")).id
    assert one.cycle()
    store.away = True
    for _ in range(5):
        centre.clock.advance(minutes=1)
        assert not one.cycle(), "a cycle that failed says so"
    store.away = False
    assert one.cycle()
    assert centre.job(job).state is JobState.SUCCEEDED
    assert centre.attempt(job).gpu_ms == 60_000, "it ran its minute, however late it was seen"
    assert said(one, "baray_controller_errors_total", step="lead") > 0
    assert_sound(centre.database, centre.store)


@pytest.fixture
def turning(centre: Centre) -> Iterator[Controller]:
    """In its thread, with a beat of a minute: only a wake moves it."""
    centre.clock.advance(1)
    one = controller(centre)
    thread = threading.Thread(target=one.run)
    thread.start()
    yield one
    one.stop()
    thread.join(10)
    assert not thread.is_alive()


def until(look) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@on_sqlite
def test_a_wake_moves_it_at_once_and_a_change_is_told(turning: Controller, centre: Centre) -> None:
    told = threading.Event()
    turning.changed = told.set
    job = centre.submit(spec(command="run 1m")).id
    turning.wake()
    until(lambda: centre.job(job).state is not JobState.PENDING)
    assert told.wait(10)


@on_sqlite
def test_it_ends_when_it_is_told(turning: Controller, centre: Centre) -> None:
    """See the fixture: it joins."""


@on_sqlite
def test_it_keeps_house(centre: Centre) -> None:
    """When tokens were last used is written down; old first answers are forgotten."""
    centre.clock.advance(1)
    one = controller(centre)
    with centre.store.write() as uow:
        uow.once.keep(1, "old", b"d", 201, b"", centre.clock.now_ms())
    one.used_tokens[1] = 12_345
    one.cycle()
    centre.clock.advance(days=8)
    one.cycle()
    with centre.store.read() as uow:
        assert uow.people.token(1).last_used_ms == 12_345
        assert uow.once.find(1, "old") is None
    assert one.used_tokens == {}


def test_every_process_notes_the_tokens_that_it_was_shown(centre: Centre) -> None:
    """Leading or not, once a minute, and never an older use over a newer one."""
    leads, follows = controller(centre, "one"), controller(centre, "two")
    centre.clock.advance(days=1)
    for process, used_ms in ((leads, 20_000), (follows, 30_000)):
        process.used_tokens[1] = used_ms
        process.cycle()
    leads.used_tokens[1] = 25_000
    centre.clock.advance(seconds=59)
    leads.cycle()
    assert leads.used_tokens == {1: 25_000}
    centre.clock.advance(seconds=1)
    leads.cycle()
    assert leads.used_tokens == {}
    with centre.store.read() as uow:
        assert uow.people.token(1).last_used_ms == 30_000
