"""Users, roles, tokens and secrets. A token's text is shown once; only its SHA-256 is kept."""

import hashlib
import secrets

from domain.access import Role
from domain.accounts import Account
from domain.errors import Conflict, Invalid, NotFound, NotLoggedIn
from domain.people import Caller, Token, User, UserState
from lifecycle.ports import UnitOfWork, Vault
from lifecycle.words import check_env_name, check_name, check_title

TOKEN_PREFIX = "bry_"  # noqa: S105 - so that a leaked token is recognised by scanners
SECRET_BYTES = 64 * 1024

CAN_LOG_IN = frozenset({UserState.ACTIVE, UserState.WAITING})


def authenticate(uow: UnitOfWork, text: str, now_ms: int) -> Caller:
    """The caller behind a token. Raises NotLoggedIn, which says no more than that it is not valid."""
    caller = uow.people.caller(digest(text), now_ms)
    if caller is None:
        raise NotLoggedIn("the token is unknown, expired or revoked", fix="log in again: baray login")
    return caller


def digest(text: str) -> bytes:
    """What is kept of a token: tokens are random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(text.encode()).digest()


def add_user(uow: UnitOfWork, name: str, title: str, email: str | None, now_ms: int) -> User:
    check_name(name)
    if uow.people.user(name) is not None:
        raise Conflict(f"there is a user {name!r} already", "name", code="already-exists")
    check_title(title)
    return uow.people.add_user(User(0, name, title, email, created_ms=now_ms))


def user_named(uow: UnitOfWork, name: str) -> User:
    user = uow.people.user(name)
    if user is None:
        raise NotFound(f"there is no user {name[:80]!r}", "user")
    return user


def give_role(uow: UnitOfWork, user: str, account: str, role: str, now_ms: int, until_ms: int | None = None) -> None:
    if role not in set(Role):
        raise Invalid(f"{role[:40]!r} is no role", "role", fix=f"use one of {', '.join(Role)}")
    found = uow.directory().by_name.get(account)
    if found is None:
        raise Invalid(f"there is no account {account[:80]!r}", "account")
    uow.people.grant(user_named(uow, user).id, found.id, role, now_ms, until_ms)


def take_role(uow: UnitOfWork, user: str, account: str, role: str, now_ms: int) -> None:
    found = uow.directory().by_name.get(account)
    if found is None or not uow.people.revoke(user_named(uow, user).id, found.id, role, now_ms):
        raise NotFound(f"{user} is not {role} of {account}", "role")


def issue_token(uow: UnitOfWork, user: User, name: str, now_ms: int, expires_ms: int | None) -> tuple[Token, str]:
    """A new token and its text, which cannot be had again."""
    if expires_ms is not None and expires_ms <= now_ms:
        raise Invalid("the token would have expired already", "expires_ms", fix="choose a time to come")
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return uow.people.add_token(Token(0, user.id, name, now_ms, expires_ms), digest(text)), text


def put_secret(uow: UnitOfWork, vault: Vault, project: Account, name: str, value: str) -> None:
    """Keep a secret of the project, sealed. Its value is never shown again."""
    check_env_name(name, "name")
    if not 0 < len(value.encode()) <= SECRET_BYTES or "\0" in value:
        raise Invalid(f"a secret is 1 to {SECRET_BYTES} bytes, without NUL", "value")
    uow.people.put_secret(project.id, name, vault.seal(value))


def delete_secret(uow: UnitOfWork, project: Account, name: str) -> None:
    if not uow.people.delete_secret(project.id, name):
        raise NotFound(f"project {project.name} has no secret {name[:80]!r}", "secret")
