"""The planner's policies."""

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, pk


class PolicyRow(Base):
    """The policy from a time on, as its full document. Rows are added, never changed; of one time the last one holds."""

    __tablename__ = "policy"

    id: Mapped[pk]
    from_ms: Mapped[big] = mapped_column(index=True)
    document: Mapped[dict[str, Any]]
    digest: Mapped[str]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str]
    created_ms: Mapped[big]
