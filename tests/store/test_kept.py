"""Decisions and dated rules cannot be changed unnoticed: each was written down in the audit trail when it was made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Integer, delete, insert, select, text, update

from store.engine import WRITES, open_engine
from store.kept import KEPT, subject
from store.schema import _config, migrate
from store.unit_of_work import Store
from store.upsert import table_of
from tests.api.test_roles import BODIES
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL
from tests.support.factories import spec
from tests.support.sealing import Sealed
from tests.support.serving import Api


@pytest.fixture
def worked(api: Api, centre: Centre, tmp_path: Path) -> Sealed:
    """A centre in which everything was decided that can be."""
    sealed = Sealed.on(centre, tmp_path)
    centre.submit(spec())
    centre.run()
    for method, path in (
        ("POST", "/refunds"), ("POST", "/periods"), ("POST", "/prices"), ("POST", "/charging-rules"),
        ("POST", "/policies"), ("POST", "/gates"), ("POST", "/reclaim-rules"), ("POST", "/terms"), ("PUT", "/four-eyes"),
    ):  # fmt: skip
        assert api.call(method, path, BODIES[f"{method} {path}"]).status < 300, path
    return sealed


@pytest.fixture
def attack(worked: Sealed) -> Iterator[Connection]:
    """A connection past the references between rows, in a transaction that is undone afterwards."""
    database = worked.centre.database
    raw = database.another_engine().connect()
    if database.kind == POSTGRESQL:
        raw.exec_driver_sql("SET LOCAL session_replication_role = replica")
    else:
        plain = raw.connection.driver_connection
        assert plain is not None
        plain.execute("PRAGMA foreign_keys = OFF")
    yield raw
    raw.rollback()
    raw.close()


def strays(connection: Connection, centre: Centre) -> list[tuple[str, str]]:
    uow = Store(centre.database.engine)._unit(connection)
    return [(stray.kind, str(stray.row)) for stray in uow.seals.altered()]


@pytest.mark.promise(8)
def test_every_column_of_every_such_row_is_held_against_the_trail(worked: Sealed, attack: Connection) -> None:
    assert strays(attack, worked.centre) == []
    tried = set()
    for kept in KEPT:
        table = table_of(kept)
        rows = attack.execute(select(table).order_by(*table.primary_key)).mappings().all()
        for row in rows[-1:]:
            key = subject(table, row).removeprefix(f"/rows/{table.name}/")
            this = [column == row[column.name] for column in table.primary_key]
            for column in table.c:
                if column.name == "reason" or column.primary_key:
                    continue
                value: Any = row[column.name]
                if isinstance(column.type, Integer):
                    value = (value or 0) + 1
                else:
                    value = {**value, "x": 1} if isinstance(value, dict) else f"{value or ''}x"
                undo = attack.begin_nested()
                attack.execute(update(table).where(*this).values({column.name: value}))
                assert strays(attack, worked.centre) == [(table.name, key)], f"{table.name}.{column.name}"
                undo.rollback()
                tried.add(table.name)
            undo = attack.begin_nested()
            attack.execute(delete(table).where(*this))
            assert strays(attack, worked.centre) == [(table.name, key)]
            undo.rollback()
    assert len(tried) > 9, tried


@pytest.mark.promise(8)
def test_a_row_that_nobody_wrote_down_is_found_and_verification_names_it(worked: Sealed, attack: Connection) -> None:
    worked.seal()
    assert worked.wrong(on=attack) is None
    rate = table_of(next(kept for kept in KEPT if kept.__tablename__ == "rate"))
    row = dict(attack.execute(select(rate)).mappings().first() or {})
    attack.execute(insert(rate).values({**row, "from_ms": 1}))
    assert strays(attack, worked.centre) == [("rate", f"{row['flavor']}/1")]
    found = worked.wrong(on=attack)
    assert found is not None
    assert (found.kind, found.row) == ("rate", f"{row['flavor']}/1")
    assert "was never written down" in str(found)


def test_rows_of_before_are_written_down_by_the_migration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.execution_options(**WRITES).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0012")
        for statement in (
            "INSERT INTO user (id, name, title) VALUES (1, 'a', 'A')",
            "INSERT INTO flavor (name, title, milli) VALUES ('h', 'H', 1000)",
            "INSERT INTO rate (flavor, from_ms, micro_su_per_hour) VALUES ('h', 5, 1000000)",
            "INSERT INTO policy VALUES (1, 5, '[1]', 'd', 1, 'why', 5)",
        ):
            connection.execute(text(statement))
    migrate(engine)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT subject FROM audit_entry ORDER BY id")).scalars().all()
        assert set(found) == {"/rows/rate/h/5", "/rows/policy/1"}
        assert connection.execute(text("SELECT COUNT(*) FROM unsealed")).scalar_one() >= 2
        assert list(Store(engine)._unit(connection).seals.altered()) == []
    engine.dispose()
