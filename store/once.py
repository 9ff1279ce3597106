"""First answers to repeatable requests."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select

from store.tables.service import OnceRow
from store.upsert import table_of

# Built once: every repeatable request asks them.
_FIND = select(OnceRow.digest, OnceRow.status, OnceRow.body).where(
    OnceRow.user_id == bindparam("of"), OnceRow.key == bindparam("at")
)
_KEEP = insert(table_of(OnceRow))


@dataclass(slots=True)
class Once:
    """See ``lifecycle.ports.Once``."""

    connection: Connection

    def find(self, user_id: int, key: str) -> tuple[bytes, int, bytes] | None:
        row = self.connection.execute(_FIND, {"of": user_id, "at": key}).first()
        return None if row is None else (bytes(row.digest), row.status, bytes(row.body))

    def keep(self, user_id: int, key: str, digest: bytes, status: int, body: bytes, now_ms: int) -> None:
        values = {
            "user_id": user_id, "key": key, "digest": digest, "status": status, "body": body, "created_ms": now_ms,
        }  # fmt: skip
        self.connection.execute(_KEEP, values)

    def sweep(self, before_ms: int) -> None:
        self.connection.execute(delete(OnceRow).where(OnceRow.created_ms < before_ms))
