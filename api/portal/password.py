"""Choosing one's own password: the only thing that a session may do which was begun with a one-time password."""

from starlette.responses import Response

from api.http.rates import note_failure
from api.http.request_id import request_id
from api.portal.visit import Visit
from domain.errors import Invalid, NotFound, NotLoggedIn
from domain.logins import Session
from lifecycle import passwords
from lifecycle.login import BUILT_IN, note, open_session


def ask(visit: Visit) -> Response:
    """Only for who has a password here."""
    _check_has(visit)
    return visit.show("password.html", problem=None)


def choose(visit: Visit) -> Response:
    """All other logins end, and this one goes on as a new session."""
    _check_has(visit)
    services, user = visit.portal.services, visit.known.user
    new = visit.form.get("new", "")
    if new != visit.form.get("repeated"):
        return visit.show("password.html", 422, problem="The new password was typed in two ways.")
    try:
        hashed = passwords.renewed(
            services.store, passwords.needed(services.passwords), user, visit.form.get("old", ""), new, visit.now_ms
        )
    except NotLoggedIn:
        note_failure(visit.request)
        return visit.show("password.html", 403, problem="The old password is wrong.")
    except Invalid as error:
        fix = error.faults[0].fix
        return visit.show("password.html", 422, problem=error.message + (f": {fix}" if fix else ""))
    with services.store.write() as uow:
        passwords.put(uow, user, hashed, visit.now_ms, None)
        text = open_session(
            uow, user, Session(0, BUILT_IN), visit.portal.rules, visit.now_ms, login_ms=visit.now_ms, level=0
        )  # fmt: skip
        facts = {"method": "POST", "request": request_id(visit.request)}
        note(uow, "change_password", BUILT_IN, {user.id: user.name}, facts, visit.now_ms)
    visit.cookies.set("", text)
    return visit.go("/", "password")


def _check_has(visit: Visit) -> None:
    with visit.portal.services.store.read() as uow:
        kept = uow.logins.password(visit.known.user.id)
    if kept is None or visit.portal.services.passwords is None:
        raise NotFound("the centre keeps no password of yours", fix="change it where you log in")
