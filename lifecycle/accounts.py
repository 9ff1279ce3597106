"""Tenants and projects, their members, quotas and limits."""

from dataclasses import replace

from domain.access import Role
from domain.accounts import MOST_DEEP, TENANT_KINDS, TOTAL, Account, AccountKind, AccountState, Limits, Quota
from domain.errors import Conflict, Invalid, NotFound, Refused, Stale
from domain.people import User
from lifecycle.people import check_active
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.promises import check_promises
from lifecycle.registry import check_own
from lifecycle.words import check_line, check_name, check_title

CENTRE = "centre"
_MOST = 10**12  # the most of anything that a quota or limit may say: far above any centre, far below the column


def account_named(directory: Directory, name: str, kind: AccountKind | None = None) -> Account:
    """The account of that name (and kind). Raises NotFound."""
    account = directory.by_name.get(name)
    if account is None or (kind is not None and account.kind is not kind):
        raise NotFound(f"there is no {kind or 'account'} {name[:80]!r}", "account" if kind is None else kind.value)
    return account


def add_tenant(
    uow: UnitOfWork, name: str, title: str, kind: str, sector: str | None, province: str | None, weight: int
) -> Account:
    directory = uow.directory()
    if kind not in TENANT_KINDS:
        raise Invalid(f"{kind[:80]!r} is no kind of tenant", "kind", fix=f"use one of {', '.join(TENANT_KINDS)}")
    check_new(directory, name)
    check_title(title)
    centre = directory.by_name[CENTRE]
    return uow.accounts.add(
        Account(
            0, centre.id, AccountKind.TENANT, name, title,
            weight=weight, tenant_kind=kind, sector=sector, province=province,
        )
    )  # fmt: skip


def add_project(
    uow: UnitOfWork, name: str, tenant: str, title: str, lead: str | None, weight: int, now_ms: int = 0
) -> Account:
    """A project of a tenant, or of a group within one; ``lead``, if any, becomes its lead at ``now_ms``."""
    directory = uow.directory()
    parent = directory.by_name.get(tenant)
    if parent is None or directory.tree.tenant_of(parent.id) is None or parent.kind is AccountKind.PROJECT:
        raise Invalid(
            f"there is no tenant, nor a group of one, {tenant[:80]!r}", "tenant", fix="see baray admin account list"
        )
    if len(directory.path_of(parent)) >= MOST_DEEP:
        raise Refused(f"the tree would be deeper than {MOST_DEEP} accounts", "tenant", code="misplaced-account")
    check_new(directory, name)
    check_line(title)
    project = uow.accounts.add(Account(0, parent.id, AccountKind.PROJECT, name, title, weight=weight))
    if lead is not None:
        who = _user(uow, lead, "lead")
        check_active(who, "lead")
        uow.people.grant(who.id, project.id, Role.LEAD, now_ms)
    return project


def change(
    uow: UnitOfWork,
    account: Account,
    expected: int | None,
    *,
    title: str | None = None,
    state: str | None = None,
    weight: int | None = None,
) -> Account:
    """Change what is given. ``expected`` is the version that the caller saw, if they said so."""
    check_version(account.version, expected)
    if state is not None and state not in set(AccountState):
        raise Invalid(f"{state[:40]!r} is no state", "state", fix=f"use one of {', '.join(AccountState)}")
    if title is not None:
        (check_title if account.kind is AccountKind.TENANT else check_line)(title)
        check_own(uow.registrations, account, {"title": title})
    changed = replace(
        account,
        title=account.title if title is None else title,
        state=account.state if state is None else AccountState(state),
        weight=account.weight if weight is None else weight,
    )
    return uow.accounts.update(changed)


def set_member(
    uow: UnitOfWork, account: Account, user: str, role: str, now_ms: int, until_ms: int | None = None
) -> User:
    """Give a user a role on a project, until a time or without an end: lead or member."""
    if role not in {Role.LEAD, Role.MEMBER}:
        raise Invalid(f"{role[:40]!r} is no role in a project", "role", fix="use lead or member")
    if until_ms is not None and until_ms <= now_ms:
        raise Invalid("the role would have ended already", "until_ms", fix="choose a time to come, or leave it out")
    found = _user(uow, user, "user")
    check_active(found, "user")
    uow.people.grant(found.id, account.id, role, now_ms, until_ms)
    return found


def remove_member(uow: UnitOfWork, account: Account, user: str, now_ms: int) -> tuple[User, frozenset[str]]:
    """Answers who it was, and the roles that were taken."""
    found = _user(uow, user, "user")
    gone = {role.value for role in (Role.LEAD, Role.MEMBER) if uow.people.revoke(found.id, account.id, role, now_ms)}
    if not gone:
        raise NotFound(f"{user} is no member of {account.name}", "user")
    return found, frozenset(gone)


def put_quota(
    uow: UnitOfWork, account: Account, flavor: str, quota: Quota, expected: int | None, *, overcommit: bool = False
) -> None:
    """Set the account's quota of a flavor; what is held already stays held, nothing more starts above it.

    ``total`` instead of a flavor caps the GPUs of all of them together. More than there is may be guaranteed only if
    ``overcommit`` says so.
    """
    directory = uow.directory()
    if flavor not in directory.flavors and flavor != TOTAL:
        raise NotFound(f"there is no flavor {flavor[:80]!r}", "flavor")
    if flavor == TOTAL and (quota.guaranteed or quota.lend_limit is not None or quota.borrow_limit is None):
        field = "borrow_limit" if quota.borrow_limit is None else "guaranteed" if quota.guaranteed else "lend_limit"
        raise Invalid(
            f"the quota {TOTAL} is a cap on all flavors together: it guarantees and lends nothing",
            field, fix="give borrow_limit alone: the most GPUs at one time",
        )  # fmt: skip
    check_version(uow.accounts.quota_version(account.id, flavor), expected)
    for field in ("guaranteed", "borrow_limit", "lend_limit"):
        value = getattr(quota, field)
        if value is not None and not 0 <= value <= _MOST:
            raise Invalid(f"{value} is out of bounds", field, fix=f"use 0 to {_MOST}, or null for no limit")
    if not overcommit:
        check_promises(directory, directory.tree.with_quota(account.id, flavor, quota))
    uow.accounts.put_quota(account.id, flavor, quota)


def set_limits(uow: UnitOfWork, account: Account, limits: Limits, expected: int | None) -> None:
    check_version(account.version, expected)
    uow.accounts.set_limits(account.id, limits)


def check_version(version: int, expected: int | None) -> None:
    """``If-Match``: raises Stale if the caller saw another version."""
    if expected is not None and expected != version:
        raise Stale(f"it was changed meanwhile: version {version}, not {expected}", fix="read it again, then repeat")


def check_new(directory: Directory, name: str) -> None:
    check_name(name)
    if name in directory.by_name:
        raise Conflict(
            f"there is an account {name!r} already", "name", fix="choose another name", code="already-exists"
        )


def _user(uow: UnitOfWork, name: str, field: str) -> User:
    user = uow.people.user(name)
    if user is None:
        raise Invalid(f"there is no user {name[:80]!r}", field, fix="see baray admin user list")
    return user
