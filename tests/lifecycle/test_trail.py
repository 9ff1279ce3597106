"""People in the audit trail: what names somebody goes when they are erased, and the tree still holds."""

from pathlib import Path

import pytest

from lifecycle.trail import erase_person
from lifecycle.witness import witness
from quotas.leaves import AuditEntry
from tests.support.centre import Centre
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
