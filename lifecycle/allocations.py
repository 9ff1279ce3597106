"""Allocations, which draw on grants. Each posts its transaction with its row."""

from domain.allocations import Allocation, Source
from domain.errors import Invalid, Refused
from domain.quantities import format_su
from lifecycle.grants import check_amount
from lifecycle.ports import UnitOfWork
from lifecycle.submit import project_of
from quotas import funding


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
    check_amount(allocation.micro_su, "sources", starts_ms, ends_ms)
    allocation = uow.allocations.add(allocation)
    uow.ledger.post([funding.allocate(allocation, now_ms)], {})
    return allocation


def _source(uow: UnitOfWork, position: int, name: str, micro_su: int, starts_ms: int, ends_ms: int) -> Source:
    field = f"sources.{position}"
    grant = uow.grants.grant_named(name)
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
