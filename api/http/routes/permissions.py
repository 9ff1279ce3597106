"""The permission matrix: open to everybody, so that nobody has to guess why they may not."""

from typing import Any

from api.http import matrix
from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.oversight import PermissionsOut
from domain.access import Permission

routes = Routes("permissions")


@routes.get("/permissions", Permission.POLICY_READ, PermissionsOut)
def list_permissions(call: Call) -> dict[str, Any]:
    """What each permission is for, who has it, and which route needs it."""
    call.checked = True
    return matrix.matrix()
