"""Logging out: here, then at the provider; and providers that tell of sessions that ended there."""

import hashlib
import hmac
import secrets

from starlette.responses import JSONResponse, Response

from api.http.rates import note_failure
from api.http.request_id import request_id
from api.identity.ports import LOGOUT_TOKEN_S, SKEW_S, Ended, Forged, ProviderAway
from api.portal.visit import Visit
from domain.errors import NotFound, Unavailable
from domain.logins import Session
from lifecycle.login import BUILT_IN, end_sessions, note

_SPENT_MS = 2 * (LOGOUT_TOKEN_S + SKEW_S) * 1_000
_AWAY_S = 600


def ask(visit: Visit) -> Response:
    """Where the provider sends people back to; and who types the address is asked whether they mean it."""
    state, kept = visit.query.get("state", ""), visit.cookies.get("out")
    if kept is not None and hmac.compare_digest(kept.encode(), state.encode(errors="replace")):
        visit.cookies.drop("out")
        return visit.go("/", "out-there")
    return visit.go("/") if visit.caller is None else visit.show("logout.html")


def leave(visit: Visit) -> Response:
    """The session ends here, whatever the provider says; then the browser is sent there to end its own."""
    if visit.caller is None or visit.text is None:
        return visit.go("/")
    caller, services = visit.caller, visit.portal.services
    with services.store.write() as uow:
        session = uow.logins.session(caller.token.id) or Session(caller.token.id, BUILT_IN)
        uow.people.revoke_token(caller.token.id, visit.now_ms)
        facts = {"method": "POST", "request": request_id(visit.request)}
        note(uow, "logout", session.provider, {caller.user.id: caller.user.name}, facts, visit.now_ms)
    visit.cookies.drop("")
    visit.caller = visit.text = None
    state = secrets.token_urlsafe(24)
    farewell = visit.portal.providers.farewell(session.provider, _id_token(visit, session), state)
    if farewell is None:
        return visit.go("/", "out")
    visit.cookies.set("out", state, _AWAY_S)
    title = visit.portal.providers.named(session.provider).title
    answer = visit.show("leaving.html", farewell=farewell, title=title)
    # Not a redirect: browsers hold a form's whole way against the policy of the page that sent it.
    answer.headers["Refresh"] = f"0; url={farewell}"
    return answer


def _id_token(visit: Visit, session: Session) -> str | None:
    try:
        return None if session.id_token is None else visit.portal.services.vault.open(session.id_token)
    except Unavailable:
        return None


def told(visit: Visit) -> Response:
    """A provider says that sessions ended (OpenID Connect Back-Channel Logout). Whether there were any is not told."""
    name, text = visit.request.path_params["provider"], visit.form.get("logout_token", "")
    try:
        ended = visit.portal.providers.ended(name, text, visit.now_ms)
    except (Forged, NotFound):
        note_failure(visit.request)
        return _refused()
    except ProviderAway:
        return JSONResponse({"error": "temporarily_unavailable"}, 503, {"Retry-After": "30"})
    return Response(status_code=200) if _end(visit, name, ended) else _refused()


def _end(visit: Visit, name: str, ended: Ended) -> bool:
    """False for a message that came before."""
    digest = hashlib.sha256(f"logout {ended.issuer} {ended.jti}".encode()).digest()
    with visit.portal.services.store.write() as uow:
        if not uow.logins.spend(digest, visit.now_ms + _SPENT_MS):
            return False
        counts = end_sessions(uow, ended.issuer, ended.sid, ended.subject, visit.now_ms)
        if counts:
            names = uow.people.user_names(list(counts))
            facts = {"method": "POST", "request": request_id(visit.request), "sessions": sum(counts.values())}
            note(uow, "backchannel_logout", name, names, facts, visit.now_ms)
    return True


def _refused() -> Response:
    return JSONResponse({"error": "invalid_request"}, 400)
