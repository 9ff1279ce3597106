"""Grants of funders, and allocations that draw on them. Each posts its transaction with its row."""

from dataclasses import replace

from domain.errors import Conflict, Invalid, Refused
from domain.money import Allocation, Funder, Grant, Source
from domain.quantities import MICRO, format_su
from lifecycle.ports import UnitOfWork
from lifecycle.submit import project_of
from lifecycle.words import check_name
from quotas import ledger

_SU_MOST = 10**9 * MICRO  # a thousand million SU


def add_funder(uow: UnitOfWork, name: str, title: str) -> Funder:
    check_name(name)
    if uow.money.funder(name) is not None:
        raise Conflict(f"there is a funder {name!r} already", "name", code="already-exists")
    return uow.money.add_funder(name, title)


def add_grant(
    uow: UnitOfWork, name: str, funder: str, micro_su: int, starts_ms: int, ends_ms: int, now_ms: int
) -> Grant:
    check_name(name)
    found = uow.money.funder(funder)
    if found is None:
        raise Invalid(f"there is no funder {funder[:80]!r}", "funder", fix="see baray admin funder list")
    if uow.money.grant_named(name) is not None:
        raise Conflict(f"there is a grant {name!r} already", "name", code="already-exists")
    _check(micro_su, "su", starts_ms, ends_ms)
    grant = uow.money.add_grant(Grant(0, name, found.id, micro_su, starts_ms, ends_ms))
    uow.ledger.post([ledger.fund(grant, now_ms)], {})
    return grant


def add_allocation(
    uow: UnitOfWork, project: str, sources: list[tuple[str, int]], starts_ms: int, ends_ms: int, now_ms: int
) -> Allocation:
    """An allocation paid by parts of grants. Refused if a grant has less left than its part."""
    account = project_of(uow.directory(), project)
    if not sources:
        raise Invalid("an allocation needs a grant that pays it", "sources")
    paid = [
        _source(uow, position, name, micro_su, starts_ms, ends_ms) for position, (name, micro_su) in enumerate(sources)
    ]
    if len({source.grant_id for source in paid}) < len(paid):
        raise Invalid("a grant is named twice", "sources", fix="add its parts up")
    allocation = Allocation(0, account.id, tuple(paid), starts_ms, ends_ms)
    _check(allocation.micro_su, "sources", starts_ms, ends_ms)
    allocation = uow.money.add_allocation(allocation)
    uow.ledger.post([ledger.allocate(replace(allocation), now_ms)], {})
    return allocation


def _source(uow: UnitOfWork, position: int, name: str, micro_su: int, starts_ms: int, ends_ms: int) -> Source:
    field = f"sources.{position}"
    grant = uow.money.grant_named(name)
    if grant is None:
        raise Invalid(f"there is no grant {name[:80]!r}", f"{field}.grant", fix="see baray admin grant list")
    if micro_su <= 0:
        raise Invalid("a grant's part is more than 0 SU", f"{field}.su")
    if starts_ms < grant.starts_ms or ends_ms > grant.ends_ms:
        raise Invalid(f"grant {name} does not cover all of the allocation's time", f"{field}.grant")
    left = uow.ledger.grant_balances([grant.id], lock=True).get(grant.id, 0)
    if micro_su > left:
        raise Refused(
            f"grant {name} has {format_su(left)} SU left, not {format_su(micro_su)}",
            f"{field}.su", fix=f"take {format_su(left)} SU or less", code="grant-exceeded",
        )  # fmt: skip
    return Source(grant.id, micro_su)


def _check(micro_su: int, field: str, starts_ms: int, ends_ms: int) -> None:
    if not 0 < micro_su <= _SU_MOST:
        raise Invalid(f"the amount must be above 0 and at most {format_su(_SU_MOST)} SU", field)
    if ends_ms <= starts_ms:
        raise Invalid("it ends before it starts", "ends_ms", fix="give an end after the start")
