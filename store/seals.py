"""The tree as rows: what waits for a leaf, leaves, tiles, signed heads and public keys."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, Select, bindparam, cast, delete, exists, func, insert, select
from sqlalchemy.exc import DBAPIError, StatementError

from domain.money import Book, BookKind
from lifecycle.paging import Page
from lifecycle.witness import Leaf, Stray, Waiting
from quotas.leaves import Kind, LedgerLeaf, PublicKey, Record, TreeHead
from store import kept
from store.audit import as_entry, wait_for_seal
from store.bulk import among, insert_all
from store.tables.audit import AuditRow, HeadRow, LeafRow, PublicKeyRow, TileRow, UnsealedRow
from store.tables.ledger import BookRow, EntryRow, TransactionRow
from store.upsert import table_of

_LEAVES, _TILES, _HEADS, _KEYS = table_of(LeafRow), table_of(TileRow), table_of(HeadRow), table_of(PublicKeyRow)
_UNSEALED, _AUDIT, _LEDGER, _ENTRIES = (
    table_of(UnsealedRow),
    table_of(AuditRow),
    table_of(TransactionRow),
    table_of(EntryRow),
)
_BOOKS = table_of(BookRow)
_SEALED = {Kind.LEDGER: _LEDGER, Kind.AUDIT: _AUDIT, Kind.HEAD: _HEADS, Kind.KEY: _KEYS}
_COLUMNS = tuple(sorted(column.name for column in _LEDGER.c if column.name != "id"))

# Statements of the sealer and of the verification are built once.
_SIZE = select(func.coalesce(func.max(_LEAVES.c.idx) + 1, 0))
_WAITING = select(_UNSEALED).order_by(_UNSEALED.c.id).limit(bindparam("most"))
_TRANSACTIONS = select(_LEDGER.c.id, *(_LEDGER.c[name] for name in _COLUMNS)).where(among(_LEDGER.c.id, "rows"))
_MOVED = (
    select(_ENTRIES.c.transaction_id, _BOOKS.c.key, _BOOKS.c.unit, _ENTRIES.c.amount)
    .outerjoin(_BOOKS, _BOOKS.c.id == _ENTRIES.c.book_id)
    .where(among(_ENTRIES.c.transaction_id, "rows"))
)
_ROWS = {kind: select(table).where(among(table.c.id, "rows")) for kind, table in _SEALED.items()}
_RUN = select(_LEAVES).where(_LEAVES.c.idx >= bindparam("first")).order_by(_LEAVES.c.idx).limit(bindparam("most"))
_INDICES = select(_LEAVES.c.row_id, _LEAVES.c.idx).where(
    _LEAVES.c.kind == bindparam("kind"), among(_LEAVES.c.row_id, "rows")
)
_TILE_RUN = (
    select(_TILES.c.hash)
    .where(_TILES.c.level == bindparam("level"), _TILES.c.idx >= bindparam("first"), _TILES.c.idx < bindparam("end"))
    .order_by(_TILES.c.idx)
)
_LEAF_RUN = (
    select(_LEAVES.c.hash)
    .where(_LEAVES.c.idx >= bindparam("first"), _LEAVES.c.idx < bindparam("end"))
    .order_by(_LEAVES.c.idx)
)


@dataclass(slots=True)
class Seals:
    """See ``lifecycle.witness.Seals``."""

    connection: Connection

    def waiting(self, limit: int) -> list[Waiting]:
        """The first rows that wait, in the order of their commits as far as it can be seen."""
        rows = self.connection.execute(_WAITING, {"most": limit}).all()
        return [Waiting(row.id, row.kind, row.row_id) for row in rows]

    def records(self, rows: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Record]:
        """The rows that there are, as what is sealed of them."""
        found: dict[tuple[str, int], Record] = {}
        for kind in Kind:
            wanted = [row for of, row in rows if of == kind]
            if wanted:
                with _legible():
                    found.update(((kind, record.row), record) for record in self._read(kind, wanted))
        return found

    def _read(self, kind: Kind, rows: Sequence[int]) -> Iterable[Record]:
        if kind is Kind.LEDGER:
            return self._transactions(rows)
        found = self.connection.execute(_ROWS[kind], {"rows": rows})
        if kind is Kind.AUDIT:
            return [as_entry(row) for row in found]
        return [_as_head(row) if kind is Kind.HEAD else _as_key(row) for row in found]

    def _transactions(self, rows: Sequence[int]) -> Iterable[LedgerLeaf]:
        entries: dict[int, list[tuple[str, str, int]]] = {}
        for transaction, key, unit, amount in self.connection.execute(_MOVED, {"rows": rows}).all():
            entries.setdefault(transaction, []).append((key or "", unit or "", amount))
        for number, *values in self.connection.execute(_TRANSACTIONS, {"rows": rows}).all():
            yield LedgerLeaf(number, dict(zip(_COLUMNS, values, strict=True)), tuple(entries.get(number, ())))

    def size(self) -> int:
        return self.connection.scalar(_SIZE) or 0

    def seal(self, leaves: Sequence[Leaf], tiles: Sequence[tuple[int, int, bytes]], sealed: Sequence[Waiting]) -> None:
        """Append leaves and complete tiles; what is sealed waits no longer."""
        insert_all(
            self.connection,
            LeafRow,
            [{"idx": one.index, "kind": str(one.kind), "row_id": one.row, "hash": one.hash} for one in leaves],
        )
        insert_all(
            self.connection, TileRow, [{"level": level, "idx": index, "hash": root} for level, index, root in tiles]
        )
        self.connection.execute(
            delete(_UNSEALED).where(among(_UNSEALED.c.id, "ids")), {"ids": [one.id for one in sealed]}
        )

    def leaves(self, first: int, limit: int) -> list[Leaf]:
        rows = self.connection.execute(_RUN, {"first": first, "most": limit}).all()
        return [Leaf(row.idx, row.kind, row.row_id, row.hash) for row in rows]

    def leaf_of(self, kind: str, row: int) -> Leaf | None:
        statement = select(_LEAVES).where(_LEAVES.c.kind == str(kind), _LEAVES.c.row_id == row)
        found = self.connection.execute(statement).first()
        return None if found is None else Leaf(found.idx, kind, row, found.hash)

    def indices(self, kind: str, rows: Sequence[int]) -> dict[int, int]:
        """Row → index of its leaf, of those rows that are sealed."""
        found = self.connection.execute(_INDICES, {"kind": str(kind), "rows": rows})
        return {row.row_id: row.idx for row in found}

    def hashes(self, level: int, first: int, count: int) -> list[bytes]:
        """Of leaves (level 0) or tiles."""
        given = {"first": first, "end": first + count}
        if level:
            return list(self.connection.scalars(_TILE_RUN, {"level": level, **given}))
        return list(self.connection.scalars(_LEAF_RUN, given))

    def transaction_row(self, name: str) -> int | None:
        row: int | None = self.connection.scalar(select(_LEDGER.c.id).where(_LEDGER.c.name == name))
        return row

    def add_head(self, head: TreeHead) -> None:
        self.connection.execute(
            insert(HeadRow).values(
                id=head.number, size=head.size, root=head.root, at_ms=head.at_ms, key_id=head.key_id,
                signature=head.signature,
            )
        )  # fmt: skip
        wait_for_seal(self.connection, Kind.HEAD, [head.number])

    def last_head(self) -> TreeHead | None:
        return self._head(select(_HEADS).order_by(_HEADS.c.id.desc()).limit(1))

    def head_of(self, size: int) -> TreeHead | None:
        return self._head(select(_HEADS).where(_HEADS.c.size == size))

    def head_before(self, at_ms: int) -> TreeHead | None:
        """The last one that was signed at that time or before."""
        return self._head(select(_HEADS).where(_HEADS.c.at_ms <= at_ms).order_by(_HEADS.c.id.desc()).limit(1))

    def _head(self, statement: Select[Any]) -> TreeHead | None:
        row = self.connection.execute(statement).first()
        return None if row is None else _as_head(row)

    def heads(self, after: int, limit: int) -> list[TreeHead]:
        """Heads after that number, oldest first."""
        statement = select(_HEADS).where(_HEADS.c.id > after).order_by(_HEADS.c.id).limit(limit)
        with _legible():
            return [_as_head(row) for row in self.connection.execute(statement)]

    def heads_back(self, page: Page) -> list[TreeHead]:
        """Newest first."""
        statement = select(_HEADS).order_by(_HEADS.c.id.desc()).limit(page.limit)
        if page.cursor is not None:
            statement = statement.where(_HEADS.c.id < page.cursor)
        return [_as_head(row) for row in self.connection.execute(statement)]

    def add_key(self, key: PublicKey) -> PublicKey:
        values = {"name": key.name, "public": key.public, "from_ms": key.from_ms}
        row = self.connection.execute(insert(PublicKeyRow).values(values).returning(PublicKeyRow.id)).scalar_one()
        wait_for_seal(self.connection, Kind.KEY, [row])
        return PublicKey(row, key.name, key.public, key.from_ms)

    def public_keys(self) -> list[PublicKey]:
        """Oldest first."""
        return [_as_key(row) for row in self.connection.execute(select(_KEYS).order_by(_KEYS.c.id))]

    def strays(self) -> list[Stray]:
        """The first row of each kind that is beside the tree, of each way in which it can be."""
        found = []
        for kind, table in _SEALED.items():
            leaf = exists().where(_LEAVES.c.kind == kind.value, _LEAVES.c.row_id == table.c.id)
            waits = exists().where(_UNSEALED.c.kind == kind.value, _UNSEALED.c.row_id == table.c.id)
            there = exists().where(table.c.id == _UNSEALED.c.row_id)
            sealed = exists().where(_LEAVES.c.kind == kind.value, _LEAVES.c.row_id == _UNSEALED.c.row_id)
            waiting = select(func.min(_UNSEALED.c.row_id)).where(_UNSEALED.c.kind == kind.value)
            for statement, what in (
                (select(func.min(table.c.id)).where(~leaf, ~waits), "was never sealed and does not wait for it"),
                (waiting.where(~there), "waits to be sealed and is gone"),
                (waiting.where(sealed), "is sealed and waits for it again"),
            ):
                found.append((kind, self.connection.scalar(statement), what))
        orphan = select(func.min(_ENTRIES.c.transaction_id)).where(
            ~exists().where(_LEDGER.c.id == _ENTRIES.c.transaction_id)
        )
        found.append((Kind.LEDGER, self.connection.scalar(orphan), "has entries and is not there"))
        twice = select(_LEAVES.c.kind, _LEAVES.c.row_id).group_by(_LEAVES.c.kind, _LEAVES.c.row_id)
        doubled = self.connection.execute(twice.having(func.count() > 1).limit(1))
        found.extend((row.kind, row.row_id, "is sealed twice") for row in doubled)
        return [Stray(kind, row, what) for kind, row, what in found if row is not None]

    def altered(self) -> Iterator[Stray]:
        """Decisions and dated rules that are not what the audit trail says of them."""
        return kept.altered(self.connection)

    def tile_count(self) -> int:
        whole = _TILES.c.idx == cast(_TILES.c.idx, BigInteger)  # SQLite would keep 1.5 there too
        return self.connection.scalar(select(func.count()).select_from(_TILES).where(whole)) or 0

    def misnamed_books(self) -> list[str]:
        """Keys of books whose other columns say something else than the key."""
        return [
            row.key
            for row in self.connection.execute(select(_BOOKS).order_by(_BOOKS.c.id))
            if row.kind not in set(BookKind)
            or Book(BookKind(row.kind), row.unit, row.funder_id, row.grant_id, row.allocation_id).key != row.key
        ]


@contextmanager
def _legible() -> Iterator[None]:
    """Raise ValueError for a value of another type than its column's, which SQLite may hold."""
    try:
        yield
    except DBAPIError:
        raise  # the database's own
    except StatementError as error:
        raise ValueError(str(error.orig)) from error


def _as_head(row: Any) -> TreeHead:
    return TreeHead(row.id, row.size, row.root, row.at_ms, row.key_id, row.signature)


def _as_key(row: Any) -> PublicKey:
    return PublicKey(row.id, row.name, row.public, row.from_ms)
