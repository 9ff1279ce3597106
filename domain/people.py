"""Users, their tokens and the caller of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.access import ACTABLE, OPEN_TO_ALL, OPEN_TO_WAITING, Permission, Role, allows
from domain.scopes import FOR_PEOPLE


class UserKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"  # a program's login; a person answers for it


class UserState(StrEnum):
    """``waiting``: logged in through a provider, and not admitted by a tenant yet: no rights but over their own data."""

    WAITING = "waiting"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class User:
    """A person's (or a service's) login.

    ``tenant_id`` is the tenant that they belong to, or while they wait, where they ask to be admitted; ``owner_id`` the
    person who answers for a service. ``affiliation`` and ``assurance`` (0: none, to 3: identity proven by document) are
    what the identity provider said.
    """

    id: int
    name: str
    title: str
    email: str | None = None
    kind: UserKind = UserKind.PERSON
    state: UserState = UserState.ACTIVE
    tenant_id: int | None = None
    owner_id: int | None = None
    affiliation: str | None = None
    assurance: int = 0
    created_ms: int = 0
    version: int = 1


class TokenKind(StrEnum):
    """What a token is for. A ``session`` lives in a browser's cookie, a ``login`` on the machine of a command line."""

    PERSONAL = "personal"
    SERVICE = "service"
    LOGIN = "login"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. Only the SHA-256 of its text is kept, elsewhere.

    ``scopes`` and ``account_id`` narrow it: to these permissions (None: all that its user has), and to this account and
    what is below it. ``idle_ms``: it ends when it was not used for so long. ``login_ms`` is when its user last proved
    who they are, with ``level`` of assurance; None: never, it was made by hand.
    """

    id: int
    user_id: int
    name: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None
    kind: TokenKind = TokenKind.PERSONAL
    scopes: frozenset[Permission] | None = None
    account_id: int | None = None
    idle_ms: int | None = None
    login_ms: int | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with every role they hold: account id → roles held directly on it.

    ``acting_by`` is the support engineer who acts on the user's behalf; ``at`` are then the accounts on which they may,
    with all below them. ``owner_roles`` are those of the person who answers for a service: it may nothing that they may not.
    """

    user: User
    token: Token
    roles: Mapping[int, frozenset[Role]] = field(default_factory=dict)
    acting_by: User | None = None
    at: frozenset[int] = frozenset()
    owner_roles: Mapping[int, frozenset[Role]] | None = None

    def covers(self, permission: Permission) -> bool:
        """True if nothing about the caller themselves rules the permission out: their state, what they are, the token, acting."""
        if self.user.state is not UserState.ACTIVE and permission not in OPEN_TO_WAITING:
            return False
        if self.acting_by is not None and permission not in ACTABLE:
            return False
        if self.user.kind is UserKind.SERVICE and permission in FOR_PEOPLE:
            return False
        return self.token.scopes is None or permission in self.token.scopes or permission is Permission.SELF

    def may(self, permission: Permission, path: tuple[int, ...]) -> bool:
        """True if a role on any account of ``path`` (an account and all above it) covers the permission."""
        if not self.covers(permission):
            return False
        if self.token.account_id is not None and self.token.account_id not in path:
            return False
        if self.acting_by is not None and self.at.isdisjoint(path):
            return False
        if self.owner_roles is not None and not allows(permission, _held(self.owner_roles, path)):
            return False
        return allows(permission, _held(self.roles, path))

    def anywhere(self, permission: Permission) -> bool:
        """True if the caller has the permission on any account at all."""
        if not self.covers(permission):
            return False
        held = (self.roles,) if self.owner_roles is None else (self.roles, self.owner_roles)
        return permission in OPEN_TO_ALL or all(
            any(allows(permission, roles) for roles in whose.values()) for whose in held
        )


def _held(roles: Mapping[int, frozenset[Role]], path: tuple[int, ...]) -> frozenset[Role]:
    return frozenset[Role]().union(*(roles.get(account, frozenset()) for account in path))
