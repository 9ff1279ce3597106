"""Users, roles, tokens and sealed secrets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, false, func, insert, or_, select, update
from sqlalchemy.orm import aliased

from domain.access import Permission, Role
from domain.errors import Conflict
from domain.logins import DeviceState
from domain.oversight import Spell
from domain.people import Caller, Token, TokenKind, User, UserKind, UserState
from lifecycle.paging import Page
from store.tables.accounts import SecretRow
from store.tables.people import DeviceLoginRow, PastRoleRow, RoleRow, TokenRow, UserRow
from store.upsert import insert_ignoring, table_of, upsert

_USER = tuple(column.name for column in table_of(UserRow).c)
_TOKEN = tuple(column.name for column in table_of(TokenRow).c if column.name != "digest")


def _user(row: Any) -> User:
    values = {name: getattr(row, name) for name in _USER}
    return User(**{**values, "kind": UserKind(row.kind), "state": UserState(row.state)})


def _token(row: Any, prefix: str = "") -> Token:
    values = {name: getattr(row, prefix + name) for name in _TOKEN}
    scopes = values["scopes"]
    values["scopes"] = None if scopes is None else frozenset(Permission(one) for one in scopes.split())
    return Token(**{**values, "kind": TokenKind(values["kind"])})


# Built once: every request asks it.
_OWNER = aliased(UserRow)
_CALLER = (
    select(
        *(table_of(TokenRow).c[name].label(f"token_{name}") for name in _TOKEN),
        UserRow.__table__,
        RoleRow.account_id,
        RoleRow.role,
        RoleRow.until_ms,
        _OWNER.state.label("owner_state"),
    )
    .join(UserRow, UserRow.id == TokenRow.user_id)
    .outerjoin(RoleRow, RoleRow.user_id == UserRow.id)
    .outerjoin(_OWNER, _OWNER.id == UserRow.owner_id)
    .where(TokenRow.digest == bindparam("of"), TokenRow.revoked_ms.is_(None))
)
_ROLES = select(RoleRow.__table__).where(RoleRow.user_id == bindparam("of"))
_ALIVE = {UserState.ACTIVE, UserState.WAITING}


@dataclass(slots=True)
class People:
    """See ``lifecycle.ports.People``."""

    connection: Connection

    def add_user(self, user: User) -> User:
        values = {name: getattr(user, name) for name in _USER if name != "id"}
        made = self.connection.execute(insert(UserRow).values(**values).returning(UserRow.id))
        return replace(user, id=made.scalar_one())

    def lock(self, user_id: int) -> None:
        # Not the key: rows that refer to the user go on being added, by this transaction and by others.
        self.connection.execute(select(UserRow.id).where(UserRow.id == user_id).with_for_update(key_share=True))

    def save_user(self, user: User) -> User:
        saved = replace(user, version=user.version + 1)
        values = {name: getattr(saved, name) for name in _USER if name != "id"}
        # Whoever read them before another change (they were suspended, or erased) writes nothing over it.
        where = (UserRow.id == user.id, UserRow.version == user.version)
        if not self.connection.execute(update(UserRow).where(*where).values(**values)).rowcount:
            raise Conflict(f"{user.name} was changed meanwhile", "user", fix="look again, and repeat", code="changed")
        return saved

    def user(self, name: str) -> User | None:
        row = self.connection.execute(select(UserRow.__table__).where(UserRow.name == name)).first()
        return None if row is None else _user(row)

    def user_of(self, user_id: int) -> User | None:
        row = self.connection.execute(select(UserRow.__table__).where(UserRow.id == user_id)).first()
        return None if row is None else _user(row)

    def users(
        self,
        page: Page,
        *,
        tenants: frozenset[int] | None = None,
        state: UserState | None = None,
        kind: UserKind | None = None,
        or_owner: int | None = None,
    ) -> list[User]:
        statement = select(UserRow.__table__).where(UserRow.id > (page.cursor or 0)).order_by(UserRow.id)
        if tenants is not None:
            of_owner = UserRow.owner_id == or_owner if or_owner is not None else false()
            statement = statement.where(or_(UserRow.tenant_id.in_(tenants), of_owner))
        if kind is not None:
            statement = statement.where(UserRow.kind == kind.value)
        if state is not None:
            statement = statement.where(UserRow.state == state.value)
        return [_user(row) for row in self.connection.execute(statement.limit(page.limit))]

    def services_of(self, owner_id: int) -> list[User]:
        rows = self.connection.execute(
            select(UserRow.__table__).where(UserRow.owner_id == owner_id).order_by(UserRow.id)
        )
        return [_user(row) for row in rows]

    def user_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(UserRow.id, UserRow.name).where(UserRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def grant(self, user_id: int, account_id: int, role: str, now_ms: int, until_ms: int | None = None) -> None:
        values = {"user_id": user_id, "account_id": account_id, "role": str(role)}
        if not insert_ignoring(self.connection, RoleRow, {**values, "from_ms": now_ms, "until_ms": until_ms}):
            self.connection.execute(update(RoleRow).filter_by(**values).values(until_ms=until_ms))

    def revoke(self, user_id: int, account_id: int, role: str, now_ms: int) -> bool:
        where = (RoleRow.user_id == user_id, RoleRow.account_id == account_id, RoleRow.role == str(role))
        gone = self.connection.execute(delete(RoleRow).where(*where).returning(RoleRow.from_ms, RoleRow.until_ms))
        row = gone.first()
        if row is None:
            return False
        until_ms = now_ms if row.until_ms is None else min(row.until_ms, now_ms)
        spell = {"user_id": user_id, "account_id": account_id, "role": str(role)}
        self.connection.execute(insert(PastRoleRow).values(**spell, from_ms=row.from_ms, until_ms=until_ms))
        return True

    def roles(self, user_id: int, now_ms: int) -> dict[int, frozenset[Role]]:
        return _roles(self.connection.execute(_ROLES, {"of": user_id}).all(), now_ms)

    def spells(self, user_id: int, since_ms: int) -> list[Spell]:
        """The roles that a user holds, and those that they held after ``since_ms``."""
        found = []
        for table in (RoleRow, PastRoleRow):
            ended = or_(table.until_ms.is_(None), table.until_ms > since_ms)
            rows = self.connection.execute(select(table.__table__).where(table.user_id == user_id, ended))
            found += [Spell(row.user_id, row.account_id, Role(row.role), row.from_ms, row.until_ms) for row in rows]
        return found

    def members(self, account_id: int, now_ms: int) -> list[tuple[str, str]]:
        rows = self.connection.execute(
            select(UserRow.name, RoleRow.role)
            .join(RoleRow, RoleRow.user_id == UserRow.id)
            .where(RoleRow.account_id == account_id, or_(RoleRow.until_ms.is_(None), RoleRow.until_ms > now_ms))
            .order_by(UserRow.name, RoleRow.role)
        )
        return [(row.name, row.role) for row in rows]

    def holders(self, account_id: int, role: Role, now_ms: int) -> int:
        """How many active users hold the role on the account."""
        rows = self.connection.execute(
            select(RoleRow.user_id)
            .join(UserRow, UserRow.id == RoleRow.user_id)
            .where(
                RoleRow.account_id == account_id,
                RoleRow.role == role.value,
                UserRow.state == UserState.ACTIVE.value,
                or_(RoleRow.until_ms.is_(None), RoleRow.until_ms > now_ms),
            )
        )
        return len(rows.all())

    def add_token(self, token: Token, digest: bytes) -> Token:
        values = {name: getattr(token, name) for name in _TOKEN if name != "id"}
        values["scopes"] = None if token.scopes is None else " ".join(sorted(token.scopes))
        made = self.connection.execute(insert(TokenRow).values(**values, digest=digest).returning(TokenRow.id))
        return replace(token, id=made.scalar_one())

    def token(self, token_id: int) -> Token | None:
        row = self.connection.execute(select(TokenRow.__table__).where(TokenRow.id == token_id)).first()
        return None if row is None else _token(row)

    def tokens(self, user_id: int, page: Page | None = None) -> list[Token]:
        statement = select(TokenRow.__table__).where(TokenRow.user_id == user_id).order_by(TokenRow.id)
        if page is not None:
            statement = statement.where(TokenRow.id > (page.cursor or 0)).limit(page.limit)
        return [_token(row) for row in self.connection.execute(statement)]

    def live_tokens(self, user_id: int, now_ms: int) -> int:
        lasting = or_(TokenRow.expires_ms.is_(None), TokenRow.expires_ms > now_ms)
        where = (TokenRow.user_id == user_id, TokenRow.revoked_ms.is_(None), lasting)
        return self.connection.scalar(select(func.count()).select_from(TokenRow).where(*where)) or 0

    def revoke_token(self, token_id: int, now_ms: int) -> None:
        self.connection.execute(
            update(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_ms.is_(None)).values(revoked_ms=now_ms)
        )

    def revoke_tokens(
        self, user_id: int, now_ms: int, kinds: frozenset[TokenKind] | None = None, but: int | None = None
    ) -> int:
        if (
            kinds is None or TokenKind.LOGIN in kinds
        ):  # first, so that one which is claimed right now is a token already
            approved = (DeviceLoginRow.user_id == user_id, DeviceLoginRow.state == DeviceState.APPROVED.value)
            self.connection.execute(update(DeviceLoginRow).where(*approved).values(state=DeviceState.DENIED.value))
        statement = update(TokenRow).where(TokenRow.user_id == user_id, TokenRow.revoked_ms.is_(None))
        if kinds is not None:
            statement = statement.where(TokenRow.kind.in_({kind.value for kind in kinds}))
        if but is not None:
            statement = statement.where(TokenRow.id != but)
        return self.connection.execute(statement.values(revoked_ms=now_ms)).rowcount

    def touch_token(self, token_id: int, now_ms: int) -> None:
        later = or_(TokenRow.last_used_ms.is_(None), TokenRow.last_used_ms < now_ms)
        self.connection.execute(update(TokenRow).where(TokenRow.id == token_id, later).values(last_used_ms=now_ms))

    def caller(self, digest: bytes, now_ms: int) -> Caller | None:
        """The user behind a token that is neither expired, idle nor revoked, with all roles.

        None too for users that are suspended or erased, and for services whose owner is.
        """
        rows = self.connection.execute(_CALLER, {"of": digest}).all()
        if not rows:
            return None
        first = rows[0]
        token = _token(first, "token_")
        used_ms = token.created_ms if token.last_used_ms is None else token.last_used_ms
        over = token.expires_ms is not None and token.expires_ms <= now_ms
        idle = token.idle_ms is not None and used_ms + token.idle_ms <= now_ms
        if over or idle or first.state not in _ALIVE or first.owner_state not in {None, UserState.ACTIVE}:
            return None
        return Caller(_user(first), token, _roles(rows, now_ms))

    def put_secret(self, project_id: int, name: str, sealed: bytes) -> None:
        upsert(self.connection, SecretRow, [{"project_id": project_id, "name": name, "sealed": sealed}])

    def delete_secret(self, project_id: int, name: str) -> bool:
        where = (SecretRow.project_id == project_id, SecretRow.name == name)
        return bool(self.connection.execute(delete(SecretRow).where(*where)).rowcount)

    def secrets(self, project_id: int) -> dict[str, bytes]:
        rows = self.connection.execute(
            select(SecretRow.name, SecretRow.sealed).where(SecretRow.project_id == project_id).order_by(SecretRow.name)
        )
        return {row.name: bytes(row.sealed) for row in rows}


def _roles(rows: Sequence[Any], now_ms: int) -> dict[int, frozenset[Role]]:
    """Account id → roles that are held on it now."""
    roles: dict[int, frozenset[Role]] = {}
    for row in rows:
        if row.role is not None and (row.until_ms is None or row.until_ms > now_ms):
            roles[row.account_id] = roles.get(row.account_id, frozenset()) | {Role(row.role)}
    return roles
