"""Users, their tokens and the caller of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.access import Permission, Role, allows


@dataclass(frozen=True, slots=True)
class User:
    """A person's (or a service's) login."""

    id: int
    name: str
    title: str
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. Only the SHA-256 of its text is kept, elsewhere."""

    id: int
    user_id: int
    name: str
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    last_used_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with every role they hold: account id → roles held directly on it."""

    user: User
    token: Token
    roles: Mapping[int, frozenset[Role]] = field(default_factory=dict)

    def may(self, permission: Permission, path: tuple[int, ...]) -> bool:
        """True if a role on any account of ``path`` (an account and all above it) covers the permission."""
        held = frozenset[Role]().union(*(self.roles.get(account, frozenset()) for account in path))
        return allows(permission, held)

    def anywhere(self, permission: Permission) -> bool:
        """True if the caller has the permission on any account at all."""
        return any(allows(permission, roles) for roles in self.roles.values()) or allows(permission, frozenset())
