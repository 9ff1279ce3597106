"""Logins of programs, and who answers for them."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.routes.admissions import set_state, show_user, show_users
from api.http.routes.roles import take_two_for_roles
from api.http.schemas.base import Listing
from api.http.schemas.oversight import ApprovalOut
from api.http.schemas.people import ServiceIn, ServicePatch, UserOut
from domain.access import Permission
from domain.accounts import AccountKind
from domain.errors import Invalid, NotFound
from domain.people import User, UserKind
from lifecycle import service_accounts
from lifecycle.accounts import check_version

routes = Routes("people")


@routes.post("/service-accounts", Permission.SERVICE_WRITE, UserOut, also={202: ApprovalOut})
def add_service(call: Call, body: ServiceIn) -> dict[str, Any]:
    """A login for a program, with one role. The caller answers for it: it may nothing there that they may not, rests when
    they are suspended, and never decides, admits or acts for people. It logs in with tokens alone. Where roles take a
    second person, a program's do too.
    """
    account = call.directory.by_name.get(body.account)
    call.need_any(account, f"account {body.account!r}")
    if account is None:  # who may make services everywhere is told so
        raise Invalid(f"there is no account {body.account[:80]!r}", "account", fix="see baray admin account list")
    made = service_accounts.add(call.uow, call.caller, body.name, body.title, account, body.role, call.now_ms)
    take_two_for_roles(call, {body.role}, account.name, made.id)
    call.about |= {made.id, call.caller.user.id}
    call.version(made.version)
    return show_user(call, made)


@routes.get("/service-accounts", Permission.SERVICE_WRITE, Listing[UserOut])
def list_services(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Those for which the caller answers, and those of tenants where they may make some."""
    visible, accounts = call.visible(), call.directory.tree.accounts
    tenants = None if visible is None else {one for one in visible if accounts[one].kind is AccountKind.TENANT}
    found = call.uow.people.users(
        paging.page(cursor, limit), kind=UserKind.SERVICE, or_owner=call.caller.user.id,
        tenants=None if tenants is None else frozenset(tenants),
    )  # fmt: skip
    shown = {user.id: one for user, one in zip(found, show_users(call, found), strict=True)}
    return paging.answer(found, limit, lambda user: user.id, lambda user: shown[user.id])


@routes.get("/service-accounts/{name}", Permission.SERVICE_WRITE, UserOut)
def get_service(call: Call, name: str) -> dict[str, Any]:
    service = _service(call, name)
    call.version(service.version)
    return show_user(call, service)


@routes.patch("/service-accounts/{name}", Permission.SERVICE_WRITE, UserOut)
def change_service(call: Call, name: str, body: ServicePatch) -> dict[str, Any]:
    """Hand a service over to another person, which revokes its tokens; suspend it, or resume it. `If-Match` takes its ETag."""
    service = _service(call, name)
    check_version(service.version, call.if_match)
    if body.owner is None and body.state is None:
        raise Invalid("nothing is asked for", "owner", fix="give owner or state")
    if body.owner is not None:
        service = service_accounts.hand_over(call.uow, service, body.owner, call.now_ms)
    if body.state is not None:
        service = set_state(call, service, body.state)
    call.about.add(service.id)
    call.version(service.version)
    return show_user(call, service)


def _service(call: Call, name: str) -> User:
    """A service that the caller manages. Others are not there."""
    call.checked = True
    user = call.uow.people.user(name)
    if user is None or not service_accounts.manages(call.uow, call.caller, user, call.permission, call.now_ms):
        raise NotFound(f"there is no service {name[:80]!r}", "service")
    return user
