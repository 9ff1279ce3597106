"""Tenants, projects, members, secrets, quotas and limits."""

from typing import Any

from api.http import two
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import Scout
from api.http.paging import Cursor, Limit
from api.http.routes.roles import take_two_for_roles
from api.http.schemas.base import Listing
from api.http.schemas.centre import (
    AccountPatch,
    LimitsIn,
    MemberIn,
    ProjectIn,
    ProjectOut,
    QuotaIn,
    QuotaOut,
    QuotasOut,
    SecretIn,
    SecretOut,
    TenantIn,
    TenantOut,
)
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission, Role
from domain.accounts import Account, AccountKind, Limits, Quota
from domain.errors import NotFound
from domain.quantities import MILLI, format_duration, parse_duration
from lifecycle import accounts, people, registrations
from lifecycle.accounts import CENTRE, account_named
from lifecycle.moves import change_checked
from lifecycle.policies import promises
from lifecycle.promises import Promise, promised
from lifecycle.registry import Extract

routes = Routes("accounts")


def show_tenants(call: Call, found: list[Account]) -> list[dict[str, Any]]:
    """In one query, however many they are."""
    numbers = call.uow.registrations.numbers([account.id for account in found])
    return [
        {
            "name": account.name, "title": account.title, "kind": account.tenant_kind, "sector": account.sector,
            "province": account.province, "state": account.state.value, "weight": account.weight,
            "registration": numbers.get(account.id), "version": account.version,
        }
        for account in found
    ]  # fmt: skip


def show_tenant(call: Call, account: Account) -> dict[str, Any]:
    return show_tenants(call, [account])[0]


def show_project(call: Call, account: Account) -> dict[str, Any]:
    tenant = call.directory.tree.tenant_of(account.id)
    return {
        "name": account.name, "tenant": tenant.name if tenant else CENTRE, "title": account.title,
        "state": account.state.value, "weight": account.weight, "version": account.version,
    }  # fmt: skip


def _listed(call: Call, kind: AccountKind, cursor: int | None, limit: int, tenant: str | None = None) -> list[Account]:
    """Accounts of a kind that the caller may see, by id, one more than ``limit``. A tenant is seen by its projects'."""
    visible = call.visible()
    tree = call.directory.tree
    found = []
    for account in sorted(tree.accounts.values(), key=lambda account: account.id):
        own = account.kind is kind and account.id > (cursor or 0)
        if not own or not (visible is None or account.id in visible):
            continue
        above = tree.tenant_of(account.id)
        if tenant is None or (above is not None and above.name == tenant):
            found.append(account)
    return found[: limit + 1]


def _page(found: list[Account], limit: int, shown: list[dict[str, Any]]) -> dict[str, Any]:
    more = len(found) > limit
    return {"items": shown[:limit], "next": str(found[limit - 1].id) if more else None}


def _ask_registry(scout: Scout, body: TenantIn) -> Extract | None:
    return None if body.registration is None else registrations.ask(scout.services.registry, body.registration)


@routes.post("/tenants", Permission.TENANT_WRITE, TenantOut, ahead=_ask_registry)
def add_tenant(call: Call, body: TenantIn) -> dict[str, Any]:
    """Admit an institution. With its `registration` number, what the centre's registry says of it need not be given."""
    call.need_centre()
    extract: Extract | None = call.ahead
    given = {"title": body.title, "kind": body.kind, "sector": body.sector, "province": body.province}
    call.facts |= registrations.facts(extract)
    return show_tenant(call, registrations.add(call.uow, body.name, extract, given, body.weight, call.now_ms))


@routes.get("/tenants", Permission.ACCOUNT_READ, Listing[TenantOut])
def list_tenants(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    found = _listed(call, AccountKind.TENANT, cursor, limit)
    return _page(found, limit, show_tenants(call, found))


@routes.get("/tenants/{name}", Permission.ACCOUNT_READ, TenantOut)
def get_tenant(call: Call, name: str) -> dict[str, Any]:
    account = _account(call, name, AccountKind.TENANT)
    call.version(account.version)
    return show_tenant(call, account)


@routes.patch("/tenants/{name}", Permission.TENANT_WRITE, TenantOut)
def change_tenant(call: Call, name: str, body: AccountPatch) -> dict[str, Any]:
    """Change its title, state or weight. A suspended tenant's waiting jobs are held; a closure is refused while it is in use.

    What a registry says of it is read-only (`registered-field`).
    """
    account = _account(call, name, AccountKind.TENANT)
    changed = change_checked(call.uow, account, call.if_match, **body.model_dump())
    call.version(changed.version)
    call.wakes = True
    return show_tenant(call, changed)


@routes.post("/projects", Permission.PROJECT_WRITE, ProjectOut, also={202: ApprovalOut})
def add_project(call: Call, body: ProjectIn) -> dict[str, Any]:
    call.need_any(call.directory.by_name.get(body.tenant), f"tenant {body.tenant}")
    project = accounts.add_project(call.uow, body.name, body.tenant, body.title, body.lead, body.weight, call.now_ms)
    if body.lead is not None:
        take_two_for_roles(call, {Role.LEAD}, project.name, people.user_named(call.uow, body.lead).id)
    return show_project(call, project)


@routes.get("/projects", Permission.ACCOUNT_READ, Listing[ProjectOut])
def list_projects(call: Call, cursor: Cursor = None, limit: Limit = 100, tenant: str | None = None) -> dict[str, Any]:
    found = _listed(call, AccountKind.PROJECT, cursor, limit, tenant)
    return _page(found, limit, [show_project(call, account) for account in found])


@routes.get("/projects/{name}", Permission.ACCOUNT_READ, ProjectOut)
def get_project(call: Call, name: str) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    call.version(account.version)
    return show_project(call, account)


@routes.patch("/projects/{name}", Permission.PROJECT_WRITE, ProjectOut)
def change_project(call: Call, name: str, body: AccountPatch) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    changed = change_checked(call.uow, account, call.if_match, **body.model_dump())
    call.version(changed.version)
    call.wakes = True
    return show_project(call, changed)


@routes.get("/projects/{name}/members", Permission.ACCOUNT_READ, Listing[MemberIn])
def list_members(call: Call, name: str) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    items = [{"user": user, "role": role} for user, role in call.uow.people.members(account.id, call.now_ms)]
    return {"items": items, "next": None}


@routes.post("/projects/{name}/members", Permission.MEMBER_WRITE, MemberIn, also={202: ApprovalOut})
def add_member(call: Call, name: str, body: MemberIn) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    user = accounts.set_member(call.uow, account, body.user, body.role, call.now_ms, body.until_ms)
    take_two_for_roles(call, {body.role}, name, user.id)
    return body.model_dump()


@routes.delete("/projects/{name}/members/{user}", Permission.MEMBER_WRITE, also={202: ApprovalOut})
def remove_member(call: Call, name: str, user: str) -> None:
    gone, taken = accounts.remove_member(call.uow, _account(call, name, AccountKind.PROJECT), user, call.now_ms)
    take_two_for_roles(call, taken, name, gone.id)


@routes.get("/projects/{name}/secrets", Permission.SECRET_WRITE, Listing[SecretOut])
def list_secrets(call: Call, name: str) -> dict[str, Any]:
    """Names only: a secret's value is never shown again."""
    account = _account(call, name, AccountKind.PROJECT)
    return {"items": [{"name": secret} for secret in call.uow.people.secrets(account.id)], "next": None}


@routes.get("/projects/{name}/secrets/{secret}", Permission.SECRET_WRITE, SecretOut)
def get_secret(call: Call, name: str, secret: str) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    if secret not in call.uow.people.secrets(account.id):
        raise NotFound(f"project {name} has no secret {secret[:80]!r}", "secret")
    return {"name": secret}


@routes.put("/projects/{name}/secrets/{secret}", Permission.SECRET_WRITE, SecretOut)
def put_secret(call: Call, name: str, secret: str, body: SecretIn) -> dict[str, Any]:
    account = _account(call, name, AccountKind.PROJECT)
    people.put_secret(call.uow, call.services.vault, account, secret, body.value)
    return {"name": secret}


@routes.delete("/projects/{name}/secrets/{secret}", Permission.SECRET_WRITE)
def delete_secret(call: Call, name: str, secret: str) -> None:
    people.delete_secret(call.uow, _account(call, name, AccountKind.PROJECT), secret)


@routes.get("/quotas", Permission.ACCOUNT_READ, QuotasOut)
def list_quotas(call: Call, account: str | None = None) -> dict[str, Any]:
    """Quotas with what is held against them, of one account or of all that the caller may see, and of those above them,
    since they bind as well.

    Whoever sees all of them is told how much of each flavor is guaranteed in all and how much there is, and warned of
    those of which more is guaranteed.
    """
    visible = call.visible()
    directory = call.directory
    held = directory.tree.with_totals(call.uow.accounts.held())
    binding = {above for one in visible or () for above in directory.tree.path(one)}
    wanted = None if account is None else account_named(directory, account).id
    if account is not None and visible is not None and wanted not in binding:
        raise NotFound(f"there is no account {account[:80]!r}", "account")
    items = [
        _show_quota(call, account_id, flavor, quota, held)
        for (account_id, flavor), quota in sorted(directory.tree.quotas.items())
        if (visible is None or account_id in binding) and wanted in {None, account_id}
    ]
    return {
        "items": items,
        "next": None,
        "warnings": promises(directory) if visible is None else [],
        "promises": [_show_promise(call, one) for one in promised(directory)] if visible is None else [],
    }


@routes.get("/quotas/{account}/{flavor}", Permission.ACCOUNT_READ, QuotaOut)
def get_quota(call: Call, account: str, flavor: str) -> dict[str, Any]:
    found = _account(call, account)
    quota = call.directory.tree.quotas.get((found.id, flavor))
    if quota is None:
        raise NotFound(f"{account} has no quota of {flavor[:80]!r}", "flavor")
    call.version(call.uow.accounts.quota_version(found.id, flavor))
    return _show_quota(call, found.id, flavor, quota, _held(call))


@routes.put("/quotas/{account}/{flavor}", Permission.QUOTA_WRITE, QuotaOut, also={202: ApprovalOut})
def put_quota(call: Call, account: str, flavor: str, body: QuotaIn) -> dict[str, Any]:
    """Set how much of the flavor the account may hold at one time. Takes effect with the next start.

    The flavor `total` caps the GPUs of all flavors together: `borrow_limit` alone. Guarantees beyond what there is are
    refused (`overcommitted`) unless `overcommit` is true.
    """
    found = _account(call, account)
    milli = _unit(call, flavor)
    limits = (body.guaranteed, body.borrow_limit, body.lend_limit)
    guaranteed, borrow, lend = (None if value is None else value * milli for value in limits)
    quota, before = Quota(guaranteed or 0, borrow, lend), call.directory.tree.quotas.get((found.id, flavor))
    accounts.put_quota(call.uow, found, flavor, quota, call.if_match, overcommit=body.overcommit)
    two.for_quota(call, account, flavor, before, quota)
    call.version(call.uow.accounts.quota_version(found.id, flavor))
    call.wakes = True
    return _show_quota(call, found.id, flavor, quota, _held(call))


@routes.delete("/quotas/{account}/{flavor}", Permission.QUOTA_WRITE, also={202: ApprovalOut})
def delete_quota(call: Call, account: str, flavor: str) -> None:
    found = _account(call, account)
    if (found.id, flavor) not in call.directory.tree.quotas:
        raise NotFound(f"{account} has no quota of {flavor[:80]!r}", "flavor")
    accounts.check_version(call.uow.accounts.quota_version(found.id, flavor), call.if_match)
    two.for_quota(call, account, flavor, call.directory.tree.quotas[found.id, flavor], None)
    call.uow.accounts.delete_quota(found.id, flavor)
    call.wakes = True


@routes.get("/limits/{account}", Permission.ACCOUNT_READ, LimitsIn)
def get_limits(call: Call, account: str) -> dict[str, Any]:
    found = _account(call, account)
    call.version(found.version)
    return _show_limits(found.limits)


@routes.put("/limits/{account}", Permission.QUOTA_WRITE, LimitsIn)
def put_limits(call: Call, account: str, body: LimitsIn) -> dict[str, Any]:
    found = _account(call, account)
    walltime_ms = None if body.walltime is None else parse_duration(body.walltime, "walltime")
    limits = Limits(
        body.running_jobs,
        body.queued_jobs,
        body.gpus_per_job,
        walltime_ms,
        body.user_running_jobs,
        body.user_queued_jobs,
        body.submissions_per_minute,
        body.user_submissions_per_minute,
    )
    accounts.set_limits(call.uow, found, limits, call.if_match)
    call.version(found.version + 1)
    call.wakes = True
    return _show_limits(limits)


def _account(call: Call, name: str, kind: AccountKind | None = None) -> Account:
    """The account, once the caller may do with it what the route does."""
    try:
        account = account_named(call.directory, name, kind)
    except NotFound:
        call.checked = True
        raise
    call.need(account, f"{kind or 'account'} {name[:80]!r}")
    return account


def _show_quota(
    call: Call, account_id: int, flavor: str, quota: Quota, held: dict[tuple[int, str], int]
) -> dict[str, Any]:
    directory, milli, holds = call.directory, _unit(call, flavor), held.get((account_id, flavor), 0)
    return {
        "account": directory.tree.accounts[account_id].name,
        "flavor": flavor,
        "guaranteed": quota.guaranteed // milli,
        "borrow_limit": None if quota.borrow_limit is None else quota.borrow_limit // milli,
        "lend_limit": None if quota.lend_limit is None else quota.lend_limit // milli,
        "held": holds / milli if holds % milli else holds // milli,
    }


def _show_promise(call: Call, one: Promise) -> dict[str, Any]:
    unit = _unit(call, one.flavor)
    return {
        "flavor": one.flavor,
        "guaranteed": one.guaranteed // unit,
        "capacity": one.capacity // unit,
        "free": one.free // unit,
    }


def _unit(call: Call, flavor: str) -> int:
    """Thousandths of a device of the flavor; of a whole GPU for all flavors together."""
    known = call.directory.flavors.get(flavor)
    return MILLI if known is None else known.milli


def _held(call: Call) -> dict[tuple[int, str], int]:
    return call.directory.tree.with_totals(call.uow.accounts.held())


def _show_limits(limits: Limits) -> dict[str, Any]:
    return {
        "running_jobs": limits.running_jobs,
        "queued_jobs": limits.queued_jobs,
        "gpus_per_job": limits.gpus_per_job,
        "walltime": None if limits.walltime_ms is None else format_duration(limits.walltime_ms),
        "user_running_jobs": limits.user_running_jobs,
        "user_queued_jobs": limits.user_queued_jobs,
        "submissions_per_minute": limits.submissions_per_minute,
        "user_submissions_per_minute": limits.user_submissions_per_minute,
    }
