"""Roles on accounts, with an end or without one."""

from collections.abc import Collection
from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.base import Listing
from api.http.schemas.oversight import ApprovalOut, RoleGiven, RoleHeld
from domain.access import MATRIX, Permission
from lifecycle import people

routes = Routes("people")


@routes.get("/users/{name}/roles", Permission.USER_READ, Listing[RoleHeld])
def list_roles(call: Call, name: str) -> dict[str, Any]:
    """What they hold now, and until when."""
    call.need_centre()
    user, accounts = people.user_named(call.uow, name), call.directory.tree.accounts
    held = sorted(call.uow.people.spells(user.id, call.now_ms), key=lambda one: (one.account_id, one.role))
    items = [
        {
            "account": accounts[one.account_id].name, "role": one.role.value, "from_ms": one.from_ms,
            "until_ms": one.until_ms,
        }
        for one in held
    ]  # fmt: skip
    return {"items": items, "next": None}


@routes.post("/users/{name}/roles", Permission.ROLE_WRITE, RoleGiven, also={202: ApprovalOut})
def give_role(call: Call, name: str, body: RoleGiven) -> dict[str, Any]:
    """Give a role on an account, until a time or without an end. One that is held already gets the other end."""
    call.need_centre()
    user = people.give_role(call.uow, name, body.account, body.role, call.now_ms, body.until_ms)
    take_two_for_roles(call, {body.role}, body.account, user.id)
    return body.model_dump()


@routes.delete("/users/{name}/roles/{account}/{role}", Permission.ROLE_WRITE, also={202: ApprovalOut})
def take_role(call: Call, name: str, account: str, role: str) -> None:
    """Take a role at once. Whoever led a project, or was a member of it, keeps a part in it for a while."""
    call.need_centre()
    user = people.take_role(call.uow, name, account, role, call.now_ms)
    take_two_for_roles(call, {role}, account, user.id)


def take_two_for_roles(call: Call, roles: Collection[str], account: str, user_id: int) -> None:
    """Giving or taking one of these roles needs a second person if the rules list it; never the one whom it is about.

    Who is a second person is never decided by one, as soon as there is any rule.
    """
    call.about.add(user_id)
    decides = not MATRIX[Permission.APPROVAL_DECIDE].isdisjoint(roles)
    call.take_two(
        lambda rules: not rules.roles.isdisjoint(roles) or (decides and rules.any),
        users=[user_id],
        roles=sorted(roles),
        account=account,
    )
