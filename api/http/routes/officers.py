"""Officers of funders: who sees what a funder's money does, and nothing else of the centre."""

from typing import Any

from api.http.call import Call
from api.http.declare import Routes
from api.http.schemas.base import Listing
from api.http.schemas.oversight import ApprovalOut, OfficerIn, OfficerOut
from domain.access import Permission, Role
from lifecycle import oversight

routes = Routes("funders")


@routes.post("/funders/{name}/officers", Permission.ROLE_WRITE, OfficerOut, also={202: ApprovalOut})
def add_officer(call: Call, name: str, body: OfficerIn) -> dict[str, Any]:
    """Give somebody the role `funder`, over one funder's money."""
    call.need_centre()
    officer = oversight.add_officer(call.uow, name, body.user, call.now_ms)
    _take_two(call, officer.id, name)
    return {"funder": name, "user": body.user}


@routes.get("/funders/{name}/officers", Permission.ROLE_WRITE, Listing[OfficerOut])
def list_officers(call: Call, name: str) -> dict[str, Any]:
    """Who sees what the funder's money does."""
    call.need_centre()
    found = call.uow.oversight.officers(oversight.funder_named(call.uow, name).id)
    users = call.uow.people.user_names(found)
    return {"items": [{"funder": name, "user": users[one]} for one in found], "next": None}


@routes.delete("/funders/{name}/officers/{user}", Permission.ROLE_WRITE, also={202: ApprovalOut})
def remove_officer(call: Call, name: str, user: str) -> None:
    """Take the role `funder` away: they see nothing of its money any more."""
    call.need_centre()
    officer = oversight.remove_officer(call.uow, name, user)
    _take_two(call, officer.id, name)


def _take_two(call: Call, user_id: int, funder: str) -> None:
    call.about.add(user_id)
    call.take_two(lambda rules: Role.FUNDER in rules.roles, users=[user_id], role=Role.FUNDER.value, funder=funder)
