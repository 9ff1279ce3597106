"""Who the caller is."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.routes.tokens import show_token
from api.http.schemas.people import WhoOut
from domain.access import Permission
from domain.people import UserState

routes = Routes("people")

_WAIT = {
    True: "a focal point of {} must admit you; ask them if it takes long",
    False: "ask the centre to admit you: your login named no institution that is known here",
}


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
    """The caller, their roles and the token they use; and what to do, if they wait to be admitted."""
    caller, user = call.caller, call.caller.user
    tenant = None if user.tenant_id is None else call.directory.tree.accounts[user.tenant_id].name
    owner = None if user.owner_id is None else call.uow.people.user_names([user.owner_id])[user.owner_id]
    waits = user.state is UserState.WAITING
    return {
        "user": user.name, "title": user.title, "kind": user.kind, "state": user.state, "tenant": tenant, "owner": owner,
        "acting_by": None if caller.acting_by is None else caller.acting_by.name,
        "next": _WAIT[tenant is not None].format(tenant) if waits else None,
        "roles": _show_roles(call, user.id), "funders": _funders(call), "token": show_token(call, caller.token),
    }  # fmt: skip


def _funders(call: Call) -> list[str]:
    """The funders whose officer the caller is."""
    funders = call.uow.oversight.funders_of(call.caller.user.id)
    return sorted(call.uow.grants.funder_names(sorted(funders)).values())


@routes.post("/logout", Permission.SELF, None, status=204)
def logout(call: Call) -> None:
    """Revoke the token that is used for this request."""
    call.facts["token"] = call.caller.token.id
    call.uow.people.revoke_token(call.caller.token.id, call.now_ms)
