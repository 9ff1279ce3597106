"""Users, who a token is of, roles and secrets."""

import hashlib
from dataclasses import replace

from domain.access import Role
from domain.accounts import Account
from domain.errors import Conflict, Invalid, NotFound, NotLoggedIn, Refused
from domain.people import Caller, User, UserState
from domain.personal import ERASED
from lifecycle.ports import UnitOfWork, Vault
from lifecycle.words import check_env_name, check_name, check_title

TOKEN_PREFIX = "bry_"  # noqa: S105 - so that a leaked token is recognised by scanners
SECRET_BYTES = 64 * 1024
_NEVER_MS = 2**62  # later than any end

CAN_LOG_IN = frozenset({UserState.ACTIVE, UserState.WAITING})

# What is done next with somebody who is not active.
NEXT = {
    UserState.WAITING: "admit them first: baray admin user admit",
    UserState.SUSPENDED: "resume them first: baray admin user resume",
}


def authenticate(uow: UnitOfWork, text: str, now_ms: int) -> Caller:
    """The caller behind a token. Raises NotLoggedIn, which says no more than that it is not valid."""
    caller = uow.people.caller(digest(text), now_ms)
    if caller is None:
        raise NotLoggedIn("the token is unknown, expired or revoked", fix="log in again: baray login")
    if caller.user.owner_id is not None:
        return replace(caller, owner_roles=uow.people.roles(caller.user.owner_id, now_ms))
    return caller


def digest(text: str) -> bytes:
    """What is kept of a token: tokens are random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(text.encode()).digest()


def add_user(
    uow: UnitOfWork, name: str, title: str, email: str | None, now_ms: int, tenant_id: int | None = None
) -> User:
    check_name(name)
    if name.startswith(ERASED):
        raise Invalid(f"names that begin with {ERASED!r} are for people who were erased", "name", fix="choose another")
    if uow.people.user(name) is not None:
        raise Conflict(f"there is a user {name!r} already", "name", code="already-exists")
    check_title(title)
    return uow.people.add_user(User(0, name, title, email, tenant_id=tenant_id, created_ms=now_ms))


def user_named(uow: UnitOfWork, name: str) -> User:
    user = uow.people.user(name)
    if user is None:
        raise NotFound(f"there is no user {name[:80]!r}", "user")
    return user


def check_active(user: User, field: str) -> None:
    """Raises Refused for who cannot be given a role: they wait, are suspended or erased."""
    if user.state is not UserState.ACTIVE:
        raise Refused(f"{user.name} is {user.state}", field, fix=NEXT.get(user.state), code="not-active")


def give_role(uow: UnitOfWork, user: str, account: str, role: str, now_ms: int, until_ms: int | None = None) -> User:
    """Give a role from now on, until a time or without an end; one that is held gets the other end."""
    if role not in set(Role):
        raise Invalid(f"{role[:40]!r} is no role", "role", fix=f"use one of {', '.join(Role)}")
    if role == Role.FUNDER:
        raise Invalid(
            "the role funder is held on a funder, not on an account", "role",
            fix=f"make {user[:80]} an officer of the funder: baray admin funder officer add FUNDER USER",
        )  # fmt: skip
    found = uow.directory().by_name.get(account)
    if found is None:
        raise Invalid(f"there is no account {account[:80]!r}", "account")
    if until_ms is not None and until_ms <= now_ms:
        raise Invalid("the role would have ended already", "until_ms", fix="choose a time to come, or leave it out")
    uow.take_turn()
    who = user_named(uow, user)
    check_active(who, "user")
    uow.people.grant(who.id, found.id, role, now_ms, until_ms)
    _keep_an_admin(uow, found, role)
    return who


def take_role(uow: UnitOfWork, user: str, account: str, role: str, now_ms: int) -> User:
    uow.take_turn()
    found, who = uow.directory().by_name.get(account), user_named(uow, user)
    if found is None or not uow.people.revoke(who.id, found.id, role, now_ms):
        raise NotFound(f"{user[:80]} is not {role[:40]} of {account[:80]}", "role")
    _keep_an_admin(uow, found, role)
    return who


def _keep_an_admin(uow: UnitOfWork, account: Account, role: str) -> None:
    """Raises Refused if nobody would be administrator of the centre without an end any more."""
    whole = account.parent_id is None and role == Role.CENTRE_ADMIN
    if whole and not uow.people.holders(account.id, Role.CENTRE_ADMIN, _NEVER_MS):
        raise Refused(
            "nobody would be left who administers the centre without an end", "role",
            fix="make somebody else centre-admin of it first", code="last-admin",
        )  # fmt: skip


def put_secret(uow: UnitOfWork, vault: Vault, project: Account, name: str, value: str) -> None:
    """Keep a secret of the project, sealed. Its value is never shown again."""
    check_env_name(name, "name")
    if not 0 < len(value.encode()) <= SECRET_BYTES or "\0" in value:
        raise Invalid(f"a secret is 1 to {SECRET_BYTES} bytes, without NUL", "value")
    uow.people.put_secret(project.id, name, vault.seal(value))


def delete_secret(uow: UnitOfWork, project: Account, name: str) -> None:
    if not uow.people.delete_secret(project.id, name):
        raise NotFound(f"project {project.name} has no secret {name[:80]!r}", "secret")
