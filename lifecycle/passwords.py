"""Passwords of built-in users: how one is checked, chosen, and set by an administrator.

A login that fails says the same, and does the same work, whoever was named: somebody without a password, with another
one, somebody whose password is locked after too many failures, or nobody at all. The hash is worked out between two
transactions, as it takes long on purpose.
"""

import hashlib
import secrets
import unicodedata
from dataclasses import replace
from typing import Protocol

from domain.access import Permission
from domain.errors import Invalid, NotLoggedIn, Refused
from domain.logins import Password
from domain.people import User, UserKind
from lifecycle.common_passwords import is_common
from lifecycle.people import CAN_LOG_IN
from lifecycle.ports import Store, UnitOfWork
from lifecycle.tokens import OF_LOGINS

SHORTEST = 12
LONGEST = 256  # characters: more cannot be guessed any less, and all of it is hashed

FREE_FAILURES = 5  # so many wrong passwords in a row lock nothing
FIRST_LOCK_MS = 30_000  # each further one doubles it
LONGEST_LOCK_MS = 15 * 60_000

# The time at which a password was changed whose user has not chosen it: it lets them choose one, and nothing else.
ONE_TIME_MS = 0

_STRANGERS = 256  # rows that tries of unknown names are written to


class Hasher(Protocol):
    """Hashes passwords, slowly and with much memory; a few at once. Raises Unavailable when too many wait for it."""

    def hash(self, password: str) -> str: ...
    def verify(self, hashed: str | None, password: str) -> bool:
        """False for another password, and, after the same work, for no hash at all."""
        ...

    def stale(self, hashed: str) -> bool:
        """True if it was made with other parameters than are used now."""
        ...


def needed(hasher: Hasher | None) -> Hasher:
    """Raises Refused where nobody logs in with a password of the centre."""
    if hasher is None:
        raise Refused(
            "this centre keeps no passwords", code="builtin-login-off",
            fix="log in through your identity provider: baray login",
        )  # fmt: skip
    return hasher


def check(store: Store, hasher: Hasher, name: str, password: str, now_ms: int) -> User:
    """The built-in user who knows the password. Raises NotLoggedIn, always with the same words.

    Opens transactions of its own, so that failures stay counted: call it outside of any.
    """
    password = _normal(password)
    with store.read() as uow:
        user = uow.people.user(name) if len(name) <= LONGEST else None
        kept = uow.logins.password(user.id) if user is not None and _can_log_in(user) else None
    right = hasher.verify(None if kept is None else kept.hash, password)
    fresh = hasher.hash(password) if kept is not None and right and hasher.stale(kept.hash) else None
    with store.write() as uow:
        known = _record(uow, user, kept, right, fresh, now_ms) if user is not None and kept is not None else None
        if user is None or kept is None:
            uow.logins.stir(_stranger(name), now_ms)
    if known is None:
        raise NotLoggedIn("the name or the password is wrong", fix="try again in a while, or ask an administrator")
    return known


def session_scopes(uow: UnitOfWork, user_id: int) -> frozenset[Permission] | None:
    """What a session may do that was begun with the password: with a one-time password, only choose another."""
    kept = uow.logins.password(user_id)
    return frozenset() if kept is not None and kept.changed_ms == ONE_TIME_MS else None


def renewed(store: Store, hasher: Hasher, user: User, old: str, new: str, now_ms: int) -> str:
    """The hash of the password that a user chose, for ``put``. Raises NotLoggedIn for a wrong old one, and Invalid for a new
    one that is too short, too common, the old one, or like one's name. Call it outside of any transaction.
    """
    check_new(user, new)
    if _normal(old) == _normal(new):
        raise Invalid("the new password is the old one", "new", fix="choose another")
    check(store, hasher, user.name, old, now_ms)
    return hasher.hash(_normal(new))


def put(uow: UnitOfWork, user: User, hashed: str, now_ms: int, but: int | None = None) -> None:
    """Set the hash of the password that a user chose. All their logins end but that of the token ``but``."""
    uow.logins.put_password(Password(user.id, hashed, max(now_ms, ONE_TIME_MS + 1)))
    uow.people.revoke_tokens(user.id, now_ms, OF_LOGINS, but=but)


def one_time() -> str:
    """A password that an administrator hands over, to be changed at the first login."""
    return secrets.token_urlsafe(15)


def set_one_time(uow: UnitOfWork, user: User, hashed: str, now_ms: int) -> None:
    """Set the hash of a ``one_time`` password. What was locked opens, and all logins of the user end."""
    if not _can_log_in(user):
        raise Refused(
            f"{user.name} is {user.state}, or a service: there is nobody to log in", code="no-login",
            fix="services use tokens: baray admin token",
        )  # fmt: skip
    uow.logins.put_password(Password(user.id, hashed, ONE_TIME_MS))
    uow.people.revoke_tokens(user.id, now_ms, OF_LOGINS)


def check_new(user: User, password: str) -> None:
    """Raises Invalid if a password must not be chosen."""
    text = _normal(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise Invalid(
            f"the password has {len(text)} characters", "new", fix=f"use {SHORTEST} to {LONGEST}; several words do well"
        )
    folded = text.casefold()
    own = (user.name, (user.email or "").partition("@")[0])
    if is_common(text) or any(
        len(name) > 2 and len(folded.replace(name.casefold(), "")) < SHORTEST // 2 for name in own
    ):
        raise Invalid("the password is one of those that are tried first", "new", fix="use several unrelated words")


def _record(uow: UnitOfWork, user: User, kept: Password, right: bool, fresh: str | None, now_ms: int) -> User | None:
    """Write down what came of a try. Answers the user if they are who they say: under the row's lock, so that many
    tries at once count one after another, and the right password is worth nothing while it is locked.
    """
    now = uow.logins.password(user.id, lock=True)
    if now is None or now.hash != kept.hash:
        return None
    if now.locked_ms is not None and now.locked_ms > now_ms:
        uow.logins.put_password(now)
        return None
    if not right:
        failures = now.failures + 1
        lock_ms = (
            min(LONGEST_LOCK_MS, FIRST_LOCK_MS << min(failures - FREE_FAILURES, 10)) if failures >= FREE_FAILURES else 0
        )
        uow.logins.put_password(replace(now, failures=failures, locked_ms=now_ms + lock_ms if lock_ms else None))
        return None
    if now.failures or fresh is not None:
        uow.logins.put_password(replace(now, hash=fresh or now.hash, failures=0, locked_ms=None))
    again = uow.people.user_of(user.id)
    return again if again is not None and _can_log_in(again) else None


def _can_log_in(user: User) -> bool:
    return user.kind is UserKind.PERSON and user.state in CAN_LOG_IN


def _normal(password: str) -> str:
    """The same text, however a keyboard composes its letters (NIST SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password[: LONGEST * 4])


def _stranger(name: str) -> bytes:
    """The row that a try of an unknown name is written to, so that it takes as long as that of a known one."""
    row = hashlib.sha256(name.encode(errors="replace")).digest()[0] % _STRANGERS
    return hashlib.sha256(f"stranger {row}".encode()).digest()
