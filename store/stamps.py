"""Moves the stamp on: called by every repository that changes the slow-moving tables, in the same transaction."""

from sqlalchemy import Connection

from store.tables.service import StampRow
from store.upsert import add_to


def directory_changed(connection: Connection) -> None:
    add_to(connection, StampRow, [{"name": "directory", "value": 1}], "value")
