"""The audit trail, and the tree that seals it and the ledger. All but ``unsealed`` is append-only, by trigger."""

from sqlalchemy import ForeignKey, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, Serial, big, pk


class AuditRow(Base):
    """What a person did. ``personal`` and ``salt`` may be erased together; all else stays."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_action", "action", "id"),)

    id: Mapped[pk]
    at_ms: Mapped[big] = mapped_column(index=True)
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    facts: Mapped[str] = mapped_column(Text)
    commitment: Mapped[bytes | None] = mapped_column(LargeBinary)
    personal: Mapped[str | None] = mapped_column(Text)
    salt: Mapped[bytes | None] = mapped_column(LargeBinary)


class UnsealedRow(Base):
    """A row that was committed and waits for its leaf. Written by the transaction that wrote the row."""

    __tablename__ = "unsealed"

    id: Mapped[pk]
    kind: Mapped[str]
    row_id: Mapped[big]


class LeafRow(Base):
    """A leaf of the tree: which row it is of, and its hash. ``idx`` counts from 0, without a gap."""

    __tablename__ = "leaf"
    __table_args__ = (Index("uq_leaf_row", "kind", "row_id", unique=True),)

    idx: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    row_id: Mapped[big]
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class TileRow(Base):
    """The root of 256 leaves (level 1) or of 256 tiles of the level below."""

    __tablename__ = "tile"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    idx: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class PublicKeyRow(Base):
    """A key that signed heads, from then on until the next one's time."""

    __tablename__ = "public_key"

    id: Mapped[pk]
    name: Mapped[str]
    public: Mapped[bytes] = mapped_column(LargeBinary)
    from_ms: Mapped[big]


class HeadRow(Base):
    """A signed head. ``id`` counts from 1, without a gap."""

    __tablename__ = "tree_head"

    id: Mapped[int] = mapped_column(Serial, primary_key=True, autoincrement=False)
    size: Mapped[big] = mapped_column(unique=True)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    at_ms: Mapped[big]
    key_id: Mapped[int] = mapped_column(ForeignKey("public_key.id"))
    signature: Mapped[bytes] = mapped_column(LargeBinary)
