"""Promise 8: whatever of the ledger, the audit trail or their tree is altered is found, and named.

The attacker has the database's password: triggers, checks and foreign keys are out of the way. Every column of every
covered table is altered in turn, in the first, a middle and the last row; rows are deleted, doubled and exchanged.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, LargeBinary, String, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from lifecycle.paging import Page
from lifecycle.seal import HEAD_MS
from lifecycle.verify import Altered
from quotas.leaves import Kind
from quotas.merkle import TILE
from store.append_only import ERASABLE, TABLES, unprotect
from store.seals import Seals
from store.tables import Base
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL, Database
from tests.support.factories import spec
from tests.support.marks import the_one_on_sqlite
from tests.support.sealing import Sealed

COVERED = (*TABLES, ERASABLE)
WHERE = ("first", "middle", "last")
COLUMNS = [(table, column.name) for table in COVERED for column in Base.metadata.tables[table].c]

# What the finding's ``kind`` may be: the altered thing itself, or what stands on it.
NAMED = {
    "ledger_transaction": {Kind.LEDGER},
    "ledger_entry": {Kind.LEDGER, "book"},
    "audit_entry": {Kind.AUDIT},
    "leaf": {"leaf", Kind.LEDGER, Kind.AUDIT, Kind.HEAD, Kind.KEY},
    "tile": {"node"},
    "tree_head": {Kind.HEAD},
    "public_key": {Kind.KEY, Kind.HEAD},
}


@pytest.fixture(scope="module")
def sealed(the_centre: Centre, tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A centre with charged jobs, audit entries, several heads and complete tiles; the last head waits."""
    made = Sealed.on(the_centre, tmp_path_factory.mktemp("keys"))
    for number in range(4):
        the_centre.submit(spec(command=f"run {number + 1}m"))
        the_centre.run()
        made.note(f"act-{number}")
        the_centre.clock.advance(ms=HEAD_MS)
        made.seal()
    for number in range(2 * TILE):
        made.note("many", f"/things/{number}")
    the_centre.clock.advance(ms=HEAD_MS)
    made.seal()
    assert made.wrong() is None
    return made


@pytest.fixture
def attack(sealed: Sealed) -> Iterator[Connection]:
    """A connection with all defences down, in a transaction that is undone afterwards."""
    database = sealed.centre.database
    raw = database.another_engine().connect()
    if database.kind == POSTGRESQL:
        raw.exec_driver_sql("SET LOCAL session_replication_role = replica")
    else:
        plain = raw.connection.driver_connection  # before SQLAlchemy begins a transaction, in which this does nothing
        assert plain is not None
        plain.execute("PRAGMA foreign_keys = OFF")
        plain.execute("PRAGMA ignore_check_constraints = ON")
    unprotect(raw)
    yield raw
    raw.rollback()
    raw.close()
    database.close()


def keys(table: Table) -> list[Any]:
    return list(table.primary_key)


def pick(connection: Connection, table: Table, where: str, column: str | None = None) -> Any:
    """The first, a middle or the last row, of those that hold something in the column."""
    statement = select(table).order_by(*keys(table))
    if column is not None:
        statement = statement.where(table.c[column].is_not(None))
    rows = connection.execute(statement).all()
    return rows[{"first": 0, "middle": len(rows) // 2, "last": -1}[where]]


def this(table: Table, row: Any) -> Any:
    clause = keys(table)[0] == row._mapping[keys(table)[0].name]
    for key in keys(table)[1:]:
        clause &= key == row._mapping[key.name]
    return clause


def other(table: Table, column: str, value: Any) -> Any:
    """Another value of the kind, a single bit or letter away where it can be."""
    kind = table.c[column].type
    if isinstance(kind, LargeBinary):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(kind, String):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    return 10**9 + value if table.c[column].primary_key or column == "row_id" else value + 1


def found(sealed: Sealed, attack: Connection) -> Altered:
    wrong = sealed.wrong(on=attack)
    assert wrong is not None, "nothing was noticed"
    assert str(wrong).strip()
    return wrong


@pytest.mark.promise(8)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("name", "column"), COLUMNS, ids=[f"{table}.{column}" for table, column in COLUMNS])
def test_an_altered_value_is_found(sealed: Sealed, attack: Connection, name: str, column: str, where: str) -> None:
    table = Base.metadata.tables[name]
    row = pick(attack, table, where, column)
    value = other(table, column, row._mapping[column])
    attack.execute(update(table).where(this(table, row)).values({column: value}))
    assert found(sealed, attack).kind in NAMED[name]


STRANGE = {
    "a text": "'abc'",
    "bytes": "x'ff00'",
    "a fraction": "1.5",
    "a nesting": f"'{'[' * 5_000}'",
    "much": str(2**63 - 1),
}


@the_one_on_sqlite
@pytest.mark.promise(8)
@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize(("name", "column"), COLUMNS, ids=[f"{table}.{column}" for table, column in COLUMNS])
def test_a_value_of_another_type_is_found(
    sealed: Sealed, attack: Connection, name: str, column: str, value: str
) -> None:  # fmt: skip
    """SQLite keeps anything in any column but a row's number; whoever verifies is told where, and sees no failure."""
    table = Base.metadata.tables[name]
    row = pick(attack, table, "middle", column)
    at = " AND ".join(f"{key.name} = {row._mapping[key.name]}" for key in keys(table))
    try:
        attack.exec_driver_sql(f"UPDATE {name} SET {column} = {value} WHERE {at}")
    except IntegrityError:
        return
    assert found(sealed, attack).kind in NAMED[name]


@pytest.mark.promise(8)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", COVERED)
def test_a_row_that_is_taken_away_is_found(sealed: Sealed, attack: Connection, name: str, where: str) -> None:
    table = Base.metadata.tables[name]
    attack.execute(delete(table).where(this(table, pick(attack, table, where))))
    assert found(sealed, attack).kind in NAMED[name]


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", COVERED)
def test_a_row_that_is_slipped_in_is_found(sealed: Sealed, attack: Connection, name: str) -> None:
    table = Base.metadata.tables[name]
    values = dict(pick(attack, table, "last")._mapping)
    for key in keys(table):
        values[key.name] += 1
    for unique in {"ledger_transaction": ["name"], "tree_head": ["size"]}.get(name, []):
        values[unique] += "x" if isinstance(values[unique], str) else 1
    if name == "leaf":
        attack.exec_driver_sql("DROP INDEX uq_leaf_row")
    attack.execute(insert(table).values(values))
    assert found(sealed, attack).kind in NAMED[name]


@pytest.mark.promise(8)
@pytest.mark.parametrize("name", COVERED)
def test_rows_that_change_places_are_found(sealed: Sealed, attack: Connection, name: str) -> None:
    """All but the keys of the first and the last row are exchanged."""
    table = Base.metadata.tables[name]
    if len(attack.execute(select(table)).all()) < 2:
        pytest.skip(f"there is but one {name}")
    one, two = pick(attack, table, "first"), pick(attack, table, "last")
    rest = [column.name for column in table.c if not column.primary_key]
    attack.execute(delete(table).where(this(table, one)))
    attack.execute(update(table).where(this(table, two)).values({name: one._mapping[name] for name in rest}))
    back = {key.name: one._mapping[key.name] for key in keys(table)} | {name: two._mapping[name] for name in rest}
    attack.execute(insert(table).values(back))
    if name == "tile":
        assert one.level != two.level or one.idx != two.idx
    assert found(sealed, attack).kind in NAMED[name]


@pytest.mark.promise(8)
def test_a_balance_is_the_sum_of_its_entries(sealed: Sealed, attack: Connection) -> None:
    attack.exec_driver_sql("UPDATE book SET balance = balance + 1 WHERE id = (SELECT MAX(id) FROM book)")
    assert found(sealed, attack).kind == "book"


@pytest.mark.promise(8)
@pytest.mark.parametrize("column", ["kind", "unit", "funder_id", "grant_id", "allocation_id"])
def test_a_book_is_what_its_name_says(sealed: Sealed, attack: Connection, column: str) -> None:
    table = Base.metadata.tables["book"]
    row = pick(attack, table, "middle")
    attack.execute(
        update(table).where(table.c.id == row.id).values({column: other(table, column, row._mapping[column])})
    )
    assert found(sealed, attack).kind in {"book", Kind.LEDGER}


@pytest.mark.promise(8)
def test_the_row_is_told_from_its_leaf(sealed: Sealed, attack: Connection) -> None:
    attack.exec_driver_sql("UPDATE audit_entry SET subject = 'other' WHERE action = 'act-1'")
    row = found(sealed, attack)
    assert "is not what was sealed as leaf" in row.what
    assert row.title.endswith("(act-1)")


@pytest.mark.promise(8)
def test_a_changed_leaf_is_told_from_its_row(sealed: Sealed, attack: Connection) -> None:
    attack.exec_driver_sql("UPDATE leaf SET hash = (SELECT hash FROM leaf WHERE idx = 2) WHERE idx = 3")
    leaf = found(sealed, attack)
    assert (leaf.kind, leaf.row) == ("leaf", 3)


@pytest.mark.promise(8)
def test_a_changed_reason_is_noticed(sealed: Sealed, attack: Connection) -> None:
    attack.exec_driver_sql("UPDATE audit_entry SET personal = REPLACE(personal, 'test', 'tist') WHERE action = 'act-2'")
    wrong = found(sealed, attack)
    assert wrong.kind == Kind.AUDIT
    assert "committed to" in wrong.what


@pytest.mark.promise(8)
def test_the_first_of_several_is_named(sealed: Sealed, attack: Connection) -> None:
    for action in ("act-3", "act-1", "act-2"):
        attack.exec_driver_sql(f"UPDATE audit_entry SET facts = '{{}}' WHERE action = '{action}'")
    assert found(sealed, attack).title.endswith("(act-1)")


@pytest.mark.promise(8)
def test_a_tree_that_was_cut_short_with_its_heads_is_found_by_who_kept_one(sealed: Sealed, attack: Connection) -> None:
    """Nobody inside can tell; a head that was printed in a report can."""
    last, before = Seals(attack).heads_back(Page(None, 2))
    attack.exec_driver_sql(f"DELETE FROM tree_head WHERE id = {last.number}")
    attack.exec_driver_sql(f"DELETE FROM unsealed WHERE kind = 'head' AND row_id = {last.number}")
    assert sealed.wrong(on=attack, known={before.size: before.root}) is None
    assert sealed.wrong(on=attack, known={last.size: last.root}) is None  # the leaves are there still
    wrong = sealed.wrong(on=attack, known={last.size: before.root})
    assert wrong is not None
    assert wrong.what == "is of another tree"
    longer = sealed.wrong(on=attack, known={last.size + 10_000: last.root})
    assert longer is not None
    assert longer.what == "is of a longer tree"


def test_what_is_erased_is_no_alteration(sealed: Sealed, attack: Connection) -> None:
    attack.exec_driver_sql("UPDATE audit_entry SET personal = NULL, salt = NULL WHERE action = 'act-2'")
    assert sealed.wrong(on=attack) is None


@pytest.mark.parametrize("column", ["personal", "salt"])
def test_half_an_erasure_is(sealed: Sealed, attack: Connection, column: str) -> None:
    attack.exec_driver_sql(f"UPDATE audit_entry SET {column} = NULL WHERE action = 'act-2'")
    assert found(sealed, attack).kind == Kind.AUDIT


def test_all_that_is_kept_by_triggers_is_covered(sealed: Sealed) -> None:
    assert set(NAMED) == set(COVERED)
    assert isinstance(sealed.centre.database, Database)
