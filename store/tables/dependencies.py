"""What waiting jobs wait for."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class DependencyRow(Base):
    """A dependency that was not met yet; gone when the other job or task ends. A singleton is on the newest before it.

    ``on_job_id`` has no foreign key: that would lock the other job, and jobs are never deleted.
    """

    __tablename__ = "dependency"

    id: Mapped[pk]
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    kind: Mapped[str]
    on_job_id: Mapped[big] = mapped_column(index=True)
    on_index: Mapped[optional_big]
