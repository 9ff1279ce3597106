"""Many rows in one statement: every value arrives as it is, and what was put off is seen, refused and undone in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from store.bulk import add_all, among, insert_all, insert_numbered, update_all, upsert_all
from store.engine import WRITES
from store.errors import translated
from store.tables.fleet import FlavorRow, NodeRow
from store.tables.service import StampRow
from tests.support.databases import POSTGRESQL, Database

# What PostgreSQL's array literals would trip over, were they not quoted. It knows no NUL in a text.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
ODD = ["", " ", "NULL", "null", "{}", "a,b", '"', "\\", '\\"', '{a,"b"}', "it's %s %(x)s", "ភាសាខ្មែរ", "\n\t", "t"]


def stamps(connection: Connection) -> dict[str, int]:
    return {row.name: row.value for row in connection.execute(select(StampRow.name, StampRow.value))}


@given(texts=st.lists(TEXTS, unique=True, min_size=1, max_size=8))
def test_strings_arrive_as_they_are(texts: list[str]) -> None:
    """The array literal is read back by PostgreSQL's own rules, here by hand."""
    from store.bulk import _literal

    read, at, literal = [], 1, _literal(texts)
    while literal[at] != "}":
        assert literal[at] == '"'
        at, word = at + 1, ""
        while literal[at] != '"':
            at += literal[at] == "\\"
            word, at = word + literal[at], at + 1
        read.append(word)
        at += 1 + (literal[at + 1] == ",")
    assert read == texts


def test_odd_strings_go_through_the_database(database: Database) -> None:
    rows = [{"name": text, "value": number} for number, text in enumerate(ODD)]
    with database.connect(writes=True) as connection:
        insert_all(connection, StampRow, rows)
    with database.connect() as connection:
        assert stamps(connection) == {text: number for number, text in enumerate(ODD)}
        found = connection.execute(select(StampRow.name).where(among(StampRow.name, "names")), {"names": ODD[2:9]})
        assert sorted(found.scalars()) == sorted(ODD[2:9])
        assert not connection.execute(select(StampRow.name).where(among(StampRow.name, "names")), {"names": []}).all()


def test_numbers_come_in_the_order_of_the_rows(database: Database) -> None:
    rows = [{"name": f"f{n}", "title": "", "milli": n} for n in range(500, 0, -1)]
    with database.connect(writes=True) as connection:
        numbers = insert_numbered(connection, FlavorRow, rows)
        found = {row.id: row.milli for row in connection.execute(select(FlavorRow.id, FlavorRow.milli))}
    assert [found[number] for number in numbers] == list(range(500, 0, -1))


def test_rows_are_set_added_to_and_put(database: Database) -> None:
    with database.connect(writes=True) as connection:
        insert_all(connection, StampRow, [{"name": name, "value": 1} for name in "abc"])
        update_all(
            connection, StampRow, [{"name": "a", "value": 5}, {"name": "b", "value": 6}, {"name": "x", "value": 7}]
        )
        update_all(connection, StampRow, [{"name": "c", "value": 9}], only="stamp.value > 1")
        add_all(connection, StampRow, [{"name": "b", "value": -2}, {"name": "a", "value": 10}])
        upsert_all(connection, StampRow, [{"name": "c", "value": 3}, {"name": "d", "value": 4}])
        upsert_all(connection, StampRow, [{"name": "d", "value": 4}, {"name": "e", "value": 8}], add=True)
        assert stamps(connection) == {"a": 15, "b": 4, "c": 3, "d": 8, "e": 8}


def test_what_was_put_off_is_undone_with_its_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError), database.connect(writes=True) as connection:
        insert_all(connection, StampRow, [{"name": "lost", "value": 1}])
        raise RuntimeError
    for _ in range(20):  # whichever connection comes next
        with database.connect(writes=True) as connection:
            assert stamps(connection) == {}


def test_what_was_put_off_and_is_refused_undoes_all(database: Database) -> None:
    """A node is given more than it has, and nothing asks for it before the commit."""
    node = {"name": "n", "devices": {}, "cpus": 1, "memory_bytes": 1, "cpus_used": 2, "memory_used": 0, "present": True}
    with pytest.raises(Exception, match="changed the same thing"), translated():  # noqa: SIM117
        with database.connect(writes=True) as connection:
            insert_all(connection, StampRow, [{"name": "lost", "value": 1}])
            insert_all(connection, NodeRow, [{**node, "cluster_id": 1}])
    with database.connect() as connection:
        assert stamps(connection) == {}


def test_a_question_about_another_table_does_not_send_what_was_put_off(database: Database) -> None:
    """Else each question of a step would cost two round trips."""
    if database.kind != POSTGRESQL:
        pytest.skip("SQLite has no round trips")
    with database.engine.execution_options(**WRITES).connect() as connection, connection.begin():
        insert_all(connection, StampRow, [{"name": "a", "value": 1}])
        connection.scalar(select(func.count()).select_from(NodeRow))
        assert "put-off" in connection.info
        assert stamps(connection) == {"a": 1}
        assert "put-off" not in connection.info
