"""Moves the stamp on: called by every repository that changes the slow-moving tables, in the same transaction."""

from sqlalchemy import Connection

from store.tables.service import StampRow
from store.upsert import add_to

DIRECTORY = "directory"  # the stamp's name, and the key under which a connection remembers what it read
STAMP = "directory-stamp"  # a connection's transaction has asked for the stamp already: this it was
CHANGED = "directory-changed"  # a connection's transaction has moved the stamp on, and may still be undone


def directory_changed(connection: Connection) -> None:
    """What was read of the slow-moving tables is no longer true, here and everywhere."""
    connection.info.pop(DIRECTORY, None)
    connection.info.pop(STAMP, None)
    connection.info[CHANGED] = True
    add_to(connection, StampRow, [{"name": DIRECTORY, "value": 1}], "value")
