"""The leader's epoch: fencing for every write of a controller."""

from dataclasses import dataclass

from sqlalchemy import Connection, Executable, insert, select, update

from domain.errors import StaleLeader
from store.stamps import DIRECTORY, STAMP
from store.tables.service import LeaderRow, StampRow

_NAME = "controller"
_STAMP = select(StampRow.value).where(StampRow.name == DIRECTORY).scalar_subquery()
_EPOCH = select(LeaderRow.epoch, _STAMP.label("stamp")).where(LeaderRow.name == _NAME)
# The stamp is locked too: the tree that a step goes by, when it changes what accounts hold, stays as it is until then.
_CHECK = (
    select(LeaderRow.epoch, StampRow.value.label("stamp"))
    .join(StampRow, StampRow.name == DIRECTORY)
    .where(LeaderRow.name == _NAME)
    .with_for_update()
)


@dataclass(slots=True)
class Leader:
    """See ``lifecycle.ports.Leader``."""

    connection: Connection

    def take(self, holder: str, now_ms: int, lease_ms: int, *, alone: bool) -> int | None:
        """Become or stay leader until the lease ends. Answers the epoch, or None while another holds the lease.

        Who is ``alone`` by other means (the lock on an embedded database) need not wait for a dead leader's lease.
        """
        row = self.connection.execute(
            select(LeaderRow.__table__).where(LeaderRow.name == _NAME).with_for_update()
        ).first()
        if row is None:
            self.connection.execute(
                insert(LeaderRow).values(name=_NAME, epoch=1, holder=holder, expires_ms=now_ms + lease_ms)
            )
            return 1
        if row.holder != holder and row.expires_ms > now_ms and not alone:
            return None
        epoch: int = row.epoch + (row.holder != holder)
        self.connection.execute(
            update(LeaderRow)
            .where(LeaderRow.name == _NAME)
            .values(epoch=epoch, holder=holder, expires_ms=now_ms + lease_ms)
        )
        return epoch

    def epoch(self) -> int:
        """The newest epoch; 0 before the first leader."""
        return self._ask(_EPOCH)

    def check(self, epoch: int) -> None:
        """Raise StaleLeader if a newer leader exists; keeps the row, and the directory, locked until the transaction ends."""
        newest = self._ask(_CHECK)
        if newest != epoch:
            raise StaleLeader(f"epoch {epoch} has been followed by {newest}")

    def _ask(self, statement: Executable) -> int:
        """The newest epoch. What the directory's stamp is, which every step asks next, comes with it."""
        row = self.connection.execute(statement).first()
        if row is None:
            return 0
        self.connection.info[STAMP] = row.stamp or 0
        epoch: int = row.epoch
        return epoch
