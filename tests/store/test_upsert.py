"""Inserts that meet an existing row say so, whoever makes the key."""

import pytest
from sqlalchemy import Connection

from store.tables.people import IdentityRow, SpentRow
from store.upsert import insert_ignoring
from tests.support.centre import Centre


@pytest.fixture
def connection(centre: Centre):
    with centre.database.engine.begin() as connection:
        yield connection


def test_a_key_of_ones_own_is_taken_once(connection: Connection) -> None:
    row = {"digest": b"1" * 32, "expires_ms": 1}
    assert [insert_ignoring(connection, SpentRow, row) for _ in range(2)] == [True, False]


def test_a_key_that_the_database_makes_counts_no_less(connection: Connection) -> None:
    row = {"user_id": 1, "issuer": "i", "subject": "s", "provider": "p", "first_ms": 1, "last_ms": 1}
    assert [insert_ignoring(connection, IdentityRow, row) for _ in range(2)] == [True, False]
