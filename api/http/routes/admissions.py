"""Who is let in: users, their admission by a tenant, their suspension, and passwords that administrators set."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import Scout
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing
from api.http.schemas.people import AdmitIn, OneTimeOut, RefuseIn, UserIn, UserOut, UserPatch
from domain.access import Permission
from domain.accounts import Account, AccountKind
from domain.errors import Invalid, NotAllowed, NotFound
from domain.people import User, UserKind, UserState
from lifecycle import admission, passwords, people, tokens
from lifecycle.accounts import account_named, check_version
from lifecycle.rectify import rectify

routes = Routes("people")


def show_users(call: Call, found: list[User]) -> list[dict[str, Any]]:
    """In one query, however many they are."""
    owners = call.uow.people.user_names([user.owner_id for user in found if user.owner_id is not None])
    accounts = call.directory.tree.accounts
    return [
        {
            "name": user.name, "title": user.title, "email": user.email, "kind": user.kind, "state": user.state,
            "tenant": None if user.tenant_id is None else accounts[user.tenant_id].name,
            "owner": None if user.owner_id is None else owners[user.owner_id], "affiliation": user.affiliation,
            "assurance": user.assurance, "created_ms": user.created_ms, "version": user.version,
        }
        for user in found
    ]  # fmt: skip


def show_user(call: Call, user: User) -> dict[str, Any]:
    return show_users(call, [user])[0]


def seen(call: Call) -> frozenset[int] | None:
    """The tenants whose people the caller may see; None is all. Raises NotAllowed if there are none."""
    visible = call.visible()
    if visible is None:
        return None
    accounts = call.directory.tree.accounts
    tenants = frozenset(one for one in visible if accounts[one].kind is AccountKind.TENANT)
    if not tenants:
        raise NotAllowed(
            f"{call.caller.user.name} has no role on a tenant that allows {call.permission}", fix="ask the centre"
        )
    return tenants


def find_user(call: Call, name: str) -> User:
    """A user whom the caller may see. Those of other tenants are not there."""
    tenants, user = seen(call), call.uow.people.user(name)
    if user is None or (tenants is not None and user.tenant_id not in tenants):
        raise NotFound(f"there is no user {name[:80]!r}", "user")
    return user


@routes.post("/users", Permission.USER_WRITE, UserOut)
def add_user(call: Call, body: UserIn) -> dict[str, Any]:
    """Add a person who is active at once. They log in with a password of this centre, if it has such."""
    call.need_centre()
    tenant = None if body.tenant is None else _tenant(call, body.tenant).id
    user = people.add_user(call.uow, body.name, body.title, body.email, call.now_ms, tenant)
    call.version(user.version)
    return show_user(call, user)


@routes.get("/users", Permission.USER_READ, Listing[UserOut])
def list_users(
    call: Call, cursor: Cursor = None, limit: Limit = 100, state: UserState | None = None, kind: UserKind | None = None
) -> dict[str, Any]:
    """Users and services; for focal points those of their tenants."""
    return _page(call, cursor, limit, state, kind)


@routes.get("/users/{name}", Permission.USER_READ, UserOut)
def get_user(call: Call, name: str) -> dict[str, Any]:
    user = find_user(call, name)
    call.version(user.version)
    return show_user(call, user)


@routes.patch("/users/{name}", Permission.USER_WRITE, UserOut)
def change_user(call: Call, name: str, body: UserPatch) -> dict[str, Any]:
    """Suspend or resume a user, or correct their name in full or e-mail. Nothing of who is suspended is let in from then
    on, nor of their services; the last administrator of the centre cannot be suspended. What was corrected is kept sealed
    for a while: `GET /users/{name}/changes`. `If-Match` takes the user's ETag.
    """
    call.need_centre()
    user = people.user_named(call.uow, name)
    check_version(user.version, call.if_match)
    corrections = {field: getattr(body, field) for field in body.model_fields_set & {"title", "email"}}
    changed = rectify(call.uow, call.services.vault, user, corrections, call.caller.user, call.now_ms)
    changed = changed if body.state is None else set_state(call, changed, body.state)
    call.version(changed.version)
    return show_user(call, changed)


def set_state(call: Call, user: User, state: str) -> User:
    if state == UserState.SUSPENDED:
        return admission.suspend(call.uow, user, call.now_ms)
    if state == UserState.ACTIVE:
        return admission.resume(call.uow, user)
    raise Invalid(f"{state[:40]!r} is no state to be put into", "state", fix="use suspended or active")


@routes.get("/admissions", Permission.USER_ADMIT, Listing[UserOut])
def list_admissions(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Who waits to be admitted: by the caller's tenants; administrators see those too who named none."""
    return _page(call, cursor, limit, UserState.WAITING, None)


@routes.post("/users/{name}/admit", Permission.USER_ADMIT, UserOut, status=200)
def admit_user(call: Call, name: str, body: AdmitIn) -> dict[str, Any]:
    """Let in who waits: they belong to the tenant from now on, and can be given roles."""
    user = find_user(call, name)
    if body.tenant is not None:
        tenant = _tenant(call, body.tenant)
    elif user.tenant_id is not None:
        tenant = call.directory.tree.accounts[user.tenant_id]
    else:
        raise Invalid(f"{user.name} asks for no tenant", "tenant", fix="say which one they belong to")
    call.need(tenant, f"tenant {tenant.name!r}")
    return show_user(call, admission.admit(call.uow, user, tenant))


@routes.post("/users/{name}/refuse", Permission.USER_ADMIT, UserOut, status=200)
def refuse_user(call: Call, name: str, body: RefuseIn) -> dict[str, Any]:  # noqa: ARG001 - the audit entry has the reason
    """Say that who waits is not of the tenant. They go on waiting, without one; only administrators see them then."""
    return show_user(call, admission.refuse(call.uow, find_user(call, name)))


def _one_time(scout: Scout, name: str) -> tuple[str, str]:  # noqa: ARG001 - the handler's arguments
    """A password and its hash, which takes too long to be worked out in a transaction."""
    hasher = passwords.needed(scout.services.passwords)
    text = passwords.one_time()
    return text, hasher.hash(text)


@routes.post("/users/{name}/password", Permission.USER_WRITE, OneTimeOut, secret=True, ahead=_one_time)
def set_password(call: Call, name: str) -> dict[str, Any]:
    """Set a one-time password, in this answer and nowhere else, and end all logins of the user.

    Who logs in with it can do nothing but choose their own.
    """
    call.need_centre()
    tokens.check_whole(call.caller.token, "a password")
    text, hashed = call.ahead
    user = people.user_named(call.uow, name)
    passwords.set_one_time(call.uow, user, hashed, call.now_ms)
    return {"user": user.name, "password": text}


def _page(call: Call, cursor: int | None, limit: int, state: UserState | None, kind: UserKind | None) -> dict[str, Any]:
    found = call.uow.people.users(paging.page(cursor, limit), tenants=seen(call), state=state, kind=kind)
    shown = {user.id: one for user, one in zip(found, show_users(call, found), strict=True)}
    return paging.answer(found, limit, lambda user: user.id, lambda user: shown[user.id])


def _tenant(call: Call, name: str) -> Account:
    """A tenant on which the caller has the permission; another is not there."""
    try:
        tenant = account_named(call.directory, name, AccountKind.TENANT)
    except NotFound:
        call.need_any(None, f"tenant {name[:80]!r}")
        raise
    call.need(tenant, f"tenant {name[:80]!r}")
    return tenant
