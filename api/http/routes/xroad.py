"""Which systems of other governments may ask what, over X-Road. What they are answered is with ``api.identity.xroad``."""

from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing
from api.http.schemas.xroad import RightIn, RightOut
from domain.access import Permission
from lifecycle import xroad
from lifecycle.rights import Right

routes = Routes("xroad")


@routes.get("/xroad-clients", Permission.XROAD_WRITE, Listing[RightOut])
def list_xroad_clients(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every right that there is; who is not here is not answered."""
    call.need_centre()
    found = call.uow.rights.page(paging.page(cursor, limit))
    return paging.answer(found, limit, lambda right: right.id, lambda right: _show(call, right))


@routes.get("/xroad-clients/{right_id}", Permission.XROAD_WRITE, RightOut)
def get_xroad_client(call: Call, right_id: Number) -> dict[str, Any]:
    call.need_centre()
    return _show(call, xroad.right_of(call.uow, right_id))


@routes.post("/xroad-clients", Permission.XROAD_WRITE, RightOut)
def allow_xroad_client(call: Call, body: RightIn) -> dict[str, Any]:
    """Let a member of X-Road ask a service about one tenant, or about all of them."""
    call.need_centre()
    right = xroad.allow(call.uow, body.client, body.service, body.tenant, call.now_ms)
    call.facts |= _show(call, right)
    return _show(call, right)


@routes.delete("/xroad-clients/{right_id}", Permission.XROAD_WRITE)
def revoke_xroad_client(call: Call, right_id: Number) -> None:
    """From the next question on."""
    call.need_centre()
    call.facts |= _show(call, xroad.revoke(call.uow, right_id))


def _show(call: Call, right: Right) -> dict[str, Any]:
    tenant = None if right.tenant_id is None else call.directory.tree.accounts[right.tenant_id].name
    return {
        "id": right.id, "client": right.client, "service": right.service.value, "tenant": tenant,
        "created_ms": right.created_ms,
    }  # fmt: skip
