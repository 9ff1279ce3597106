"""Prices: what SU cost in money. Each is in force from its date until the next of its currency and kind of tenant."""

from collections.abc import Iterable

from domain.prices import Price
from domain.quantities import MICRO


def price_at(prices: Iterable[Price], currency: str, tenant_kind: str | None, now_ms: int) -> int | None:
    """Millionths of the currency for one SU, now: the tenant kind's own price, else the one for all; None if none began."""
    begun = [price for price in prices if price.currency == currency and price.from_ms <= now_ms]
    for kind in (tenant_kind, None):
        own = [price for price in begun if price.tenant_kind == kind]
        if own:
            return max(own, key=lambda price: price.from_ms).amount
    return None


def prices_at(prices: Iterable[Price], tenant_kind: str | None, now_ms: int) -> dict[str, int]:
    """The price in force in every currency that has one, by currency in alphabetical order."""
    prices = tuple(prices)
    found = {code: price_at(prices, code, tenant_kind, now_ms) for code in sorted({one.currency for one in prices})}
    return {code: amount for code, amount in found.items() if amount is not None}


def cost(micro_su: int, price: int) -> int:
    """Millionths of the currency for so many micro-SU, rounded up: an SU never goes below its price."""
    return -(-micro_su * price // MICRO)
