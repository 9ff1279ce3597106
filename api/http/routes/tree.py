"""The account tree as a whole: every account with its place, groups, and moves."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing
from api.http.schemas.centre import AccountOut, AccountPatch, GroupIn, MoveIn
from domain.access import Permission
from domain.accounts import Account
from domain.errors import NotFound
from lifecycle import moves
from lifecycle.accounts import account_named

routes = Routes("accounts")


@routes.get("/accounts", Permission.ACCOUNT_READ, Listing[AccountOut])
def list_accounts(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every account that the caller may see: the centre, tenants, groups and projects."""
    visible, tree = call.visible(), call.directory.tree
    found = [
        account
        for account in sorted(tree.accounts.values(), key=lambda account: account.id)
        if account.id > (cursor or 0) and (visible is None or account.id in visible)
    ]
    return {
        "items": [_show(call, account) for account in found[:limit]],
        "next": str(found[limit - 1].id) if len(found) > limit else None,
    }


@routes.post("/accounts", Permission.PROJECT_WRITE, AccountOut)
def add_account(call: Call, body: GroupIn) -> dict[str, Any]:
    """A group of accounts under the centre, a tenant or another group. Tenants and projects have routes of their own."""
    call.need_any(call.directory.by_name.get(body.under), f"account {body.under}")
    return _show(call, moves.add_group(call.uow, body.name, body.under, body.title, body.weight))


@routes.get("/accounts/{name}", Permission.ACCOUNT_READ, AccountOut)
def get_account(call: Call, name: str) -> dict[str, Any]:
    account = _account(call, name)
    call.need(account, f"account {name[:80]!r}")
    call.version(account.version)
    return _show(call, account)


@routes.patch("/accounts/{name}", Permission.PROJECT_WRITE, AccountOut)
def change_account(call: Call, name: str, body: AccountPatch) -> dict[str, Any]:
    """Change its title, state or weight: the right of whoever manages what it is under."""
    account = _managed(call, name)
    changed = moves.change_checked(call.uow, account, call.if_match, **body.model_dump())
    call.version(changed.version)
    call.wakes = True
    return _show(call, changed)


@routes.post("/accounts/{name}/move", Permission.PROJECT_WRITE, AccountOut, status=200)
def move_account(call: Call, name: str, body: MoveIn) -> dict[str, Any]:
    """Hang it, with all below it, under another account. What it holds counts there from then on, and so does its usage.

    Refused if it would be above itself, out of place (`misplaced-account`), or above a quota there (`quota-exceeded`).
    """
    call.uow.take_turn()  # before anything of the tree is read
    _managed(call, name)
    call.need_any(call.directory.by_name.get(body.under), f"account {body.under}")
    moved = moves.move(call.uow, name, body.under, call.if_match, call.now_ms, overcommit=body.overcommit)
    call.version(moved.version)
    call.wakes = True
    return _show(call, moved)


def _account(call: Call, name: str) -> Account:
    try:
        return account_named(call.directory, name)
    except NotFound:
        call.checked = True
        raise


def _managed(call: Call, name: str) -> Account:
    """The account, once the caller may manage what is directly below its parent."""
    account = _account(call, name)
    if account.parent_id is None:
        call.need_centre()
    else:
        call.need(call.directory.tree.accounts[account.parent_id], f"account {name[:80]!r}")
    return account


def _show(call: Call, account: Account) -> dict[str, Any]:
    accounts = call.directory.tree.accounts
    return {
        "name": account.name,
        "kind": account.kind.value,
        "under": None if account.parent_id is None else accounts[account.parent_id].name,
        "path": "/".join(accounts[one].name for one in reversed(call.directory.path_of(accounts[account.id]))),
        "title": account.title,
        "state": account.state.value,
        "weight": account.weight,
        "version": account.version,
    }
