"""Users, roles, tokens and sealed secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from domain.access import Role
from domain.people import Caller, Token, User
from lifecycle.paging import Page
from store.tables.accounts import RoleRow, SecretRow, TokenRow, UserRow
from store.upsert import insert_ignoring, table_of, upsert


def _user(row: Any) -> User:
    return User(row.id, row.name, row.title, row.email)


def _token(row: Any) -> Token:
    return Token(row.id, row.user_id, row.name, row.created_ms, row.expires_ms, row.revoked_ms, row.last_used_ms)


# Built once: every request asks it.
_CALLER = (
    select(
        *(column.label(f"token_{column.name}") for column in table_of(TokenRow).c if column.name != "digest"),
        UserRow.__table__,
        RoleRow.account_id,
        RoleRow.role,
    )
    .join(UserRow, UserRow.id == TokenRow.user_id)
    .outerjoin(RoleRow, RoleRow.user_id == UserRow.id)
    .where(TokenRow.digest == bindparam("of"), TokenRow.revoked_ms.is_(None))
)


@dataclass(slots=True)
class People:
    """See ``lifecycle.ports.People``."""

    connection: Connection

    def add_user(self, name: str, title: str, email: str | None) -> User:
        statement = insert(UserRow).values(name=name, title=title, email=email).returning(UserRow.id)
        return User(self.connection.execute(statement).scalar_one(), name, title, email)

    def user(self, name: str) -> User | None:
        row = self.connection.execute(select(UserRow.__table__).where(UserRow.name == name)).first()
        return None if row is None else _user(row)

    def users(self, page: Page) -> list[User]:
        statement = select(UserRow.__table__).where(UserRow.id > (page.cursor or 0)).order_by(UserRow.id)
        return [_user(row) for row in self.connection.execute(statement.limit(page.limit))]

    def user_names(self, ids: Sequence[int]) -> dict[int, str]:
        rows = self.connection.execute(select(UserRow.id, UserRow.name).where(UserRow.id.in_(set(ids))))
        return {row.id: row.name for row in rows}

    def grant(self, user_id: int, account_id: int, role: str) -> None:
        insert_ignoring(self.connection, RoleRow, {"user_id": user_id, "account_id": account_id, "role": str(role)})

    def revoke(self, user_id: int, account_id: int, role: str) -> bool:
        where = (RoleRow.user_id == user_id, RoleRow.account_id == account_id, RoleRow.role == str(role))
        return bool(self.connection.execute(delete(RoleRow).where(*where)).rowcount)

    def roles(self, user_id: int) -> dict[int, frozenset[str]]:
        found: dict[int, set[str]] = {}
        for row in self.connection.execute(select(RoleRow.__table__).where(RoleRow.user_id == user_id)):
            found.setdefault(row.account_id, set()).add(row.role)
        return {account_id: frozenset(roles) for account_id, roles in found.items()}

    def members(self, account_id: int) -> list[tuple[str, str]]:
        rows = self.connection.execute(
            select(UserRow.name, RoleRow.role)
            .join(RoleRow, RoleRow.user_id == UserRow.id)
            .where(RoleRow.account_id == account_id)
            .order_by(UserRow.name, RoleRow.role)
        )
        return [(row.name, row.role) for row in rows]

    def add_token(self, user_id: int, name: str, digest: bytes, now_ms: int, expires_ms: int | None) -> Token:
        statement = (
            insert(TokenRow)
            .values(user_id=user_id, name=name, digest=digest, created_ms=now_ms, expires_ms=expires_ms)
            .returning(TokenRow.id)
        )
        return Token(self.connection.execute(statement).scalar_one(), user_id, name, now_ms, expires_ms)

    def token(self, token_id: int) -> Token | None:
        row = self.connection.execute(select(TokenRow.__table__).where(TokenRow.id == token_id)).first()
        return None if row is None else _token(row)

    def tokens(self, user_id: int) -> list[Token]:
        statement = select(TokenRow.__table__).where(TokenRow.user_id == user_id).order_by(TokenRow.id)
        return [_token(row) for row in self.connection.execute(statement)]

    def revoke_token(self, token_id: int, now_ms: int) -> None:
        self.connection.execute(
            update(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_ms.is_(None)).values(revoked_ms=now_ms)
        )

    def touch_token(self, token_id: int, now_ms: int) -> None:
        self.connection.execute(update(TokenRow).where(TokenRow.id == token_id).values(last_used_ms=now_ms))

    def caller(self, digest: bytes, now_ms: int) -> Caller | None:
        """The user behind a token that is neither expired nor revoked, with all roles."""
        rows = self.connection.execute(_CALLER, {"of": digest}).all()
        if not rows or (rows[0].token_expires_ms is not None and rows[0].token_expires_ms <= now_ms):
            return None
        roles: dict[int, frozenset[Role]] = {}
        for row in rows:
            if row.role is not None:
                roles[row.account_id] = roles.get(row.account_id, frozenset()) | {Role(row.role)}
        first = rows[0]
        kept = Token(
            first.token_id, first.id, first.token_name, first.token_created_ms,
            first.token_expires_ms, None, first.token_last_used_ms,
        )  # fmt: skip
        return Caller(_user(first), kept, roles)

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
