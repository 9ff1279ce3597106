"""Units of work: whole or nothing, one moment to a reader, and no two writers of the same thing."""

import threading
from dataclasses import replace

import pytest

from domain.accounts import Account, AccountKind
from domain.errors import Conflict, Unavailable
from domain.ids import TaskId
from domain.jobs import JobState
from domain.people import User
from lifecycle import control
from lifecycle.ports import Store
from lifecycle.report import usage
from store.engine import open_engine
from store.unit_of_work import Store as SqlStore
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.databases import Database
from tests.support.factories import spec


def tenant(name: str) -> Account:
    return Account(0, 1, AccountKind.TENANT, name, name)


def names(store: Store) -> set[str]:
    with store.read() as uow:
        return set(uow.directory().by_name)


@pytest.mark.promise(1)
def test_a_transaction_that_fails_leaves_nothing_behind(centre: Centre) -> None:
    before = centre.database.dump()
    with pytest.raises(RuntimeError), centre.store.write() as uow:
        uow.accounts.add(tenant("lost"))
        uow.people.add_user(User(0, "lost", "Lost"))
        uow.jobs.add(spec(), 4, 1, 0)
        raise RuntimeError
    assert centre.database.dump() == before


def test_the_directory_shows_a_change_at_once_within_its_transaction_and_then_to_all(centre: Centre) -> None:
    other = centre.database.store()
    assert "new" not in names(other)
    with centre.store.write() as uow:
        uow.accounts.add(tenant("new"))
        assert "new" in uow.directory().by_name
    assert "new" in names(centre.store)
    assert "new" in names(other)


def test_a_change_that_was_undone_is_not_kept_in_the_directory(centre: Centre) -> None:
    """It was seen within its own transaction, and then never happened; the next change takes its place in line."""
    with pytest.raises(RuntimeError), centre.store.write() as uow:
        uow.accounts.add(tenant("phantom"))
        assert "phantom" in uow.directory().by_name
        raise RuntimeError
    assert "phantom" not in names(centre.store)
    with pytest.raises(RuntimeError), centre.store.write() as uow:
        uow.accounts.add(tenant("phantom"))
        assert "phantom" in uow.directory().by_name
        raise RuntimeError
    with centre.store.write() as uow:
        uow.accounts.add(tenant("real"))
    seen = names(centre.store)
    assert "real" in seen
    assert "phantom" not in seen


@pytest.mark.promise(4)
def test_a_reader_sees_one_moment_throughout(centre: Centre) -> None:
    """A report is several questions; what is charged between two of them belongs to the next report."""
    job = centre.submit(spec(command="run 1m")).id
    centre.settle()
    centre.clock.advance(minutes=1)
    with centre.database.store().read() as uow:
        before = usage(uow, "project", None, None, None)
        thread = threading.Thread(target=centre.observe)
        thread.start()
        thread.join()
        assert usage(uow, "project", None, None, None) == before
        assert uow.jobs.get(job).state is JobState.RUNNING
    assert centre.job(job).state is JobState.SUCCEEDED


@pytest.mark.promise(2)
@pytest.mark.parametrize("act", ["cancel", "requeue"])
@pytest.mark.parametrize("step", ["observe", "dispatch"])
def test_what_a_person_says_while_a_step_is_under_way_is_not_overwritten(centre: Centre, act: str, step: str) -> None:
    """The person has spoken and not committed when the step comes to the same attempt: it must wait, and then read."""
    job = centre.submit(spec(command="run 1h stops-after 1s")).id
    centre.schedule()
    if step == "observe":
        centre.dispatch()
        centre.observe()
        centre.clock.advance(minutes=5)
    speak = {"cancel": control.cancel, "requeue": control.requeue}[act]
    stepping = threading.Thread(target=centre.step, args=(step,))
    with centre.database.store().write() as uow:
        speak(uow, TaskId(job), centre.clock.now_ms())
        stepping.start()
        stepping.join(0.3)
    stepping.join()
    assert centre.attempt(job).intent == act
    centre.run()
    assert centre.job(job).state is (JobState.CANCELLED if act == "cancel" else JobState.SUCCEEDED)
    assert_sound(centre.database, centre.store)


def test_two_who_change_the_same_version_do_not_both_succeed(centre: Centre) -> None:
    """Each read version 1, and wants to write version 2."""
    with centre.store.read() as uow:
        seen = uow.directory().by_name["speech"]
    with centre.store.write() as uow:
        uow.accounts.update(replace(seen, title="first"))
    with pytest.raises(Conflict), centre.database.store().write() as uow:
        uow.accounts.update(replace(seen, title="second"))
    with centre.store.read() as uow:
        assert uow.directory().by_name["speech"].title == "first"


def test_a_database_that_is_away_is_unavailable_and_nothing_else(tmp_path) -> None:
    engine = open_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2")
    with pytest.raises(Unavailable, match="the database does not answer"), SqlStore(engine).read() as uow:
        uow.directory()
    engine.dispose()


def test_a_constraint_that_refuses_is_a_conflict(centre: Centre) -> None:
    with pytest.raises(Conflict, match="somebody else changed the same thing"), centre.store.write() as uow:
        uow.accounts.add(tenant("cadt"))


def test_writers_wait_for_each_other(database: Database, centre: Centre) -> None:
    """Sixteen writers count to a hundred together."""

    def count(_: int) -> None:
        store = database.store()
        for _ in range(6):
            with store.write() as uow:
                uow.accounts.hold({(1, "h100-80gb"): 1})

    threads = [threading.Thread(target=count, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with centre.store.read() as uow:
        assert uow.accounts.held()[1, "h100-80gb"] == 96
