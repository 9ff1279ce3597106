"""Grants in money: what steps write about SU of grants passes through here on its way to the ledger."""

from collections.abc import Sequence

from domain.grants import Bargain, Grant
from domain.money import Transaction
from lifecycle.ports import UnitOfWork
from lifecycle.prices import price_of
from quotas.exchange import Key, affordable, exchange, touched


def exchanged(uow: UnitOfWork, transactions: Sequence[Transaction], now_ms: int) -> list[Transaction]:
    """The same transactions with money where their grants are in money: to be posted instead.

    Of transactions that give SU of grants to allocations, or back, or from one to another. Raises Invalid where an SU has
    no price in force.
    """
    keys = touched(transactions)
    units = uow.grants.currencies({grant for _, grant in keys})
    if not units:
        return list(transactions)
    bargains = uow.budgets.bargains([key for key in keys if key[1] in units], lock=True)

    def price(allocation_id: int, unit: str) -> int:
        allocation = uow.allocations.get(allocation_id)
        assert allocation is not None, f"allocation {allocation_id} is written before its money moves"
        return price_of(uow.directory(), allocation.project_id, unit, now_ms)

    made: list[Transaction] = []
    changed: dict[Key, Bargain] = {}
    for transaction in transactions:
        one, after = exchange(transaction, units, bargains, price)
        bargains |= after
        changed |= after
        made.append(one)
    uow.budgets.keep_bargains(list(changed.values()))
    return made


def left_for(uow: UnitOfWork, grant: Grant, project_id: int, now_ms: int) -> int:
    """The micro-SU that the project could be given of the grant now; nobody else takes of it until the transaction ends."""
    left = uow.ledger.grant_balances([grant.id], lock=True).get(grant.id, 0)
    if grant.currency is None:
        return left
    return affordable(left, price_of(uow.directory(), project_id, grant.currency, now_ms))
