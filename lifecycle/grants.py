"""Funders and their grants. A grant posts its transaction with its row."""

from domain.errors import Conflict, Invalid
from domain.money import Funder, Grant
from domain.quantities import MICRO, format_su
from lifecycle.ports import UnitOfWork
from lifecycle.words import check_name
from quotas import funding

_SU_MOST = 10**9 * MICRO  # a thousand million SU


def add_funder(uow: UnitOfWork, name: str, title: str) -> Funder:
    check_name(name)
    if uow.grants.funder(name) is not None:
        raise Conflict(f"there is a funder {name!r} already", "name", code="already-exists")
    return uow.grants.add_funder(name, title)


def add_grant(
    uow: UnitOfWork, name: str, funder: str, micro_su: int, starts_ms: int, ends_ms: int, now_ms: int
) -> Grant:
    check_name(name)
    found = uow.grants.funder(funder)
    if found is None:
        raise Invalid(f"there is no funder {funder[:80]!r}", "funder", fix="see baray admin funder list")
    if uow.grants.grant_named(name) is not None:
        raise Conflict(f"there is a grant {name!r} already", "name", code="already-exists")
    check_amount(micro_su, "su", starts_ms, ends_ms)
    grant = uow.grants.add_grant(Grant(0, name, found.id, micro_su, starts_ms, ends_ms))
    uow.ledger.post([funding.fund(grant, now_ms)], {})
    return grant


def check_amount(micro_su: int, field: str, starts_ms: int, ends_ms: int) -> None:
    """Raises Invalid for an amount or a span of time that no grant or allocation can have."""
    if not 0 < micro_su <= _SU_MOST:
        raise Invalid(f"the amount must be above 0 and at most {format_su(_SU_MOST)} SU", field)
    if ends_ms <= starts_ms:
        raise Invalid("it ends before it starts", "ends_ms", fix="give an end after the start")
