"""Flavors and rates."""

from typing import Any

from api.http import two
from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.base import Listing, su
from api.http.schemas.centre import FlavorIn, FlavorOut, RateIn
from api.http.schemas.charging import RateOut
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.errors import NotFound
from domain.fleet import CPU_FLAVOR, Flavor
from domain.quantities import format_su
from lifecycle import fleet
from quotas.tariffs import rate_at
from scheduler.snapshot import NodeState

routes = Routes("fleet")


@routes.post("/flavors", Permission.FLEET_WRITE, FlavorOut, also={202: ApprovalOut})
def add_flavor(call: Call, body: FlavorIn) -> dict[str, Any]:
    """Name a kind of accelerator. Until it has a rate, jobs that ask for it are refused."""
    call.need_centre()
    rate = None if body.rate_su_per_hour is None else su(body.rate_su_per_hour, "rate_su_per_hour")
    fleet.add_flavor(call.uow, Flavor(body.name, body.title, body.milli), rate, call.now_ms)
    if rate is not None:
        two.for_rates(call, f"the rate of {body.name}")
    return _show_flavor(call, call.directory.flavors[body.name], ())


@routes.get("/flavors", Permission.FLEET_READ, Listing[FlavorOut])
def list_flavors(call: Call) -> dict[str, Any]:
    nodes = call.uow.fleet.nodes(list(call.directory.clusters))
    return {"items": [_show_flavor(call, flavor, nodes) for flavor in call.directory.flavors.values()], "next": None}


@routes.get("/flavors/{name}", Permission.FLEET_READ, FlavorOut)
def get_flavor(call: Call, name: str) -> dict[str, Any]:
    return _show_flavor(call, _flavor(call, name), call.uow.fleet.nodes(list(call.directory.clusters)))


@routes.get("/flavors/{name}/rates", Permission.FLEET_READ, Listing[RateOut])
def list_rates(call: Call, name: str) -> dict[str, Any]:
    """Its dated rates, with who made them; each holds until the next one begins."""
    return {"items": _show_rates(call, _flavor(call, name).name), "next": None}


@routes.post("/flavors/{name}/rates", Permission.MONEY_WRITE, RateOut, also={202: ApprovalOut})
def add_rate(call: Call, name: str, body: RateIn) -> dict[str, Any]:
    """A rate from a time to come on. What has started before keeps the rates that were known then."""
    call.need_centre()
    flavor, rate = _flavor(call, name).name, su(body.su_per_hour, "su_per_hour")
    call.uow.take_turn()  # two that begin at the same time overlap
    fleet.add_rate(call.uow, flavor, body.from_ms, rate, call.now_ms, call.caller.user.id)
    two.for_rates(call, f"the rate of {flavor}")
    call.wakes = True
    return next(one for one in _show_rates(call, flavor) if one["from_ms"] == body.from_ms)


def _flavor(call: Call, name: str) -> Flavor:
    flavor = call.directory.flavors.get(name)
    if flavor is None:
        raise NotFound(f"there is no flavor {name[:80]!r}", "flavor")
    return flavor


def _show_rates(call: Call, flavor: str) -> list[dict[str, Any]]:
    found = call.uow.fleet.rates(flavor)
    authors = call.uow.people.user_names([one.user_id for one in found if one.user_id is not None])
    return [
        {
            "from_ms": one.from_ms, "su_per_hour": format_su(one.micro_su_per_hour),
            "author": authors.get(one.user_id or 0), "created_ms": one.created_ms or None,
        }
        for one in found
    ]  # fmt: skip


def _show_flavor(call: Call, flavor: Flavor, nodes: tuple[NodeState, ...]) -> dict[str, Any]:
    rate = rate_at(call.directory.rates.get(flavor.name, ()), call.now_ms)
    if flavor.name == CPU_FLAVOR:
        total, free = sum(node.cpus for node in nodes), sum(node.cpus_free for node in nodes)
    else:
        total = sum(node.devices.get(flavor.name, 0) for node in nodes)
        free = sum(len(node.free.get(flavor.name, ())) for node in nodes)
    return {
        "name": flavor.name, "title": flavor.title, "milli": flavor.milli,
        "rate_su_per_hour": None if rate is None else format_su(rate), "total": total, "used": max(0, total - free),
    }  # fmt: skip
