"""What is written once is written once: the database itself refuses to change it, whoever asks."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from store.append_only import ERASABLE, TABLES
from store.tables import Base
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL
from tests.support.factories import spec
from tests.support.sealing import Sealed


@pytest.fixture
def sealed(centre: Centre, tmp_path: Path) -> Sealed:
    made = Sealed.on(centre, tmp_path)
    centre.submit(spec())
    centre.run()
    for number in range(260):
        made.note(f"act-{number}")
    made.seal()
    return made


def refused(sealed: Sealed, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), sealed.centre.database.connect(writes=True) as connection:
        connection.execute(text(statement))


@pytest.mark.promise(8)
def test_nothing_is_changed(sealed: Sealed) -> None:
    for name in (*TABLES, ERASABLE):
        for column in Base.metadata.tables[name].c:
            assert sealed.centre.database.rows(f"SELECT COUNT(*) FROM {name}")[0][0]
            refused(sealed, f"UPDATE {name} SET {column.name} = {column.name}")


@pytest.mark.promise(8)
def test_nothing_is_taken_away(sealed: Sealed) -> None:
    for name in (*TABLES, ERASABLE):
        refused(sealed, f"DELETE FROM {name}")
        if sealed.centre.database.kind == POSTGRESQL:
            refused(sealed, f"TRUNCATE {name} CASCADE")


@pytest.mark.promise(8)
def test_who_and_why_are_erased_together_and_nothing_else(sealed: Sealed) -> None:
    (row,) = sealed.centre.database.rows("SELECT MIN(id) AS id FROM audit_entry WHERE salt IS NOT NULL")
    refused(sealed, f"UPDATE audit_entry SET personal = NULL WHERE id = {row.id}")
    refused(sealed, f"UPDATE audit_entry SET salt = NULL WHERE id = {row.id}")
    refused(sealed, f"UPDATE audit_entry SET personal = NULL, salt = NULL, subject = '' WHERE id = {row.id}")
    with sealed.centre.store.write() as uow:
        uow.audit.erase([row.id])
    with sealed.centre.store.read() as uow:
        entry = uow.audit.get(row.id)
    assert entry is not None
    assert (entry.personal, entry.salt) == (None, None)
    assert entry.commitment is not None
    assert sealed.wrong() is None


@pytest.mark.promise(8)
def test_whom_an_entry_names_may_be_forgotten_and_what_it_says_not(sealed: Sealed) -> None:
    (row,) = sealed.centre.database.rows("SELECT MAX(id) AS id FROM audit_entry")
    with sealed.centre.store.write() as uow:
        uow.privacy.note(row.id, [(1, "by")])
    with sealed.centre.database.connect(writes=True) as connection:
        connection.execute(text(f"DELETE FROM audit_person WHERE entry_id = {row.id}"))
    for column in ("facts", "subject", "action"):
        refused(sealed, f"UPDATE audit_entry SET personal = NULL, salt = NULL, {column} = 'x' WHERE id = {row.id}")
    refused(sealed, f"DELETE FROM audit_entry WHERE id = {row.id}")
    assert sealed.wrong() is None
