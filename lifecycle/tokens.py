"""Tokens: made, narrowed and revoked. A token's text is shown once; only its SHA-256 is kept.

What a token makes is never wider than itself: not in its scopes, not in its account, and not in its time, unless a person
just logged in with it.
"""

import secrets
from dataclasses import dataclass

from domain.access import Permission
from domain.errors import Invalid, NotAllowed, Refused
from domain.people import Caller, Token, TokenKind, User, UserKind
from domain.quantities import DAY_MS
from domain.scopes import scopes_of
from lifecycle.people import CAN_LOG_IN, TOKEN_PREFIX, digest
from lifecycle.ports import UnitOfWork
from lifecycle.words import check_line

MOST_LIVE = 1_000  # tokens of one user that are neither revoked nor expired

OF_LOGINS = frozenset({TokenKind.SESSION, TokenKind.LOGIN})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a login of a command line lasts, a token that does not say, and one at the longest."""

    login_ms: int = 30 * DAY_MS
    token_ms: int = 90 * DAY_MS
    longest_token_ms: int = 366 * DAY_MS


@dataclass(frozen=True, slots=True)
class Wish:
    """A token as it is asked for. ``scopes``: names of permissions and of sets; None: all that its user has."""

    name: str
    expires_ms: int | None = None
    scopes: tuple[str, ...] | None = None
    account: str | None = None


def keep(uow: UnitOfWork, token: Token) -> tuple[Token, str]:
    """Write a new token down. Answers it and its text, which cannot be had again."""
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return uow.people.add_token(token, digest(text)), text


def issue(
    uow: UnitOfWork, caller: Caller, user: User, wish: Wish, lifetimes: Lifetimes, now_ms: int
) -> tuple[Token, str]:
    """Make a token for the user, with the caller's own. Whether the caller may do that for them is asked before.

    Raises Invalid, NotAllowed if it would be wider than the caller's own, and Refused with ``too-many-tokens``.
    """
    if user.state not in CAN_LOG_IN:
        raise Refused(f"{user.name} is {user.state}", code="not-active", fix="resume the user first")
    token = Token(
        0, user.id, check_line(wish.name, "name"), now_ms, _expires_ms(caller.token, wish, lifetimes, now_ms),
        kind=TokenKind.SERVICE if user.kind is UserKind.SERVICE else TokenKind.PERSONAL,
        scopes=_scopes(caller.token, wish), account_id=_account(uow, caller, wish),
    )  # fmt: skip
    if uow.people.live_tokens(user.id, now_ms) >= MOST_LIVE:
        raise Refused(
            f"{user.name} has {MOST_LIVE} tokens already", code="too-many-tokens",
            fix="revoke those that are not used: baray admin token list shows when each was",
        )  # fmt: skip
    return keep(uow, token)


def check_whole(token: Token, what: str) -> None:
    """Raises NotAllowed for a narrowed token where it would become one that may all."""
    if token.scopes is not None or token.account_id is not None:
        raise _wider("name", f"{what} lets in for all that its user may, and the token {token.name!r} does not")


def _expires_ms(own: Token, wish: Wish, lifetimes: Lifetimes, now_ms: int) -> int:
    latest = now_ms + lifetimes.longest_token_ms
    bound = own.expires_ms if own.kind not in OF_LOGINS else None
    if wish.expires_ms is None:
        return min(now_ms + lifetimes.token_ms, latest, latest if bound is None else bound)
    if wish.expires_ms <= now_ms:
        raise Invalid("the token would have expired already", "expires_ms", fix="choose a time to come")
    if wish.expires_ms > latest:
        days = lifetimes.longest_token_ms // DAY_MS
        raise Invalid(f"a token lasts {days} days at the most", "expires_ms", fix="choose a time before that")
    if bound is not None and wish.expires_ms > bound:
        raise _wider("expires_ms", f"the token {own.name!r} expires before that")
    return wish.expires_ms


def _scopes(own: Token, wish: Wish) -> frozenset[Permission] | None:
    if wish.scopes is None:
        return own.scopes
    wanted = scopes_of(wish.scopes)
    if not wanted:
        raise Invalid(
            "a token without any scope is good for nothing", "scopes", fix="name one, or leave it out for all"
        )
    if own.scopes is not None and not wanted <= own.scopes:
        more = ", ".join(sorted(wanted - own.scopes))
        raise _wider("scopes", f"the token {own.name!r} is not for {more}")
    return wanted


def _account(uow: UnitOfWork, caller: Caller, wish: Wish) -> int | None:
    own = caller.token.account_id
    if wish.account is None:
        return own
    directory = uow.directory()
    found = directory.by_name.get(wish.account)
    path = () if found is None else directory.path_of(found)
    # Who has no role there is told the same as if there were none.
    if found is None or not any(caller.roles.get(above) for above in path):
        raise Invalid(f"there is no account {wish.account[:80]!r}", "account", fix="name one in which you have a role")
    if own is not None and own not in path:
        raise _wider("account", f"the token {caller.token.name!r} is for another account")
    return found.id


def _wider(field: str, why: str) -> NotAllowed:
    fix = "make it with a token that may do so itself, or log in: baray login"
    return NotAllowed(f"a token makes no wider one: {why}", field, fix=fix, code="wider-token")
