"""A device's login (RFC 8628), seen and decided by who began it: they compare, and say yes or no."""

from starlette.responses import Response

from api.http.rates import note_failure
from api.http.request_id import request_id
from api.portal.visit import Visit
from domain.errors import NotFound
from lifecycle import devices
from lifecycle.login import note

_LONGEST = 40
_DECISIONS = {"approve": True, "deny": False}


def ask(visit: Visit) -> Response:
    """Type the code. One that came with the address is filled in, and still has to be sent."""
    return _ask(visit, visit.query.get("user_code", "")[:_LONGEST])


def answer(visit: Visit) -> Response:
    """A code was typed, or decided upon."""
    code, decision = visit.form.get("user_code", "")[:_LONGEST], visit.form.get("decision", "")
    services = visit.portal.services
    try:
        if decision in _DECISIONS:
            with services.store.write() as uow:
                device = devices.decide(uow, code, visit.known, _DECISIONS[decision], visit.now_ms)
                user = visit.known.user
                facts = {"method": "POST", "request": request_id(visit.request), "device": device.id}
                note(uow, f"{decision}_device", "device", {user.id: user.name}, facts, visit.now_ms)
            return visit.show("decided.html", approved=_DECISIONS[decision], device=device)
        with services.store.read() as uow:
            device = devices.look_up(uow, code, visit.now_ms)
    except NotFound as error:
        note_failure(visit.request)  # codes are short: who guesses them is held back
        return _ask(visit, code, status=404, problem=f"{error.message}: {error.fixes[0]}")
    return visit.show("device.html", device=device)


def _ask(visit: Visit, code: str, status: int = 200, problem: str | None = None) -> Response:
    return visit.show("code.html", status, code=code, problem=problem)
