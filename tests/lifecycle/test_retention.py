"""What was kept long enough goes, in pieces, by the leader alone; what is under a legal hold stays, whatever comes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import StaleLeader
from domain.people import Caller, Token, User, UserState
from domain.personal import RECORDS
from domain.quantities import DAY_MS
from domain.retention import DEFAULTS, Keep
from lifecycle import holds
from lifecycle.erasure import erase_checked
from lifecycle.holds import Covers
from lifecycle.paging import Page
from lifecycle.retention import RUN, Sweeper, retain, set_rule
from local.driver import LocalDriver
from local.gpus import find_machine
from runtime.leavings import FileLeavings
from store.dossier import mine
from store.shelf import FileShelf
from store.sources import FileSources
from store.tables import Base
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.markers import mark
from tests.support.sealing import Sealed

LONG = 40 * 365  # days: longer than anything is kept


@dataclass
class Files:
    """What lies beside the database of a test's centre."""

    root: Path
    leavings: FileLeavings

    @classmethod
    def of(cls, centre: Centre, root: Path) -> "Files":
        local = LocalDriver(root=root / "local", machine=find_machine("n1:cpus=2,memory=1Gi"), clock=centre.clock)
        shelf = FileShelf(root / "shelf", log_limit_bytes=10**6, output_limit_bytes=10**6)
        return cls(root, FileLeavings(shelf, local, FileSources(root / "sources")))

    def leave(self, centre: Centre, job: int) -> list[Path]:
        """Files of each attempt, where both kinds of clusters have them."""
        made = []
        for attempt in centre.attempts(job):
            self.leavings.shelf.append_log(attempt.id, 0, b"said")
            place = self.root / "local" / "attempts" / str(job // 1_000) / str(attempt.id)
            place.mkdir(parents=True)
            (place / "spec.json").write_text("{}")
            (place / "log.0").write_text("said")
            made += [self.root / "shelf" / str(job // 1_000) / str(attempt.id), place]
        return made


@pytest.fixture
def files(centre: Centre, tmp_path: Path) -> Files:
    return Files.of(centre, tmp_path / "data")


def run(centre: Centre, files: Files | None = None, **options: Any) -> dict[str, int]:
    sweeper = Sweeper(centre.store, None if files is None else files.leavings, **options)
    return sweeper.run(centre.epoch, centre.clock.now_ms())


def hold(centre: Centre, covers: Covers) -> int:
    with centre.store.write() as uow:
        return holds.set_hold(uow, admin(centre), covers, "a case", centre.clock.now_ms()).id


def lift(centre: Centre, hold_id: int) -> None:
    caller = admin(centre)
    with centre.store.write() as uow:
        holds.lift_hold(uow, caller, hold_id, centre.clock.now_ms())


def admin(centre: Centre) -> Caller:
    """Their token may have been swept long ago."""
    with centre.store.read() as uow:
        user = uow.people.user("admin")
    assert user is not None
    return Caller(user, Token(0, user.id, "x", 0))


@pytest.mark.promise(8)
def test_what_was_kept_long_enough_goes_and_the_run_says_so(centre: Centre, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    mark(centre, "sok", "zebra")
    sealed.seal()
    assert run(centre) == {}
    centre.clock.advance(days=LONG)
    told = run(centre)
    assert told.keys() >= {"attempt", "change", "acting", "audit", "answer"}
    with centre.store.read() as uow:
        assert [dict(removed) for _, _, removed in uow.privacy.sweeps(Page(None, 9))] == [told, {}]
    assert run(centre) == {}
    sealed.seal()
    assert sealed.wrong() is None


@pytest.mark.promise(8)
@pytest.mark.parametrize("keep", [Keep.CHANGE, Keep.ACTING, Keep.AUDIT, Keep.ATTEMPT])
def test_a_class_goes_on_its_day_and_not_before(centre: Centre, keep: Keep) -> None:
    mark(centre, "sok", "zebra")
    ends_ms = centre.clock.now_ms() + 1  # acting and device logins end a moment later
    days = DEFAULTS[keep].days
    assert days is not None
    centre.clock.set(ends_ms + days * DAY_MS - 1_000_000)
    assert keep.value not in run(centre)
    centre.clock.set(ends_ms + days * DAY_MS + 1)
    assert run(centre)[keep.value] > 0


@pytest.mark.promise(8)
def test_a_dated_rule_is_followed_from_its_day(centre: Centre) -> None:
    mark(centre, "sok", "zebra")
    centre.clock.advance(days=10)
    with centre.store.write() as uow:
        document = {"change": {"days": 5, "source": "a law"}}
        from_ms = centre.clock.now_ms() + DAY_MS
        set_rule(uow, admin(centre), document, "a test", centre.clock.now_ms(), from_ms)
    assert "change" not in run(centre)
    centre.clock.advance(days=1)
    assert run(centre)["change"] == 1


@pytest.mark.promise(8)
def test_a_rule_that_is_altered_is_noticed(centre: Centre, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    with centre.store.write() as uow:
        document = {"change": {"days": 5, "source": "a law"}}
        set_rule(uow, admin(centre), document, "a test", centre.clock.now_ms(), None)
    sealed.seal()
    assert sealed.wrong() is None
    with centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql("UPDATE retention_rule SET from_ms = from_ms + 1")
    assert "retention_rule" in str(sealed.wrong())


@pytest.mark.promise(2)
def test_a_controller_that_does_not_lead_any_more_removes_nothing(centre: Centre, files: Files) -> None:
    mark(centre, "sok", "zebra")
    centre.clock.advance(days=LONG)
    before = centre.database.dump()
    with centre.store.write() as uow:
        uow.leader.take("another", centre.clock.now_ms(), 0, alone=False)
    taken = centre.database.dump()
    with pytest.raises(StaleLeader):
        run(centre, files)
    assert {**centre.database.dump(), "leader": []} == {**taken, "leader": []} == {**before, "leader": []}


def test_it_runs_once_a_day_or_when_asked_and_goes_on_while_there_is_more(centre: Centre) -> None:
    def due(*, at_once: bool = False) -> tuple[bool, int]:
        more = retain(centre.store, None, centre.epoch, centre.clock.now_ms(), at_once=at_once)
        with centre.store.read() as uow:
            return more, len(uow.privacy.sweeps(Page(None, 99)))

    assert due() == (False, 1)
    centre.clock.advance(hours=23)
    assert due() == (False, 1)
    assert due(at_once=True) == (False, 2)
    with centre.store.write() as uow:
        uow.custody.set_mark(RUN, centre.clock.advance(minutes=1))
    assert due() == (False, 3)
    assert due() == (False, 3)
    centre.clock.advance(days=1)
    assert due() == (False, 4)


def test_a_large_backlog_goes_in_pieces(centre: Centre) -> None:
    mark(centre, "sok", "zebra")
    with centre.database.connect(writes=True) as connection:
        for number in range(25):
            connection.exec_driver_sql(
                "INSERT INTO person_change (user_id, field, sealed, changed_ms, by_id) "
                f"SELECT user_id, 'f{number}', sealed, 1, by_id FROM person_change WHERE field = 'title'"
            )
    counts = []
    for _ in range(9):
        sweeper = Sweeper(centre.store, None, batch=2)
        counts.append(sweeper.run(centre.epoch, centre.clock.now_ms() + 2 * 365 * DAY_MS).get("change", 0))
        if not sweeper.more:
            break
    assert counts == [8, 8, 8, 2]


def test_a_rehearsal_counts_and_removes_nothing(centre: Centre, files: Files) -> None:
    mark(centre, "sok", "zebra")
    centre.clock.advance(days=LONG)
    before = centre.database.dump()
    assert run(centre, files, dry=True)["change"] == 1
    assert centre.database.dump() == before


@pytest.mark.promise(8)
def test_who_was_never_admitted_is_erased(centre: Centre) -> None:
    with centre.store.write() as uow:
        waiting = uow.people.add_user(User(0, "zebra", "Zebra", state=UserState.WAITING, created_ms=1))
    assert run(centre)["waiting"] == 1
    with centre.store.read() as uow:
        gone = uow.people.user_of(waiting.id)
    assert gone is not None
    assert (gone.name, gone.state) == (f"erased-{waiting.id}", UserState.ERASED)
    assert "waiting" not in run(centre)


@pytest.mark.promise(8)
def test_files_of_ended_attempts_go_in_their_order_and_what_runs_stays(centre: Centre, files: Files) -> None:
    old = centre.submit(spec(command="run 1m", outputs=("*",)))
    centre.run()
    gone = files.leave(centre, old.id)
    centre.clock.advance(days=364)
    young = centre.submit(spec(command="run 1m"))
    centre.run()
    stays = files.leave(centre, young.id)
    assert "files" not in run(centre, files)
    centre.clock.advance(days=2)
    assert run(centre, files)["files"] == 1
    assert [path for path in gone if path.exists()] == []
    assert all(path.exists() for path in stays)
    assert "files" not in run(centre, files)


@pytest.mark.promise(8)
@pytest.mark.parametrize("covers", [Covers(user="dara"), Covers(account="speech"), Covers(account="cadt"), Covers()])
def test_files_under_a_hold_stay_and_go_once_it_is_lifted(centre: Centre, files: Files, covers: Covers) -> None:
    job, other = (
        centre.submit(spec(project, command="run 1m"), user)
        for project, user in (("speech", "dara"), ("flood", "rith"))
    )
    centre.run()
    held, free = files.leave(centre, job.id), files.leave(centre, other.id)
    number = hold(centre, covers)
    centre.clock.advance(days=LONG)
    run(centre, files)
    assert all(path.exists() for path in held)
    assert all(path.exists() == (covers == Covers()) for path in free)
    lift(centre, number)
    run(centre, files)
    assert not any(path.exists() for path in (*held, *free))


@pytest.mark.promise(8)
def test_what_jobs_of_an_erased_person_were_started_with_goes_and_their_logs_stay(centre: Centre, files: Files) -> None:
    job, other = (centre.submit(spec(command="run 1m"), user) for user in ("sok", "dara"))
    centre.run()
    (_, place), (_, untouched) = files.leave(centre, job.id), files.leave(centre, other.id)
    with centre.store.write() as uow:
        sok = uow.people.user("sok")
        assert sok is not None
        erase_checked(uow, sok, centre.clock.now_ms())
    assert run(centre, files)["orders"] == 1
    assert sorted(path.name for path in place.iterdir()) == ["log.0"]
    assert (untouched / "spec.json").exists()
    with centre.store.read() as uow:
        assert uow.custody.erasure_requests(Page(None, 9)) == []


def test_sources_go_a_run_after_their_row_and_not_if_they_are_sent_again(centre: Centre, files: Files) -> None:
    kept = files.leavings.kept
    names = [kept.keep(text) for text in (b"old", b"again")]
    now = centre.clock.now_ms()
    with centre.store.write() as uow:
        for name in names:
            uow.keep_source(name, 1, now)
    for name in names:
        os.utime(kept.path(name), (now // 1_000, now // 1_000))
    centre.clock.advance(days=400)
    assert run(centre, files)["sources"] == 2
    assert all(kept.path(name).exists() for name in names)
    assert kept.keep(b"again") == names[1]
    run(centre, files)
    assert [kept.path(name).exists() for name in names] == [False, True]
    number = hold(centre, Covers(user="sok"))
    os.utime(kept.path(names[1]), (1, 1))
    run(centre, files)
    assert kept.path(names[1]).exists()
    lift(centre, number)
    run(centre, files)
    assert not kept.path(names[1]).exists()


def rows_about(centre: Centre, name: str) -> dict[str, list[Any]]:
    """Every row about a person, by table, and who and why of the entries that name them."""
    with centre.store.read() as uow:
        user = uow.people.user(name)
    assert user is not None
    found: dict[str, list[Any]] = {}
    with centre.database.connect() as connection:
        for record in RECORDS:
            table = Base.metadata.tables[record.table]
            rows = connection.execute(table.select().where(mine(table, record, user.id)).order_by(*table.primary_key))
            found[record.kind] = [tuple(row) for row in rows]
        entries = connection.exec_driver_sql(
            "SELECT personal, salt FROM audit_entry e JOIN audit_person p ON p.entry_id = e.id "
            f"WHERE p.user_id = {user.id} ORDER BY e.id"
        )
        found["entries"] = [tuple(row) for row in entries]
    return found


COVERS: dict[str, Callable[[], Covers]] = {
    "user": lambda: Covers(user="sok"),
    "project": lambda: Covers(account="speech"),
    "tenant": lambda: Covers(account="cadt"),
    "centre": lambda: Covers(account="centre"),
    "all": Covers,
}


@pytest.mark.promise(8)
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    covers=st.sampled_from(sorted(COVERS)),
    others=st.lists(st.sampled_from(["user", "itc"]), max_size=2),
    days=st.lists(st.integers(1, LONG), min_size=1, max_size=3),
    batch=st.integers(1, 3),
)
def test_nothing_under_a_hold_ever_goes(
    centre: Centre, covers: str, others: list[str], days: list[int], batch: int
) -> None:
    """Whatever else is held and lifted, however long it takes, and in whatever pieces."""
    centre.refound()
    mark(centre, "sok", "zebra")
    mark(centre, "rith", "walrus")
    hold(centre, COVERS[covers]())
    passing = [hold(centre, Covers(user="rith") if one == "user" else Covers(account="itc")) for one in others]
    before = rows_about(centre, "sok")
    for number, wait in enumerate(days):
        centre.clock.advance(days=wait)
        if number < len(passing):
            lift(centre, passing[number])
        run(centre, batch=batch)
        assert rows_about(centre, "sok") == before
