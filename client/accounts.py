"""Tenants, projects, users: who there is, who belongs where, and their tokens and secrets."""

from collections.abc import Iterator, Sequence
from typing import TypedDict

from client.models import Member, Project, Secret, Tenant
from client.people import OneTimePassword, Role, Token, User
from client.transport import Transport, segment


class Account(TypedDict):
    name: str
    kind: str
    under: str | None
    path: str
    title: str
    state: str
    weight: int
    version: int


class Promise(TypedDict):
    """How much of a flavor is guaranteed in all, how much there is, and what may still be promised."""

    flavor: str
    guaranteed: int
    capacity: int
    free: int


class Registration(TypedDict):
    """Which registry was asked about which number, when and in which message, and what of its answer is used."""

    registry: str
    number: str
    status: str | None
    in_force: bool
    fields: dict[str, str]
    fetched_ms: int
    message_id: str
    sha256: str


class Accounts:
    """The tree of the centre, tenants, groups and projects."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Account]:
        return self._transport.pages("/accounts")

    def get(self, name: str) -> Account:
        account: Account = self._transport.get(f"/accounts/{segment(name)}")
        return account

    def add(self, name: str, under: str, **fields: object) -> Account:
        """A group. Tenants and projects have calls of their own."""
        account: Account = self._transport.post("/accounts", {"name": name, "under": under, **fields})
        return account

    def change(self, name: str, **fields: object) -> Account:
        account: Account = self._transport.patch(f"/accounts/{segment(name)}", fields)
        return account

    def move(self, name: str, under: str, *, overcommit: bool = False) -> Account:
        """With all below it; what it holds counts there from then on."""
        body = {"under": under, "overcommit": overcommit}
        account: Account = self._transport.post(f"/accounts/{segment(name)}/move", body)
        return account


class Tenants:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self) -> Iterator[Tenant]:
        return self._transport.pages("/tenants")

    def get(self, name: str) -> Tenant:
        tenant: Tenant = self._transport.get(f"/tenants/{segment(name)}")
        return tenant

    def add(self, name: str, **fields: object) -> Tenant:
        tenant: Tenant = self._transport.post("/tenants", {"name": name, **fields})
        return tenant

    def change(self, name: str, **fields: object) -> Tenant:
        tenant: Tenant = self._transport.patch(f"/tenants/{segment(name)}", fields)
        return tenant

    def registration(self, name: str) -> Registration:
        """Where the fields come from that a registry filled."""
        found: Registration = self._transport.get(f"/tenants/{segment(name)}/registration")
        return found

    def ask_registration(self, name: str, number: str | None = None) -> Registration:
        """Take over what the registry says now; of another number if one is given."""
        body = {} if number is None else {"number": number}
        found: Registration = self._transport.post(f"/tenants/{segment(name)}/registration", body)
        return found


class Projects:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, *, tenant: str | None = None, limit: int | None = None) -> Iterator[Project]:
        return self._transport.pages("/projects", {"tenant": tenant}, limit=limit)

    def get(self, name: str) -> Project:
        project: Project = self._transport.get(f"/projects/{segment(name)}")
        return project

    def add(self, name: str, **fields: object) -> Project:
        project: Project = self._transport.post("/projects", {"name": name, **fields})
        return project

    def change(self, name: str, **fields: object) -> Project:
        project: Project = self._transport.patch(f"/projects/{segment(name)}", fields)
        return project

    def members(self, name: str) -> Iterator[Member]:
        return self._transport.pages(f"/projects/{segment(name)}/members")

    def add_member(self, name: str, user: str, role: str, until_ms: int | None = None) -> Member | None:
        """Until a time, or without an end."""
        body = {"user": user, "role": role} | ({} if until_ms is None else {"until_ms": until_ms})
        member: Member | None = self._transport.post(f"/projects/{segment(name)}/members", body)
        return member

    def remove_member(self, name: str, user: str) -> None:
        self._transport.delete(f"/projects/{segment(name)}/members/{segment(user)}")

    def secrets(self, name: str) -> Iterator[Secret]:
        """Names only; no call gives a value back."""
        return self._transport.pages(f"/projects/{segment(name)}/secrets")

    def set_secret(self, name: str, secret: str, value: str) -> None:
        self._transport.put(f"/projects/{segment(name)}/secrets/{segment(secret)}", {"value": value})

    def remove_secret(self, name: str, secret: str) -> None:
        self._transport.delete(f"/projects/{segment(name)}/secrets/{segment(secret)}")


class Users:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, *, state: str | None = None, kind: str | None = None) -> Iterator[User]:
        return self._transport.pages("/users", {"state": state, "kind": kind})

    def get(self, name: str) -> User:
        user: User = self._transport.get(f"/users/{segment(name)}")
        return user

    def add(self, name: str, **fields: object) -> User:
        user: User = self._transport.post("/users", {"name": name, **fields})
        return user

    def roles(self, name: str) -> Iterator[Role]:
        return self._transport.pages(f"/users/{segment(name)}/roles")

    def add_role(self, name: str, account: str, role: str, until_ms: int | None = None) -> Role | None:
        """Until a time, or without an end; a role that is held already gets the other end."""
        body = {"account": account, "role": role} | ({} if until_ms is None else {"until_ms": until_ms})
        added: Role | None = self._transport.post(f"/users/{segment(name)}/roles", body)
        return added

    def remove_role(self, name: str, account: str, role: str) -> None:
        self._transport.delete(f"/users/{segment(name)}/roles/{segment(account)}/{segment(role)}")

    def tokens(self, name: str) -> Iterator[Token]:
        return self._transport.pages(f"/users/{segment(name)}/tokens")

    def add_token(
        self,
        user: str,
        name: str,
        expires_ms: int | None = None,
        *,
        scopes: Sequence[str] | None = None,
        account: str | None = None,
    ) -> Token:
        """The answer holds the token's text, this once. ``scopes`` and ``account`` narrow it."""
        asked = {"expires_ms": expires_ms, "scopes": None if scopes is None else list(scopes), "account": account}
        body = {"name": name, **{field: value for field, value in asked.items() if value is not None}}
        token: Token = self._transport.post(f"/users/{segment(user)}/tokens", body)
        return token

    def remove_tokens(self, user: str, *, but_this: bool = False) -> int:
        """Revoke all tokens of a user; ``but_this`` keeps the one that is used. Answers how many they were."""
        found = self._transport.post(f"/users/{segment(user)}/tokens/revoke", {"but_this": but_this})
        return int(found["revoked"])

    def admissions(self) -> Iterator[User]:
        """Who waits to be admitted."""
        return self._transport.pages("/admissions")

    def admit(self, name: str, *, tenant: str | None = None, reason: str | None = None) -> User:
        body = {field: value for field, value in {"tenant": tenant, "reason": reason}.items() if value is not None}
        user: User = self._transport.post(f"/users/{segment(name)}/admit", body)
        return user

    def refuse(self, name: str, reason: str) -> User:
        user: User = self._transport.post(f"/users/{segment(name)}/refuse", {"reason": reason})
        return user

    def set_state(self, name: str, state: str, reason: str) -> User:
        """``suspended`` or ``active``."""
        user: User = self._transport.patch(f"/users/{segment(name)}", {"state": state, "reason": reason})
        return user

    def set_password(self, name: str) -> OneTimePassword:
        """A one-time password, told this once."""
        made: OneTimePassword = self._transport.post(f"/users/{segment(name)}/password")
        return made

    def remove_token(self, token: int | str) -> None:
        self._transport.delete(f"/tokens/{segment(token)}")
