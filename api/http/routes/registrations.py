"""What a registry of the state says of tenants: asked there, and not of the institution again."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import Scout
from api.http.schemas.centre import RegistrationIn, RegistrationOut
from domain.access import Permission
from domain.accounts import Account, AccountKind
from domain.errors import NotFound
from lifecycle import registrations
from lifecycle.accounts import account_named
from lifecycle.registry import Extract

routes = Routes("accounts")


@routes.get("/tenants/{name}/registration", Permission.ACCOUNT_READ, RegistrationOut)
def get_registration(call: Call, name: str) -> dict[str, Any]:
    """Which registry was asked about which number, when and in which message, and what of its answer is used."""
    return _show(call, _tenant(call, name))


def _ask_registry(scout: Scout, name: str, body: RegistrationIn) -> Extract:
    known = scout.look(lambda call: _number(call, name, body))
    return registrations.ask(scout.services.registry, known)


@routes.post("/tenants/{name}/registration", Permission.TENANT_WRITE, RegistrationOut, status=200, ahead=_ask_registry)
def ask_registration(call: Call, name: str, body: RegistrationIn) -> dict[str, Any]:
    """Bind a tenant to its number in the registry, or take over what the registry says of it now.

    What it says replaces what was there, and is read-only from then on. `If-Match` takes the tenant's ETag.
    """
    call.need_centre()
    extract: Extract = call.ahead
    act = registrations.refresh if body.number is None else registrations.bind
    account = act(call.uow, _tenant(call, name), extract, call.if_match, call.now_ms)
    call.facts |= registrations.facts(extract)
    return _show(call, account)


def _number(call: Call, name: str, body: RegistrationIn) -> str:
    """The number to ask about; the tenant must be there before anybody is asked."""
    account = account_named(call.directory, name, AccountKind.TENANT)
    return registrations.kept(call.uow, account).extract.number if body.number is None else body.number


def _tenant(call: Call, name: str) -> Account:
    try:
        account = account_named(call.directory, name, AccountKind.TENANT)
    except NotFound:
        call.checked = True
        raise
    call.need(account, f"tenant {name[:80]!r}")
    return account


def _show(call: Call, account: Account) -> dict[str, Any]:
    found = registrations.kept(call.uow, account)
    one = found.extract
    call.version(account.version)
    return {
        "registry": one.registry, "number": one.number, "status": one.status, "in_force": one.in_force,
        "fields": dict(one.fields), "fetched_ms": found.fetched_ms, "message_id": one.message_id, "sha256": one.sha256,
    }  # fmt: skip
