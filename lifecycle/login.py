"""Logins of people in browsers: who they are by their identity at a provider, and the sessions that begin and end.

A person is ``(issuer, subject)`` and never an e-mail. Whom nobody knows becomes a user without rights, who waits until a
tenant admits them. A session is a token: it ends as every token does, at once and everywhere.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.accounts import AccountKind
from domain.errors import NotAllowed
from domain.logins import Identity, Profile, Session
from domain.people import Token, TokenKind, User, UserKind, UserState
from lifecycle import tokens
from lifecycle.people import CAN_LOG_IN
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness
from lifecycle.words import check_name

BUILT_IN = "built-in"  # the provider of who logs in with a name and a password of the centre's own

_NAME_LENGTH = 40
_PROBES = 100


@dataclass(frozen=True, slots=True)
class SessionRules:
    """How long a session lasts at most, and how long without use, in ms."""

    lasts_ms: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who logged in, and whether they were never here before."""

    user: User
    first: bool


def arrive(uow: UnitOfWork, profile: Profile, now_ms: int) -> Arrival:
    """The user of an identity, made just in time. Raises NotAllowed for who may not log in any more, and Conflict if
    the same person came twice at once: then asked again, it finds them.
    """
    identity = uow.logins.identity(profile.issuer, profile.subject)
    if identity is None:
        user = uow.people.add_user(_new_user(uow, profile, now_ms))
        uow.logins.add_identity(
            Identity(0, user.id, profile.issuer, profile.subject, profile.provider, now_ms, now_ms)
        )  # fmt: skip
        return Arrival(user, first=True)
    known = uow.people.user_of(identity.user_id)
    assert known is not None, "an identity is of a user"
    check_welcome(known)
    uow.logins.touch_identity(identity.id, now_ms)
    return Arrival(_refreshed(uow, known, profile), first=False)


def check_welcome(user: User) -> None:
    """Raises NotAllowed for who may not log in."""
    if user.state not in CAN_LOG_IN or user.kind is not UserKind.PERSON:
        raise NotAllowed(
            f"the user {user.name} is {user.state} and cannot log in", fix="ask the centre's administrators",
            code="not-welcome",
        )  # fmt: skip


def open_session(
    uow: UnitOfWork, user: User, session: Session, rules: SessionRules, now_ms: int, *, login_ms: int, level: int,
    instead_of: Token | None = None, **narrowed: Any,
) -> str:  # fmt: skip
    """A new session, and its text, which cannot be had again. It comes in place of the one that the browser had: a text
    that was known before a login is worth nothing after it. ``session`` says where it began.
    """
    if instead_of is not None:
        uow.people.revoke_token(instead_of.id, now_ms)
    token, text = tokens.keep(
        uow,
        Token(
            0, user.id, "browser", now_ms, now_ms + rules.lasts_ms, kind=TokenKind.SESSION, idle_ms=rules.idle_ms,
            login_ms=login_ms, level=level, **narrowed,
        ),
    )  # fmt: skip
    uow.logins.add_session(replace(session, token_id=token.id))
    return text


def end_sessions(uow: UnitOfWork, issuer: str, sid: str | None, subject: str | None, now_ms: int) -> dict[int, int]:
    """End the session that a provider names, or all of a person there. Answers how many that were open, by user."""
    ended: dict[int, int] = {}
    found = uow.logins.sessions_of(issuer, sid=sid, subject=subject) if sid or subject else []
    for session in found:
        token = uow.people.token(session.token_id)
        if token is not None and token.revoked_ms is None:
            uow.people.revoke_token(token.id, now_ms)
            ended[token.user_id] = ended.get(token.user_id, 0) + 1
    return ended


def note(
    uow: UnitOfWork, action: str, provider: str, users: Mapping[int, str], facts: Mapping[str, Any], now_ms: int
) -> None:
    """Leave an audit entry of a login or a logout. ``users`` are who did it, id and name; ``facts`` name nobody."""
    personal = {"by": " ".join(sorted(users.values()))}
    entry = witness(uow.audit, now_ms, action, f"/login/{provider}", dict(facts), personal)
    uow.privacy.note(entry.id, [(user_id, "by") for user_id in sorted(users)])


def note_nobody(uow: UnitOfWork, action: str, provider: str, facts: Mapping[str, Any], now_ms: int) -> None:
    """The same where nobody is known."""
    witness(uow.audit, now_ms, action, f"/login/{provider}", dict(facts))


def _new_user(uow: UnitOfWork, profile: Profile, now_ms: int) -> User:
    name = free_name(uow, profile.name or (profile.email or "").partition("@")[0])
    return User(
        0, name, profile.title or name, profile.email, state=UserState.WAITING, tenant_id=_tenant(uow, profile),
        affiliation=profile.affiliation, assurance=profile.level, created_ms=now_ms,
    )  # fmt: skip


def _refreshed(uow: UnitOfWork, user: User, profile: Profile) -> User:
    """What the provider says now, of what it is to say: a title that was put right stays, names and e-mails always do,
    and of the tenant only who waits can be asked.
    """
    righted = any(change.field == "title" for change in uow.privacy.changes_of(user.id))
    title = user.title if righted else profile.title or user.title
    tenant = _tenant(uow, profile) if user.state is UserState.WAITING else None
    now = replace(
        user, title=title, affiliation=profile.affiliation, assurance=profile.level, tenant_id=tenant or user.tenant_id
    )
    return user if now == user else uow.people.save_user(now)


def _tenant(uow: UnitOfWork, profile: Profile) -> int | None:
    found = uow.directory().by_name.get(profile.tenant or "")
    return found.id if found is not None and found.kind is AccountKind.TENANT else None


def free_name(uow: UnitOfWork, wished: str) -> str:
    """A name of a-z, 0-9 and '-' that nobody has. Letters that only look like these are left out, so that no name is
    taken for another; who comes later gets a number.
    """
    plain = unicodedata.normalize("NFKD", wished.partition("@")[0]).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:_NAME_LENGTH].strip("-")
    if len(name) < 2:
        name = "user"
    number = 1
    found = check_name(name)
    while uow.people.user(found) is not None:
        number = number + 1 if number < _PROBES else number * 2
        found = f"{name}-{number}"
    return found
