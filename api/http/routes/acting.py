"""Acting on behalf of users: support takes leave, with a reason and an end, and the user sees it."""

from enum import StrEnum
from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.base import Listing
from api.http.schemas.oversight import ActIn, ActingOut
from domain.access import Permission
from domain.oversight import Acting
from lifecycle import oversight

routes = Routes("acting")


class Whose(StrEnum):
    MINE = "mine"
    ME = "me"
    ALL = "all"


@routes.post("/acting", Permission.ACT, ActingOut)
def begin_acting(call: Call, body: ActIn) -> dict[str, Any]:
    """Leave to act for a user, for so many minutes. Requests then carry `Baray-On-Behalf-Of: USER`.

    They can do no more than the user, only where the caller is support, and nothing personal: no decisions, logins, tokens
    or personal data. All that is done is in the user's own log with both names.
    """
    call.checked = True
    found = oversight.begin_acting(call.uow, call.caller, body.user, body.reason, body.minutes, call.now_ms)
    call.of_user(found.for_id)
    return _show(call, [found])[0]


@routes.get("/acting", Permission.SELF, Listing[ActingOut])
def list_acting(
    call: Call, cursor: Cursor = None, limit: Limit = 100, whose: Whose | None = None
) -> dict[str, Any]:  # fmt: skip
    """`me`: who acts or acted for the caller; `mine`: for whom the caller acts or acted; `all`: for auditors. The newest first.

    Without `whose`, those for the caller.
    """
    page, me = paging.page(cursor, limit), call.caller.user.id
    if whose is Whose.ALL:
        call.permission = Permission.AUDIT_READ
        call.need_centre()
        found = call.uow.oversight.actings(page)
    elif whose is Whose.MINE:
        found = call.uow.oversight.actings(page, user_id=me)
    else:
        found = call.uow.oversight.actings(page, for_id=me)
    shown = dict(zip([one.id for one in found], _show(call, found), strict=True))
    return paging.answer(found, limit, lambda one: one.id, lambda one: shown[one.id])


@routes.delete("/acting/{acting_id}", Permission.SELF)
def end_acting(call: Call, acting_id: Number) -> None:
    """End it at once: by who acts, or by the user for whom they do."""
    found = oversight.end_acting(call.uow, call.caller, acting_id, call.now_ms)
    call.about |= {found.user_id, found.for_id}


def _show(call: Call, found: list[Acting]) -> list[dict[str, Any]]:
    names = call.uow.people.user_names([user for one in found for user in (one.user_id, one.for_id)])
    return [
        {
            "id": one.id, "by": names[one.user_id], "user": names[one.for_id], "reason": one.reason,
            "from_ms": one.from_ms, "until_ms": one.until_ms, "ended_ms": one.ended_ms,
            "open": one.ended_ms is None and one.until_ms > call.now_ms,
        }
        for one in found
    ]  # fmt: skip
