"""People in the audit trail: what names somebody goes when they are erased, and the tree still holds."""

from pathlib import Path

import pytest

from lifecycle.paging import Page
from lifecycle.trail import erase_person, log_of
from lifecycle.witness import witness
from quotas.leaves import AuditEntry
from tests.support.centre import EVERY, Centre
from tests.support.sealing import Sealed


def left(centre: Centre, entry_id: int) -> AuditEntry:
    with centre.store.read() as uow:
        entry = uow.audit.get(entry_id)
    assert entry is not None
    return entry


@pytest.mark.promise(8)
def test_a_person_is_erased_from_every_entry_that_names_them(centre: Centre, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        dara, admin = (uow.people.user(name) for name in ("dara", "admin"))
        assert dara is not None
        assert admin is not None
        parts: list[list[tuple[int, str]]] = [
            [(dara.id, "by")],
            [(admin.id, "by"), (dara.id, "about"), (dara.id, "for")],
            [(admin.id, "by")],
        ]
        entries = [witness(uow.audit, now_ms, "act", "/x", {}, {"by": "admin", "reason": "dara asked"}) for _ in parts]
        for entry, people in zip(entries, parts, strict=True):
            uow.privacy.note(entry.id, people)
    sealed.seal()
    with centre.store.write() as uow:
        assert erase_person(uow, dara.id, now_ms) == 2
    assert [left(centre, entry.id).salt is None for entry in entries] == [True, True, False]
    assert [left(centre, entry.id).commitment for entry in entries] == [entry.commitment for entry in entries]
    rows = centre.database.rows("SELECT entry_id, user_id FROM audit_person ORDER BY entry_id")
    assert [(row.entry_id, row.user_id) for row in rows] == [(entries[1].id, admin.id), (entries[2].id, admin.id)]
    sealed.seal()
    assert sealed.wrong() is None
    with centre.store.write() as uow:
        assert erase_person(uow, dara.id, now_ms) == 0


@pytest.mark.promise(8)
def test_entries_of_before_the_index_are_found_by_the_name(centre: Centre) -> None:
    told = [
        {"by": "dara"},
        {"by": "admin", "path": "/api/v1/users/dara/roles?x=1"},
        {"by": "admin", "on_behalf": "dara"},
        {"by": "darany", "path": "/api/v1/users/darany", "reason": "like dara"},
    ]
    with centre.store.write() as uow:
        dara = uow.people.user("dara")
        assert dara is not None
        entries = [witness(uow.audit, 1, "act", "/x", {}, personal) for personal in told]
        assert erase_person(uow, dara.id, 2) == 3
    assert [left(centre, entry.id).salt is None for entry in entries] == [True, True, True, False]


@pytest.mark.promise(8)
def test_the_log_of_a_person_says_who_acted_for_them_and_nothing_of_others(centre: Centre) -> None:
    told: list[tuple[dict[str, str], list[tuple[str, str]]]] = [
        ({"by": "dara", "reason": "mine"}, [("dara", "by")]),
        ({"by": "sok", "on_behalf": "dara", "reason": "ticket 7"}, [("sok", "by"), ("dara", "for"), ("dara", "about")]),
        ({"by": "admin", "approved_by": "sok", "reason": "asked"}, [("admin", "by"), ("sok", "by")]),
        ({"by": "admin", "reason": "not theirs"}, [("admin", "by")]),
    ]
    with centre.store.write() as uow:
        for number, (personal, people) in enumerate(told):
            entry = witness(
                uow.audit, number, "act", f"/x/{number}", {"request": f"r{number}", "status": 201}, personal
            )
            found = ((uow.people.user(name), part) for name, part in people)
            uow.privacy.note(entry.id, [(user.id, part) for user, part in found if user is not None])
        dara, sok = (uow.people.user(name) for name in ("dara", "sok"))
        assert dara is not None
        assert sok is not None
        (second, first) = log_of(uow, dara, EVERY)
        assert (first.subject, first.how, first.by, first.reason) == ("/x/0", ("by",), "dara", "mine")
        assert (second.subject, second.how, second.by, second.reason) == ("/x/1", ("about", "for"), "sok", "ticket 7")
        assert (second.request, second.status) == ("r1", 201)
        assert log_of(uow, dara, Page(second.id, 5)) == [first]
        assert log_of(uow, dara, Page(None, 1)) == [second]
        approved, acted = log_of(uow, sok, EVERY)
        assert (approved.subject, approved.by, approved.reason) == ("/x/2", None, None)
        assert (acted.by, acted.reason) == ("sok", "ticket 7")
        assert "dara" not in repr((approved, acted))
        erase_person(uow, dara.id, 9)
        assert log_of(uow, dara, EVERY) == []
        assert [line.by for line in log_of(uow, sok, EVERY)] == [None, None]
