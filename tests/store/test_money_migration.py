"""Money that was there before grants could be in money: every book, entry and grant survives the migration."""

from pathlib import Path

from alembic import command
from sqlalchemy import text

from store.engine import WRITES, open_engine
from store.schema import _config, migrate

BEFORE = """
INSERT INTO funder VALUES (1, 'moeys', 'MoEYS');
INSERT INTO funder_grant (id, name, funder_id, micro_su, starts_ms, ends_ms) VALUES (4, 'g', 1, 500, 0, 9);
INSERT INTO book VALUES (1, 'funder/1/0/0/uSU', 'funder', 'uSU', 1, 0, 0, -500);
INSERT INTO book VALUES (2, 'grant/0/4/0/uSU', 'grant', 'uSU', 0, 4, 0, 500);
INSERT INTO ledger_transaction (id, name, kind, at_ms) VALUES (3, 'grant/4', 'grant', 5);
INSERT INTO ledger_entry (transaction_id, book_id, amount) VALUES (3, 1, -500);
INSERT INTO ledger_entry (transaction_id, book_id, amount) VALUES (3, 2, 500)
"""


def test_books_entries_and_grants_survive(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.execution_options(**WRITES).begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        for statement in BEFORE.split(";"):
            connection.execute(text(statement))
    migrate(engine)
    with engine.connect() as connection:
        books = connection.execute(text("SELECT id, balance FROM book ORDER BY id")).all()
        assert [tuple(row) for row in books] == [(1, -500), (2, 500)]
        entries = connection.execute(text("SELECT book_id, amount FROM ledger_entry ORDER BY book_id")).all()
        assert [tuple(row) for row in entries] == [(1, -500), (2, 500)]
        (grant,) = connection.execute(text("SELECT amount, unit, conditions, state, version FROM funder_grant")).all()
        assert tuple(grant) == (500, "uSU", None, "active", 1)
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        found = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'ledger_entry'")).scalar_one()
        assert "REFERENCES book" in found.replace('"', "")
    engine.dispose()
