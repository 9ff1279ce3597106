"""Keeps the database itself from changing what is written once: the ledger, the audit trail and its tree.

Triggers refuse every UPDATE and DELETE, but for the one that erases who and why of an audit entry. SQLite forgets the
triggers of a table that a migration rebuilds: such a migration calls ``protect`` again.
"""

from sqlalchemy import Connection

TABLES = ("ledger_transaction", "ledger_entry", "leaf", "tile", "tree_head", "public_key")
ERASABLE = "audit_entry"
_KEPT = ("id", "at_ms", "action", "subject", "facts", "commitment")
_FUNCTION = "refuse_change"


def protect(connection: Connection) -> None:
    """Put the triggers in place; those that are there already are made anew."""
    unprotect(connection)
    if connection.dialect.name == "postgresql":
        _protect_postgresql(connection)
    else:
        _protect_sqlite(connection)


def unprotect(connection: Connection) -> None:
    """Take the triggers away: for a migration that must change what was written, and for tests."""
    postgresql = connection.dialect.name == "postgresql"
    for table in (*TABLES, ERASABLE):
        for what in ("update", "delete", *(("truncate",) if postgresql else ())):
            on = f" ON {table}" if postgresql else ""
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_name(table, what)}{on}")


def _name(table: str, what: str) -> str:
    return f"{table}_no_{what}"


def _protect_sqlite(connection: Connection) -> None:
    for table in (*TABLES, ERASABLE):
        for what in ("update", "delete"):
            when = f" WHEN NOT ({_erases('IS')})" if (table, what) == (ERASABLE, "update") else ""
            connection.exec_driver_sql(
                f"CREATE TRIGGER {_name(table, what)} BEFORE {what.upper()} ON {table}{when} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _protect_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    for table in (*TABLES, ERASABLE):
        for what in ("update", "delete", "truncate"):
            each = "STATEMENT" if what == "truncate" else "ROW"
            same = _erases("IS NOT DISTINCT FROM")
            when = f" WHEN (NOT ({same}))" if (table, what) == (ERASABLE, "update") else ""
            connection.exec_driver_sql(
                f"CREATE TRIGGER {_name(table, what)} BEFORE {what.upper()} ON {table} FOR EACH {each}{when} "
                f"EXECUTE FUNCTION {_FUNCTION}()"
            )


def _erases(same: str) -> str:
    """An update of an audit entry that does no more than erase."""
    kept = " AND ".join(f"NEW.{column} {same} OLD.{column}" for column in _KEPT)
    return f"NEW.personal IS NULL AND NEW.salt IS NULL AND {kept}"
