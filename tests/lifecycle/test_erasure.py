"""Erasing a person: nothing of them can be found any more, and every total stays what it was."""

import json
from pathlib import Path

import pytest

from domain.access import Role
from domain.errors import BarayError, Conflict, Invalid, Refused
from domain.people import User, UserKind, UserState
from lifecycle import holds, people
from lifecycle.erasure import Erased, erase
from lifecycle.holds import Covers
from lifecycle.report import usage
from lifecycle.witness import witness
from tests.support.centre import Centre
from tests.support.databases import SQLITE
from tests.support.factories import spec
from tests.support.markers import Marked, mark
from tests.support.sealing import Sealed

TOTALS = (
    "usage",
    "ledger_transaction",
    "ledger_entry",
    "book",
    "holding",
    "fair_share",
    "user_share",
    "allocation_source",
)

KEPT = ("zebra-job", "zebra-gate", "zebra-purpose", "zebra-acting")  # records of the centre, whose author is a number


def gone(centre: Centre, name: str = "sok", reason: str = "they asked for it") -> Erased:
    caller = centre.caller("admin")
    with centre.store.write() as uow:
        return erase(uow, caller, name, reason, centre.clock.now_ms())


def refused(centre: Centre, name: str = "sok", kind: type[BarayError] = Refused) -> BarayError:
    with pytest.raises(kind) as error:
        gone(centre, name)
    return error.value


def dump(centre: Centre) -> str:
    """The whole database as text, bytes as they are."""
    rows = centre.database.dump()
    return json.dumps(rows, default=lambda value: bytes(value).decode("latin-1"), ensure_ascii=False).lower()


def totals(centre: Centre) -> str:
    rows = centre.database.dump()
    with centre.store.read() as uow:
        reports = [usage(uow, by, None, None, None) for by in ("tenant", "project", "funder")]
    return repr([rows[table] for table in TOTALS]) + repr(reports)


@pytest.fixture
def marked(centre: Centre) -> Marked:
    return mark(centre, "sok", "zebra")


@pytest.mark.promise(8)
def test_nothing_of_an_erased_person_is_found_in_the_whole_database(centre: Centre, marked: Marked) -> None:
    before = dump(centre)
    assert all(word.lower() in before for word in (*marked.marks, *marked.secrets) if word != "zebra-before")
    told = gone(centre)
    after = dump(centre)
    names = ("zebra title", "zebra@mail.example", '"sok"', "/sok", " sok", "sok ")
    found = [word for word in (*marked.marks, *marked.secrets, *names) if word.lower() in after and word not in KEPT]
    assert not found
    assert all(word in after for word in KEPT)
    assert told.user.name == f"erased-{marked.user.id}"
    assert told.user.state is UserState.ERASED
    assert told.counts["audit"] >= 2
    assert told.named_in == ()


@pytest.mark.promise(8)
def test_not_even_in_the_bytes_of_the_database_file(centre: Centre, marked: Marked) -> None:
    if centre.database.kind != SQLITE:
        pytest.skip("PostgreSQL removes dead rows when it vacuums: docs/privacy.md says so")
    gone(centre)
    with centre.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    path = Path(centre.database.url.removeprefix("sqlite:///"))
    every = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    words = {*marked.marks, *marked.secrets, "sok@centre.example"} - {"sok", *KEPT}
    assert [word for word in sorted(words) if word.encode() in every] == []


@pytest.mark.promise(4)
@pytest.mark.promise(8)
def test_every_total_stays_to_the_byte_and_the_tree_holds(centre: Centre, marked: Marked, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    sealed.seal()
    before = totals(centre)
    gone(centre)
    assert totals(centre) == before
    sealed.seal()
    assert sealed.wrong() is None


@pytest.mark.promise(8)
def test_who_is_erased_cannot_come_in_and_a_new_login_is_a_new_person(centre: Centre, marked: Marked) -> None:
    gone(centre)
    assert centre.database.rows("SELECT COUNT(*) FROM token WHERE user_id = :id", id=marked.user.id)[0][0] == 0
    with centre.store.write() as uow:
        assert uow.logins.identity("https://zebra-issuer", "zebra-subject") is None
        assert uow.logins.password(marked.user.id) is None
        again = people.add_user(uow, "sok", "Sok", None, 1)
        assert again.id != marked.user.id


@pytest.mark.promise(8)
def test_who_still_has_jobs_roles_or_services_is_not_erased_and_is_told_all_of_it(centre: Centre) -> None:
    centre.submit(spec(command="run 1h"), "dara")
    centre.settle()
    with centre.store.write() as uow:
        dara = uow.people.user("dara")
        assert dara is not None
        uow.people.add_user(User(0, "robot", "Robot", kind=UserKind.SERVICE, owner_id=dara.id))
    told = refused(centre, "dara")
    assert [fault.message for fault in told.faults] == [
        "1 of their jobs are not over",
        "they are the only lead of speech",
        "they answer for the service robot",
    ]
    with centre.store.write() as uow:
        people.give_role(uow, "sok", "speech", Role.LEAD, 1)
        robot = uow.people.user("robot")
        assert robot is not None
        uow.people.save_user(User(robot.id, "robot", "Robot", kind=UserKind.SERVICE, state=UserState.ERASED))
    centre.run()
    assert gone(centre, "dara").user.state is UserState.ERASED


@pytest.mark.promise(8)
def test_the_last_administrator_and_who_asks_are_not_erased(centre: Centre) -> None:
    assert refused(centre, "admin").code == "own-request"
    with centre.store.write() as uow:
        people.give_role(uow, "nary", "centre", Role.CENTRE_ADMIN, 1)
    caller = centre.caller("nary")
    with centre.store.write() as uow:
        erase(uow, caller, "admin", "left", centre.clock.now_ms())
    with pytest.raises(Refused, match="nobody erases themselves"), centre.store.write() as uow:
        erase(uow, caller, "nary", "left", centre.clock.now_ms())


@pytest.mark.promise(8)
@pytest.mark.parametrize("covers", [Covers(user="sok"), Covers(account="speech"), Covers(account="cadt"), Covers()])
def test_who_is_under_a_legal_hold_is_not_erased_until_it_is_lifted(centre: Centre, covers: Covers) -> None:
    caller, now = centre.caller("admin"), centre.clock.now_ms()
    with centre.store.write() as uow:
        hold = holds.set_hold(uow, caller, covers, "a case", now)
    before = dump(centre)
    assert refused(centre).code == "legal-hold"
    assert dump(centre) == before
    with centre.store.write() as uow:
        holds.lift_hold(uow, caller, hold.id, now)
    gone(centre)
    with pytest.raises(Conflict, match="lifted already"), centre.store.write() as uow:
        holds.lift_hold(uow, caller, hold.id, now)


@pytest.mark.promise(8)
def test_a_hold_on_another_account_holds_nobody_here(centre: Centre) -> None:
    with centre.store.write() as uow:
        holds.set_hold(uow, centre.caller("admin"), Covers(account="itc"), "a case", 1)
    gone(centre)


@pytest.mark.promise(8)
@pytest.mark.parametrize("reason", ["sok left", "as SOK@centre.example wrote", 'see "Sok"'])
def test_the_reason_stays_and_so_names_nobody(centre: Centre, reason: str) -> None:
    with pytest.raises(Invalid, match="names the person"):
        gone(centre, reason=reason)


def test_nobody_is_erased_twice(centre: Centre) -> None:
    name = gone(centre).user.name
    assert refused(centre, name, Conflict).message == f"{name} is erased already"


def test_what_others_wrote_of_them_in_the_trail_is_told_to_the_administrator(centre: Centre, tmp_path: Path) -> None:
    entry = Sealed.on(centre, tmp_path)
    with centre.store.write() as uow:
        left = witness(uow.audit, 1, "act", "/x", {}, {"by": "admin", "reason": "because sok asked"})
    assert gone(centre).named_in == (left.id,)
    assert entry.wrong() is None
