"""Funders and grants, and the prices of SU in money."""

from typing import Any

from api.http import paging, two
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Faults, Listing, su
from api.http.schemas.budgets import FunderIn, GrantIn, GrantOut, GrantPatch, PriceIn, PriceOut
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.errors import NotFound
from domain.grants import Grant, GrantFigures
from domain.money import Funder
from domain.prices import Price, parse_money
from domain.purses import Conditions
from domain.quantities import format_su
from lifecycle import grants, prices
from quotas.exchange import affordable
from quotas.prices import price_at

routes = Routes("grants")


@routes.post("/funders", Permission.MONEY_WRITE, FunderIn)
def add_funder(call: Call, body: FunderIn) -> dict[str, Any]:
    call.need_centre()
    return _show_funder(grants.add_funder(call.uow, body.name, body.title))


@routes.get("/funders", Permission.MONEY_READ, Listing[FunderIn])
def list_funders(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    found = call.uow.grants.funders(paging.page(cursor, limit), _own(call))
    return paging.answer(found, limit, lambda funder: funder.id, _show_funder)


@routes.post("/grants", Permission.MONEY_WRITE, GrantOut, also={202: ApprovalOut})
def add_grant(call: Call, body: GrantIn) -> dict[str, Any]:
    """Take in a funder's money: so many SU, or so much of a currency, between two dates."""
    call.need_centre()
    faults = Faults()
    amount = 0
    if body.su is not None and (body.amount, body.currency) == (None, None):
        amount = faults.catch(su, body.su, "su")
    elif body.su is None and body.amount is not None and body.currency is not None:
        amount = faults.catch(parse_money, body.amount, "amount")
    else:
        faults.add("su", "a grant is either in SU or in money", "give su, or amount and currency")
    faults.done()
    grant = grants.add_grant(
        call.uow, body.name, body.funder, amount, body.starts_ms, body.ends_ms, call.now_ms,
        currency=body.currency, conditions=_conditions(body),
    )  # fmt: skip
    two.for_grant(call, amount, body.currency)
    call.version(grant.version)
    return _show_grants(call, [grant])[0]


@routes.get("/grants", Permission.MONEY_READ, Listing[GrantOut])
def list_grants(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    found = call.uow.grants.grants(paging.page(cursor, limit), _own(call))
    shown = dict(zip([grant.id for grant in found], _show_grants(call, found), strict=True))
    return paging.answer(found, limit, lambda grant: grant.id, lambda grant: shown[grant.id])


@routes.get("/grants/{grant_id}", Permission.MONEY_READ, GrantOut)
def get_grant(call: Call, grant_id: Number) -> dict[str, Any]:
    own = _own(call)
    grant = _grant(call, grant_id)
    if own is not None and grant.funder_id not in own:
        raise NotFound(f"there is no grant {grant_id}", "grant")
    call.version(grant.version)
    return _show_grants(call, [grant])[0]


@routes.patch("/grants/{grant_id}", Permission.MONEY_WRITE, GrantOut)
def change_grant(call: Call, grant_id: Number, body: GrantPatch) -> dict[str, Any]:
    """Suspend a grant, resume it, or close it for good: whether more may be allocated of it. `If-Match` takes its ETag."""
    call.need_centre()
    changed = grants.change_state(call.uow, _grant(call, grant_id), body.state, call.if_match)
    call.version(changed.version)
    return _show_grants(call, [changed])[0]


@routes.post("/prices", Permission.MONEY_WRITE, PriceOut, also={202: ApprovalOut})
def set_price(call: Call, body: PriceIn) -> dict[str, Any]:
    """Set what an SU costs from a time on, for a kind of tenant or for all that have no price of their own."""
    call.need_centre()
    price = prices.set_price(
        call.uow, call.caller, body.currency, body.tenant_kind, parse_money(body.amount, "amount"), body.reason,
        call.now_ms, body.from_ms,
    )  # fmt: skip
    two.for_rates(call, f"the price of an SU in {body.currency}")
    return _show_prices(call, [price])[0]


@routes.get("/prices", Permission.FLEET_READ, Listing[PriceOut])
def list_prices(call: Call) -> dict[str, Any]:
    """What an SU costs, cost and will cost, by date. Open to everybody, as the rates are."""
    return {"items": _show_prices(call, list(call.directory.prices)), "next": None}


def _own(call: Call) -> frozenset[int] | None:
    """The funders whose officer the caller is, who see no others; None for who sees them all."""
    if call.funders and call.visible() is not None:
        return call.funders
    call.need_centre()
    return None


def _grant(call: Call, grant_id: int) -> Grant:
    grant = call.uow.grants.grant(grant_id)
    if grant is None:
        raise NotFound(f"there is no grant {grant_id}", "grant")
    return grant


def _conditions(body: GrantIn) -> Conditions:
    asked = body.conditions
    flavors, sectors = dict.fromkeys(asked.flavors), dict.fromkeys(asked.sectors)
    return Conditions(tuple(flavors), tuple(sectors), asked.classification)


def _show_funder(funder: Funder) -> dict[str, Any]:
    return {"name": funder.name, "title": funder.title}


def _show_grants(call: Call, found: list[Grant]) -> list[dict[str, Any]]:
    figures = call.uow.grants.figures([grant.id for grant in found])
    names = call.uow.grants.funder_names([grant.funder_id for grant in found])
    return [_show_grant(call, grant, figures[grant.id], names[grant.funder_id]) for grant in found]


def _show_grant(call: Call, grant: Grant, figures: GrantFigures, funder: str) -> dict[str, Any]:
    conditions, currency = grant.conditions, grant.currency
    price = None if currency is None else price_at(call.directory.prices, currency, None, call.now_ms)

    def both(micro_su: int | None, money: int | None) -> dict[str, str | None]:
        if currency is None:
            money = None
        return {
            "su": None if micro_su is None else format_su(micro_su),
            "money": None if money is None else format_su(money),
        }

    def whole(amount: int) -> dict[str, str | None]:
        if currency is None:
            return both(amount, None)
        return both(None if price is None else affordable(amount, price), amount)

    left = whole(figures.left)
    return {
        "id": grant.id,
        "name": grant.name,
        "funder": funder,
        "su": format_su(grant.amount) if currency is None else None,
        "currency": currency,
        "amount": format_su(grant.amount),
        "available_su": left["su"],
        "starts_ms": grant.starts_ms,
        "ends_ms": grant.ends_ms,
        "state": grant.state.value,
        "conditions": {
            "flavors": list(conditions.flavors),
            "sectors": list(conditions.sectors),
            "classification": conditions.classification,
        },
        "granted": whole(grant.amount),
        "committed": both(figures.committed, figures.committed_money or 0),
        "allocated": both(figures.allocated, figures.allocated_money or 0),
        "consumed": both(figures.consumed, figures.consumed_money or 0),
        "left": left,
        "version": grant.version,
    }


def _show_prices(call: Call, found: list[Price]) -> list[dict[str, Any]]:
    authors = call.uow.people.user_names([price.user_id for price in found])

    def state(price: Price) -> str:
        if price.from_ms > call.now_ms:
            return "to come"
        same = [one.from_ms for one in found if (one.currency, one.tenant_kind) == (price.currency, price.tenant_kind)]
        return "in force" if price.from_ms == max(begun for begun in same if begun <= call.now_ms) else "past"

    return [
        {
            "currency": price.currency,
            "amount": format_su(price.amount),
            "tenant_kind": price.tenant_kind,
            "from_ms": price.from_ms,
            "state": state(price),
            "author": authors.get(price.user_id),
            "reason": price.reason,
            "created_ms": price.created_ms,
        }
        for price in found
    ]
