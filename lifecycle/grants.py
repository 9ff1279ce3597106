"""Funders and their grants. A grant posts its transaction with its row."""

from domain.accounts import AccountKind, AccountState
from domain.errors import Conflict, Fault, Invalid
from domain.grants import Grant, GrantState
from domain.jobs import CLASSIFICATIONS
from domain.money import MICRO_SU, Funder
from domain.prices import MONEY_MOST, check_currency
from domain.purses import ANYTHING, Conditions
from domain.quantities import MICRO, format_su
from lifecycle.accounts import check_version
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.words import check_name, check_title
from quotas import funding

_SU_MOST = 10**9 * MICRO  # a thousand million SU


def add_funder(uow: UnitOfWork, name: str, title: str) -> Funder:
    check_name(name)
    if uow.grants.funder(name) is not None:
        raise Conflict(f"there is a funder {name!r} already", "name", code="already-exists")
    check_title(title)
    return uow.grants.add_funder(name, title)


def add_grant(
    uow: UnitOfWork, name: str, funder: str, amount: int, starts_ms: int, ends_ms: int, now_ms: int, *,
    currency: str | None = None, conditions: Conditions = ANYTHING,
) -> Grant:  # fmt: skip
    """A grant of so many millionths of an SU, or of a currency's unit."""
    check_name(name)
    found = uow.grants.funder(funder)
    if found is None:
        raise Invalid(f"there is no funder {funder[:80]!r}", "funder", fix="see baray admin funder list")
    if uow.grants.grant_named(name) is not None:
        raise Conflict(f"there is a grant {name!r} already", "name", code="already-exists")
    if currency is None:
        check_amount(amount, "su", starts_ms, ends_ms)
    else:
        check_currency(currency, "currency")
        if not 0 < amount <= MONEY_MOST:
            raise Invalid(f"the amount must be above 0 and at most {format_su(MONEY_MOST)} {currency}", "amount")
        _check_span(starts_ms, ends_ms)
    _check_conditions(uow.directory(), conditions)
    unit = currency or MICRO_SU
    grant = uow.grants.add_grant(
        Grant(0, name, found.id, amount, starts_ms, ends_ms, unit=unit, conditions=conditions)
    )  # fmt: skip
    uow.ledger.post([funding.fund(grant, now_ms)], {})
    return grant


def change_state(uow: UnitOfWork, grant: Grant, state: str, expected: int | None) -> Grant:
    """Suspend a grant, let it go on, or close it for good. What was allocated of it goes on."""
    check_version(grant.version, expected)
    if state not in set(GrantState):
        raise Invalid(f"{state[:40]!r} is no state of a grant", "state", fix=f"use one of {', '.join(GrantState)}")
    if grant.state is GrantState.CLOSED:
        raise Conflict(f"grant {grant.name} is closed", "state", fix="add another grant", code="wrong-state")
    return uow.grants.set_state(grant, GrantState(state))


def check_grant(directory: Directory, grant: Grant, project_id: int, field: str) -> None:
    """May the project be given anything of the grant? Raises Conflict: the grant's state, the project's, or its sector."""
    closed = [
        account
        for one in directory.tree.path(project_id)
        if (account := directory.tree.accounts[one]).state is AccountState.CLOSED
    ]
    if closed:
        message = f"{closed[0].kind} {closed[0].name} is closed and is given nothing more"
        raise Conflict(message, "project", fix="name a project that is open", code="account-closed")
    if grant.state is not GrantState.ACTIVE:
        fix = "name another grant, or ask the centre to resume it"
        raise Conflict(f"grant {grant.name} is {grant.state}", field, fix=fix, code="wrong-state")
    sectors = grant.conditions.sectors
    tenant = directory.tree.tenant_of(project_id)
    sector = None if tenant is None else tenant.sector
    if sectors and sector not in sectors:
        who = "the centre itself" if tenant is None else f"{tenant.name} is in {sector or 'no sector'}, and"
        raise Conflict(
            f"{who} grant {grant.name} pays only for tenants in {' or '.join(sectors)}",
            field, fix="name another grant", code="grant-conditions",
        )  # fmt: skip


def check_amount(micro_su: int, field: str, starts_ms: int, ends_ms: int) -> None:
    """Raises Invalid for an amount or a span of time that no grant or allocation can have."""
    if not 0 < micro_su <= _SU_MOST:
        raise Invalid(f"the amount must be above 0 and at most {format_su(_SU_MOST)} SU", field)
    _check_span(starts_ms, ends_ms)


def _check_span(starts_ms: int, ends_ms: int) -> None:
    if ends_ms <= starts_ms:
        raise Invalid("it ends before it starts", "ends_ms", fix="give an end after the start")


def _check_conditions(directory: Directory, conditions: Conditions) -> None:
    """Raises Invalid with everything in the conditions that nobody knows."""
    sectors = {a.sector for a in directory.tree.accounts.values() if a.kind is AccountKind.TENANT and a.sector}
    known = (("flavors", set(directory.flavors), "flavor"), ("sectors", sectors, "tenant in sector"))
    faults = [
        Fault(f"there is no {word} {name[:80]!r}", f"conditions.{field}", f"use of: {', '.join(sorted(names)) or '-'}")
        for field, names, word in known
        for name in getattr(conditions, field)
        if name not in names
    ]
    asked = conditions.classification
    if asked is not None and asked not in CLASSIFICATIONS:
        fix = f"use one of {', '.join(CLASSIFICATIONS)}"
        faults.append(Fault(f"{asked[:80]!r} is no class of data", "conditions.classification", fix))
    if faults:
        raise Invalid.many(faults)
