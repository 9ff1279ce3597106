"""Identities of providers, passwords, sessions of browsers, and logins of devices."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from domain.logins import DeviceLogin, DeviceState, Identity, Password, Session
from store.tables.people import DeviceLoginRow, IdentityRow, PasswordRow, SessionRow, SpentRow
from store.upsert import insert_ignoring, table_of, upsert

_DEVICE = tuple(column.name for column in table_of(DeviceLoginRow).c if column.name != "digest")


def _device(row: Any) -> DeviceLogin:
    values = {name: getattr(row, name) for name in _DEVICE}
    return DeviceLogin(**{**values, "state": DeviceState(row.state)})


@dataclass(slots=True)
class Logins:
    """See ``lifecycle.identity.Logins``."""

    connection: Connection

    def identity(self, issuer: str, subject: str) -> Identity | None:
        where = (IdentityRow.issuer == issuer, IdentityRow.subject == subject)
        row = self.connection.execute(select(IdentityRow.__table__).where(*where)).mappings().first()
        return None if row is None else Identity(**row)

    def add_identity(self, identity: Identity) -> Identity:
        values = {name: value for name, value in asdict(identity).items() if name != "id"}
        made = self.connection.execute(insert(IdentityRow).values(**values).returning(IdentityRow.id))
        return replace(identity, id=made.scalar_one())

    def touch_identity(self, identity_id: int, now_ms: int) -> None:
        self.connection.execute(update(IdentityRow).where(IdentityRow.id == identity_id).values(last_ms=now_ms))

    def password(self, user_id: int, *, lock: bool = False) -> Password | None:
        statement = select(PasswordRow.__table__).where(PasswordRow.user_id == user_id)
        row = self.connection.execute(statement.with_for_update() if lock else statement).mappings().first()
        return None if row is None else Password(**row)

    def put_password(self, password: Password) -> None:
        upsert(self.connection, PasswordRow, [asdict(password)])

    def add_session(self, session: Session) -> None:
        self.connection.execute(insert(SessionRow).values(**asdict(session)))

    def session(self, token_id: int) -> Session | None:
        statement = select(SessionRow.__table__).where(SessionRow.token_id == token_id)
        row = self.connection.execute(statement).mappings().first()
        return None if row is None else Session(**row)

    def sessions_of(self, issuer: str, *, sid: str | None = None, subject: str | None = None) -> list[Session]:
        statement = select(SessionRow.__table__).where(SessionRow.issuer == issuer).order_by(SessionRow.token_id)
        if sid is not None:
            statement = statement.where(SessionRow.sid == sid)
        if subject is not None:
            statement = statement.where(SessionRow.subject == subject)
        return [Session(**row) for row in self.connection.execute(statement).mappings()]

    def add_device(self, device: DeviceLogin, digest: bytes) -> DeviceLogin:
        values = {name: value for name, value in asdict(device).items() if name != "id"}
        made = self.connection.execute(
            insert(DeviceLoginRow).values(**values, digest=digest).returning(DeviceLoginRow.id)
        )
        return replace(device, id=made.scalar_one())

    def device(self, digest: bytes, *, lock: bool = False) -> DeviceLogin | None:
        return self._find(DeviceLoginRow.digest == digest, lock=lock)

    def device_of(self, user_code: str, *, lock: bool = False) -> DeviceLogin | None:
        return self._find(DeviceLoginRow.user_code == user_code, lock=lock)

    def save_device(self, device: DeviceLogin) -> None:
        values = {name: value for name, value in asdict(device).items() if name != "id"}
        self.connection.execute(update(DeviceLoginRow).where(DeviceLoginRow.id == device.id).values(**values))

    def devices_waiting(self, address: str, now_ms: int) -> int:
        where = (DeviceLoginRow.address == address, DeviceLoginRow.expires_ms > now_ms)
        count = select(func.count()).where(*where, DeviceLoginRow.state == DeviceState.WAITING.value)
        return self.connection.scalar(count) or 0

    def spend(self, digest: bytes, expires_ms: int) -> bool:
        return insert_ignoring(self.connection, SpentRow, {"digest": digest, "expires_ms": expires_ms})

    def stir(self, digest: bytes, expires_ms: int) -> None:
        upsert(self.connection, SpentRow, [{"digest": digest, "expires_ms": expires_ms}])

    def _find(self, where: Any, *, lock: bool) -> DeviceLogin | None:
        statement = select(DeviceLoginRow.__table__).where(where)
        row = self.connection.execute(statement.with_for_update() if lock else statement).first()
        return None if row is None else _device(row)
