"""The rate card in money: dated prices of an SU by kind of tenant. Rows are added, never changed."""

from domain.accounts import TENANT_KINDS, AccountKind
from domain.errors import Conflict, Invalid
from domain.people import Caller
from domain.prices import PRICE_MOST, Price, check_currency
from domain.quantities import DAY_MS, format_su
from lifecycle.ports import Directory, UnitOfWork
from quotas.prices import price_at, prices_at

_AHEAD_MS = 3_650 * DAY_MS


def set_price(
    uow: UnitOfWork, caller: Caller, currency: str, tenant_kind: str | None, amount: int, reason: str, now_ms: int,
    from_ms: int | None = None,
) -> Price:  # fmt: skip
    """What an SU costs from a time on (None: now).

    The first price of a currency and kind may begin at any time; later ones not in the past, so that no past changes.
    """
    uow.take_turn()  # no two may begin at once
    check_currency(currency, "currency")
    if tenant_kind is not None and tenant_kind not in TENANT_KINDS:
        fix = f"use one of {', '.join(TENANT_KINDS)}, or none for all the others"
        raise Invalid(f"{tenant_kind[:80]!r} is no kind of tenant", "tenant_kind", fix=fix)
    if not 0 < amount <= PRICE_MOST:
        raise Invalid(f"a price is above 0 and at most {format_su(PRICE_MOST)} {currency} for an SU", "amount")
    begins = now_ms if from_ms is None else from_ms
    known = {(one.currency, one.tenant_kind, one.from_ms) for one in uow.directory().prices}
    first = not any(key[:2] == (currency, tenant_kind) for key in known)
    if begins > now_ms + _AHEAD_MS or (begins < now_ms and not first):
        message = "only the first price of a currency and kind of tenant may begin in the past, none in ten years"
        raise Invalid(message, "from_ms", fix="choose a time to come")
    if (currency, tenant_kind, begins) in known:
        raise Conflict(
            "such a price begins at that time already", "from_ms", fix="choose another time", code="already-exists"
        )
    return uow.budgets.add_price(Price(currency, tenant_kind, begins, amount, caller.user.id, reason, now_ms))


def tenant_kind(directory: Directory, project_id: int) -> str | None:
    """The kind of the project's tenant; None for a project of the centre itself."""
    tenant = directory.tree.tenant_of(project_id)
    return None if tenant is None or tenant.kind is not AccountKind.TENANT else tenant.tenant_kind


def prices_of(directory: Directory, project_id: int, now_ms: int) -> dict[str, int]:
    """Millionths of each currency for one SU of the project, now."""
    if not directory.prices:
        return {}
    return prices_at(directory.prices, tenant_kind(directory, project_id), now_ms)


def price_of(directory: Directory, project_id: int, currency: str, now_ms: int) -> int:
    """The same in one currency. Raises Invalid if there is no price in force."""
    kind = tenant_kind(directory, project_id)
    price = price_at(directory.prices, currency, kind, now_ms)
    if price is None:
        message = f"an SU has no price in {currency} for {kind or 'the centre itself'} now"
        raise Invalid(message, "sources", fix=f"set one: baray admin price set AMOUNT {currency}")
    return price
