"""Tokens: one's own, and those of the services that one answers for."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing
from api.http.schemas.people import NewTokenOut, RevokedOut, RevokeIn, TokenIn, TokenOut
from domain.access import Permission
from domain.errors import NotFound, Refused
from domain.people import Token, User, UserKind
from lifecycle import service_accounts, tokens
from lifecycle.people import user_named

routes = Routes("people")


def show_token(call: Call, token: Token) -> dict[str, Any]:
    account = None if token.account_id is None else call.directory.tree.accounts[token.account_id].name
    return {
        "id": token.id, "name": token.name, "kind": token.kind, "created_ms": token.created_ms,
        "expires_ms": token.expires_ms, "revoked_ms": token.revoked_ms, "last_used_ms": token.last_used_ms,
        "scopes": None if token.scopes is None else sorted(token.scopes), "account": account,
        "login_ms": token.login_ms, "level": token.level,
    }  # fmt: skip


@routes.post("/users/{name}/tokens", Permission.USER_WRITE, NewTokenOut, secret=True)
def issue_token(call: Call, name: str, body: TokenIn) -> dict[str, Any]:
    """Make a token. Its text is in this answer and nowhere else, ever again.

    It is never wider than the token that makes it: not in scopes, account or time; but a login may make one that outlasts
    it. Administrators make tokens for other people only where people log in with passwords of this centre.
    """
    user = _whose(call, name)
    other = user.kind is UserKind.PERSON and user.id != call.caller.user.id
    if other and call.services.passwords is None:
        raise Refused(
            "nobody makes a token for another person here", "name", code="not-yourself",
            fix="let them log in and make it themselves, or make a service: baray admin service add",
        )  # fmt: skip
    if user.kind is UserKind.SERVICE:
        service_accounts.check_no_more(call.uow, call.caller, user, call.now_ms)
    wish = tokens.Wish(body.name, body.expires_ms, None if body.scopes is None else tuple(body.scopes), body.account)
    token, text = tokens.issue(call.uow, call.caller, user, wish, call.services.lifetimes, call.now_ms)
    call.facts["token"] = token.id
    return {**show_token(call, token), "token": text}


@routes.get("/users/{name}/tokens", Permission.USER_WRITE, Listing[TokenOut])
def list_tokens(call: Call, name: str, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    found = call.uow.people.tokens(_whose(call, name).id, paging.page(cursor, limit))
    return paging.answer(found, limit, lambda token: token.id, lambda token: show_token(call, token))


@routes.post("/users/{name}/tokens/revoke", Permission.USER_WRITE, RevokedOut, status=200)
def revoke_tokens(call: Call, name: str, body: RevokeIn) -> dict[str, Any]:
    """Revoke all tokens of a user at once, their sessions and logins too."""
    kept = call.caller.token.id if body.but_this else None
    return {"revoked": call.uow.people.revoke_tokens(_whose(call, name).id, call.now_ms, but=kept)}


@routes.delete("/tokens/{token_id}", Permission.USER_WRITE)
def revoke_token(call: Call, token_id: Number) -> None:
    """Revoke a token at once: one's own, one of a service that one answers for, or anybody's for an administrator."""
    token = call.uow.people.token(token_id)
    user = None if token is None else call.uow.people.user_of(token.user_id)
    if user is not None and _is_theirs(call, user):
        call.checked = True
    else:
        call.need_centre()
    if token is None:
        raise NotFound(f"there is no token {token_id}", "token")
    call.about.add(token.user_id)
    call.uow.people.revoke_token(token.id, call.now_ms)


def _whose(call: Call, name: str) -> User:
    """Everybody may do it for themselves and for the services that they answer for, an administrator for anybody."""
    user = call.uow.people.user(name)
    if user is None or not _is_theirs(call, user):
        call.need_centre()
        user = user_named(call.uow, name)
    call.checked = True
    call.about.add(user.id)
    return user


def _is_theirs(call: Call, user: User) -> bool:
    own = user.id == call.caller.user.id
    return own or service_accounts.manages(call.uow, call.caller, user, Permission.SERVICE_WRITE, call.now_ms)
