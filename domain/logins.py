"""How people prove who they are: identities of providers, passwords of built-in users, logins of a device."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as an identity provider knows them: by ``(issuer, subject)``, never by the e-mail."""

    id: int
    user_id: int
    issuer: str
    subject: str
    provider: str
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What a login through a provider says of a person, after the provider's mapping.

    ``tenant`` is the name of the tenant that the mapping found, if any; ``level`` is the assurance, 0 to 3; ``login_ms``
    when the person proved who they are; ``sid`` the provider's session.
    """

    provider: str
    issuer: str
    subject: str
    login_ms: int
    name: str | None = None
    title: str | None = None
    email: str | None = None
    tenant: str | None = None
    affiliation: str | None = None
    level: int = 0
    sid: str | None = None


@dataclass(frozen=True, slots=True)
class Password:
    """A built-in user's password, hashed with argon2id, and what was tried."""

    user_id: int
    hash: str
    changed_ms: int
    failures: int = 0
    locked_ms: int | None = None  # until when nothing is tried


class DeviceState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that was begun on a device without a browser (RFC 8628) and is finished in a browser elsewhere.

    ``user_code`` is what the person compares and types; ``client`` what the device calls itself. ``login_ms`` and
    ``level`` are those of the browser's login that approved it.
    """

    id: int
    user_code: str
    client: str
    address: str
    created_ms: int
    expires_ms: int
    interval_ms: int
    state: DeviceState = DeviceState.WAITING
    polled_ms: int | None = None
    user_id: int | None = None
    login_ms: int | None = None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """What a browser's session is with its provider. The session itself is a token; this is beside it."""

    token_id: int
    provider: str
    issuer: str | None = None
    subject: str | None = None
    sid: str | None = None
    id_token: bytes | None = None  # sealed; the provider wants it back when the person logs out
