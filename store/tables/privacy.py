"""How long data about people is kept, and who asked to be erased. The register itself is ``domain.personal``."""

from typing import Any

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, pk


class RetentionRuleRow(Base):
    """Bases and periods, from then on until the next."""

    __tablename__ = "retention_rule"

    id: Mapped[pk]
    from_ms: Mapped[big]
    document: Mapped[dict[str, Any]]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str] = mapped_column(Text)
    created_ms: Mapped[big]


class ErasureRequestRow(Base):
    """Somebody asked to be erased, and was not yet."""

    __tablename__ = "erasure_request"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    asked_ms: Mapped[big]
    reason: Mapped[str] = mapped_column(Text)
