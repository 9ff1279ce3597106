"""Tenants that a registry vouches for: added with, bound to and refreshed by what it answers.

The registry is asked before the transaction begins; here is only what its answer does.
"""

from collections.abc import Mapping
from dataclasses import replace

from domain.accounts import Account
from domain.errors import Conflict, Fault, Invalid, NotFound, Refused
from lifecycle.accounts import add_tenant, check_version
from lifecycle.ports import UnitOfWork
from lifecycle.registry import Extract, Registration, Registry, check_number, told


def ask(registry: Registry | None, number: str) -> Extract:
    """What the registry says of a number. Raises Refused if the centre has none."""
    check_number(number)
    if registry is None:
        raise Refused(
            "the centre asks no registry: none is configured",
            "registration", fix="give title and kind yourself, or have BARAY_REGISTRY_URL set", code="no-registry",
        )  # fmt: skip
    return registry.fetch(number)


def kept(uow: UnitOfWork, account: Account) -> Registration:
    """Where the filled fields of the tenant come from. Raises NotFound."""
    found = uow.registrations.get(account.id)
    if found is None:
        raise NotFound(
            f"tenant {account.name} has no registration",
            "registration", fix=f"baray admin tenant set {account.name} --registration NUMBER",
        )  # fmt: skip
    return found


def facts(extract: Extract | None) -> dict[str, str]:
    """What the audit trail keeps of an answer."""
    if extract is None:
        return {}
    return {
        "registry": extract.registry, "registration": extract.number, "message_id": extract.message_id,
        "answer_sha256": extract.sha256,
    }  # fmt: skip


def add(
    uow: UnitOfWork, name: str, extract: Extract | None, given: Mapping[str, str | None], weight: int, now_ms: int
) -> Account:
    """Admit an institution; by what the registry says of it, if it was asked, and what the caller says of the rest."""
    if extract is not None:
        uow.take_turn()
        _check_in_force(extract)
        _check_free(uow, extract, None)
    values = _filled(extract, given)
    title, kind = values["title"], values["kind"]
    assert title is not None
    assert kind is not None
    account = add_tenant(uow, name, title, kind, values["sector"], values["province"], weight)
    if extract is not None:
        uow.registrations.put(Registration(account.id, extract, now_ms))
    return account


def bind(uow: UnitOfWork, account: Account, extract: Extract, expected: int | None, now_ms: int) -> Account:
    """Bind a tenant that is there to a number: what the registry says replaces what was there."""
    _check_in_force(extract)
    return _take_over(uow, account, extract, expected, now_ms)


def refresh(uow: UnitOfWork, account: Account, extract: Extract, expected: int | None, now_ms: int) -> Account:
    """Take over what the registry says now, its word for an end too: whether that suspends the tenant is for people."""
    if kept(uow, account).extract.number != extract.number:
        raise Conflict(f"the registration of {account.name} was changed meanwhile", fix="read it again, then repeat")
    return _take_over(uow, account, extract, expected, now_ms)


def _take_over(uow: UnitOfWork, account: Account, extract: Extract, expected: int | None, now_ms: int) -> Account:
    uow.take_turn()
    account = uow.directory().tree.accounts[account.id]
    check_version(account.version, expected)
    _check_free(uow, extract, account.id)
    says = {**told(account), **extract.fields}
    title = says["title"]
    assert title is not None
    changed = replace(
        account, title=title, tenant_kind=says["kind"], sector=says["sector"], province=says["province"]
    )  # fmt: skip
    uow.registrations.put(Registration(account.id, extract, now_ms))
    return account if changed == account else uow.accounts.update(changed)


def _filled(extract: Extract | None, given: Mapping[str, str | None]) -> dict[str, str | None]:
    says = {} if extract is None else extract.fields
    source = "" if extract is None else f"the registry {extract.registry}"
    faults = [
        Fault(f"{source} says {says[field][:80]!r}", field, "leave it out")
        for field, value in given.items()
        if value is not None and field in says and value != says[field]
    ]
    missing = "is missing" if extract is None else f"is missing: {source} does not tell it"
    faults += [
        Fault(missing, field, "give it")
        for field in ("title", "kind")
        if given.get(field) is None and field not in says
    ]  # fmt: skip
    if faults:
        raise Invalid.many(faults)
    return {**given, **says}


def _check_in_force(extract: Extract) -> None:
    if not extract.in_force:
        raise Refused(
            f"the registry {extract.registry} says that number {extract.number} is {(extract.status or '')[:80]!r}",
            "registration", fix="ask the institution for the number that is in force", code="registration-not-in-force",
        )  # fmt: skip


def _check_free(uow: UnitOfWork, extract: Extract, tenant_id: int | None) -> None:
    holder = uow.registrations.holder(extract.registry, extract.number)
    if holder is not None and holder != tenant_id:
        name = uow.directory().tree.accounts[holder].name
        raise Conflict(
            f"tenant {name} has the registration {extract.number} already",
            "registration", fix="an institution is one tenant: use that one", code="already-exists",
        )  # fmt: skip
