"""Users, roles, tokens, and who the caller is."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing
from api.http.schemas.centre import NewTokenOut, RoleIn, TokenIn, TokenOut, UserIn, UserOut, WhoOut
from domain.access import Permission
from domain.errors import NotFound
from domain.people import Token, User
from lifecycle import people

routes = Routes("people")


def show_user(user: User) -> dict[str, Any]:
    return {"name": user.name, "title": user.title, "email": user.email}


def show_token(token: Token) -> dict[str, Any]:
    return {
        "id": token.id, "name": token.name, "created_ms": token.created_ms, "expires_ms": token.expires_ms,
        "revoked_ms": token.revoked_ms, "last_used_ms": token.last_used_ms,
    }  # fmt: skip


def _show_roles(call: Call, user_id: int) -> list[dict[str, Any]]:
    accounts = call.directory.tree.accounts
    roles = call.uow.people.roles(user_id, call.now_ms)
    return [
        {"account": accounts[account_id].name, "role": role}
        for account_id in sorted(roles)
        for role in sorted(roles[account_id])
    ]


@routes.get("/whoami", Permission.SELF, WhoOut)
def whoami(call: Call) -> dict[str, Any]:
    """The caller, their roles and the token they use."""
    user = call.caller.user
    roles = _show_roles(call, user.id)
    return {"user": user.name, "title": user.title, "roles": roles, "token": show_token(call.caller.token)}


@routes.post("/logout", Permission.SELF, None, status=204, no_entry="the token itself says when it was revoked")
def logout(call: Call) -> None:
    """Revoke the token that is used for this request."""
    call.uow.people.revoke_token(call.caller.token.id, call.now_ms)


@routes.post("/users", Permission.USER_WRITE, UserOut)
def add_user(call: Call, body: UserIn) -> dict[str, Any]:
    call.need_centre()
    return show_user(people.add_user(call.uow, body.name, body.title, body.email, call.now_ms))


@routes.get("/users", Permission.USER_READ, Listing[UserOut])
def list_users(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    call.need_centre()
    found = call.uow.people.users(paging.page(cursor, limit))
    return paging.answer(found, limit, lambda user: user.id, show_user)


@routes.get("/users/{name}", Permission.USER_READ, UserOut)
def get_user(call: Call, name: str) -> dict[str, Any]:
    return show_user(_user(call, name))


@routes.get("/users/{name}/roles", Permission.USER_READ, Listing[RoleIn])
def list_roles(call: Call, name: str) -> dict[str, Any]:
    return {"items": _show_roles(call, _user(call, name).id), "next": None}


@routes.post("/users/{name}/roles", Permission.ROLE_WRITE, RoleIn)
def give_role(call: Call, name: str, body: RoleIn) -> dict[str, Any]:
    call.need_centre()
    people.give_role(call.uow, name, body.account, body.role, call.now_ms)
    return body.model_dump()


@routes.delete("/users/{name}/roles/{account}/{role}", Permission.ROLE_WRITE)
def take_role(call: Call, name: str, account: str, role: str) -> None:
    call.need_centre()
    people.take_role(call.uow, name, account, role, call.now_ms)


@routes.post("/users/{name}/tokens", Permission.USER_WRITE, NewTokenOut, secret=True)
def issue_token(call: Call, name: str, body: TokenIn) -> dict[str, Any]:
    """Make a token. Its text is in this answer and nowhere else, ever again."""
    user = _self_or_user(call, name)
    token, text = people.issue_token(call.uow, user, body.name, call.now_ms, body.expires_ms)
    return {**show_token(token), "token": text}


@routes.get("/users/{name}/tokens", Permission.USER_WRITE, Listing[TokenOut])
def list_tokens(call: Call, name: str) -> dict[str, Any]:
    found = call.uow.people.tokens(_self_or_user(call, name).id)
    return {"items": [show_token(token) for token in found], "next": None}


@routes.delete("/tokens/{token_id}", Permission.USER_WRITE)
def revoke_token(call: Call, token_id: Number) -> None:
    """Revoke a token at once: one's own, or anybody's for a centre administrator."""
    token = call.uow.people.token(token_id)
    if token is not None and token.user_id == call.caller.user.id:
        call.checked = True
    else:
        call.need_centre()
    if token is None:
        raise NotFound(f"there is no token {token_id}", "token")
    call.uow.people.revoke_token(token.id, call.now_ms)


def _user(call: Call, name: str) -> User:
    call.need_centre()
    return people.user_named(call.uow, name)


def _self_or_user(call: Call, name: str) -> User:
    """Everybody may do it for themselves, an administrator for anybody."""
    if name == call.caller.user.name:
        call.checked = True
        return call.caller.user
    return _user(call, name)
