"""The shapes of users, their roles and their tokens. See ``client.models``."""

from typing import NotRequired, TypedDict


class Role(TypedDict):
    account: str
    role: str
    until_ms: NotRequired[int | None]


class Token(TypedDict):
    id: int | str
    name: str
    expires_ms: int | None
    kind: NotRequired[str]
    created_ms: NotRequired[int]
    revoked_ms: NotRequired[int | None]
    last_used_ms: NotRequired[int | None]
    scopes: NotRequired[list[str] | None]
    account: NotRequired[str | None]
    login_ms: NotRequired[int | None]
    level: NotRequired[int]
    token: NotRequired[str]


class WhoAmI(TypedDict):
    """``next`` is what to do, for who waits to be admitted."""

    user: str
    title: str
    kind: NotRequired[str]
    state: NotRequired[str]
    tenant: NotRequired[str | None]
    owner: NotRequired[str | None]
    acting_by: NotRequired[str | None]
    funders: NotRequired[list[str]]
    next: NotRequired[str | None]
    roles: list[Role]
    token: Token


class User(TypedDict):
    name: str
    title: str
    email: NotRequired[str | None]
    kind: NotRequired[str]
    state: NotRequired[str]
    tenant: NotRequired[str | None]
    owner: NotRequired[str | None]
    affiliation: NotRequired[str | None]
    assurance: NotRequired[int]
    created_ms: NotRequired[int]
    version: NotRequired[int]


class OneTimePassword(TypedDict):
    user: str
    password: str
