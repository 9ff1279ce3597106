"""Logging in: the login page, the way to a provider and back, and the built-in name and password."""

import hashlib
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from api.http.request_id import request_id
from api.identity.ports import Attempt, Proof
from api.portal.refusals import Refusals
from api.portal.visit import Visit, local
from domain.errors import Conflict, NotAllowed, NotFound, NotLoggedIn
from domain.logins import Session
from domain.people import User
from lifecycle import passwords
from lifecycle.login import BUILT_IN, Arrival, arrive, check_welcome, note, open_session
from lifecycle.ports import UnitOfWork

_ATTEMPT_MS = 600_000
_MOST_ATTEMPTS = 8  # begun at once in one browser
_LONGEST_STATE = 100
_REPEATS = 3


class Login:
    """The pages of logging in."""

    def __init__(self) -> None:
        self._refusals = Refusals()

    def page(self, visit: Visit) -> Response:
        again = _wants_again(visit)
        return self._form(visit, again=again, return_to=local(visit.query.get("return_to")))

    def _form(
        self, visit: Visit, *, again: bool, return_to: str, status: int = 200, problem: str | None = None, name: str = ""
    ) -> Response:  # fmt: skip
        providers = visit.portal.providers.all
        built_in = visit.portal.services.passwords is not None
        if again:
            with visit.portal.services.store.read() as uow:
                session = uow.logins.session(visit.known.token.id)
            through = BUILT_IN if session is None else session.provider
            providers = tuple(one for one in providers if one.name == through)
            built_in = built_in and through == BUILT_IN
        return visit.show(
            "login.html",
            status,
            providers=providers,
            built_in=built_in,
            again=again,
            return_to=return_to,
            problem=problem,
            name=name,
        )

    def begin(self, visit: Visit) -> Response:
        """On to the provider, with a sealed note of what must come back."""
        again = _wants_again(visit)
        name = visit.request.path_params["provider"]
        attempt, address = visit.portal.providers.begin(name, visit.now_ms if again else None)
        old = visit.cookies.named("login-")
        for one in old[: max(0, len(old) + 1 - _MOST_ATTEMPTS)]:
            visit.cookies.drop(one)
        kept = {
            **asdict(attempt), "at": visit.now_ms, "return_to": local(visit.query.get("return_to")),
            "user": visit.known.user.id if again else None,
        }  # fmt: skip
        visit.cookies.set(_cookie(attempt.state), visit.cookies.seal("login", kept), _ATTEMPT_MS // 1_000)
        return visit.go(address)

    def callback(self, visit: Visit) -> Response:
        """Back from the provider. What is not the answer to an attempt of this very browser is refused."""
        provider = visit.portal.providers.named(visit.request.path_params["provider"])
        with self._refusals.kept(visit, provider.name):
            kept = _attempt(visit, provider.name)
            attempt = Attempt(**{name: kept[name] for name in ("provider", "state", "nonce", "verifier", "again_ms")})
            proof = visit.portal.providers.finish(attempt, visit.query, visit.now_ms)
        return self._enter(visit, proof, kept)

    def _enter(self, visit: Visit, proof: Proof, kept: dict[str, Any]) -> Response:
        profile = proof.profile
        sealed = visit.portal.services.vault.seal(proof.id_token)
        session = Session(0, profile.provider, profile.issuer, profile.subject, profile.sid, sealed)

        def enter(uow: UnitOfWork) -> str:
            arrival = arrive(uow, profile, visit.now_ms)
            _check_same(arrival.user, kept["user"])
            return _open(visit, uow, arrival, session, profile.login_ms, profile.level)

        with self._refusals.kept(visit, profile.provider, _user_of(visit, proof)):
            text = _repeated(visit, enter)
        return _welcome(visit, text, kept["return_to"], again=kept["again_ms"] is not None)

    def password(self, visit: Visit) -> Response:
        """The built-in form was sent."""
        services = visit.portal.services
        if services.passwords is None:
            raise NotFound("nobody logs in with a password here", "password", fix="choose a way on the login page")
        again = visit.form.get("again") == "1" and visit.caller is not None
        name = visit.known.user.name if again else visit.form.get("name", "")
        return_to = local(visit.form.get("return_to"))
        try:
            with self._refusals.kept(visit, BUILT_IN):
                user = passwords.check(
                    services.store, services.passwords, name, visit.form.get("password", ""), visit.now_ms
                )
        except NotLoggedIn as error:
            return self._form(
                visit, again=again, return_to=return_to, status=401, problem=error.message, name=name[:63]
            )

        def enter(uow: UnitOfWork) -> str:
            check_welcome(user)
            scopes = passwords.session_scopes(uow, user.id)
            return _open(visit, uow, Arrival(user, first=False), Session(0, BUILT_IN), visit.now_ms, 0, scopes=scopes)

        with services.store.read() as uow:
            one_time = passwords.session_scopes(uow, user.id) is not None
        return _welcome(visit, _repeated(visit, enter), "/password" if one_time else return_to, again=again)


def _wants_again(visit: Visit) -> bool:
    """A decision asks for a fresh login of who is logged in."""
    return visit.query.get("again") == "1" and visit.caller is not None


def _cookie(state: str) -> str:
    """Each attempt has a cookie of its own, so that several tabs do not disturb each other."""
    return f"login-{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def _attempt(visit: Visit, provider: str) -> dict[str, Any]:
    """The attempt that the answer belongs to, which is over now: it is answered once."""
    state = visit.query.get("state", "")
    cookie = _cookie(state[:_LONGEST_STATE])
    kept = visit.cookies.open("login", visit.cookies.get(cookie))
    visit.cookies.drop(cookie)
    if kept is None or kept["state"] != state or kept["provider"] != provider:
        raise NotLoggedIn(
            "this is not the answer to a login that was begun in this browser",
            fix="begin again on the login page", code="mixed-up",
        )  # fmt: skip
    if visit.now_ms - kept["at"] > _ATTEMPT_MS:
        raise NotLoggedIn("this login took too long", fix="begin again on the login page", code="too-late")
    with visit.portal.services.store.write() as uow:
        digest = hashlib.sha256(b"login " + state.encode()).digest()
        if not uow.logins.spend(digest, visit.now_ms + 2 * _ATTEMPT_MS):
            raise NotLoggedIn("this login was finished before", fix="begin again on the login page", code="replayed")
    return kept


def _open(
    visit: Visit, uow: UnitOfWork, arrival: Arrival, session: Session, login_ms: int, level: int, **narrowed: Any
) -> str:  # fmt: skip
    text = open_session(
        uow, arrival.user, session, visit.portal.rules, visit.now_ms, login_ms=login_ms, level=level,
        instead_of=None if visit.caller is None else visit.caller.token, **narrowed,
    )  # fmt: skip
    facts = {"level": level, "method": visit.request.method, "request": request_id(visit.request)}
    action = "first_login" if arrival.first else "login"
    note(uow, action, session.provider, {arrival.user.id: arrival.user.name}, facts, visit.now_ms)
    return text


def _repeated(visit: Visit, enter: Any) -> str:
    """The same person may come twice at once, or two of one name: the second finds what the first made."""
    for _ in range(_REPEATS - 1):
        try:
            with visit.portal.services.store.write() as uow:
                return str(enter(uow))
        except Conflict:
            continue
    with visit.portal.services.store.write() as uow:
        return str(enter(uow))


def _user_of(visit: Visit, proof: Proof) -> User | None:
    """Who is known by the identity, for the audit entry of a refusal."""
    with visit.portal.services.store.read() as uow:
        identity = uow.logins.identity(proof.profile.issuer, proof.profile.subject)
        return None if identity is None else uow.people.user_of(identity.user_id)


def _check_same(user: User, wanted: int | None) -> None:
    if wanted is not None and user.id != wanted:
        raise NotAllowed(
            "you logged in as somebody else than who began this", code="another-user",
            fix="log out first if you want to be somebody else",
        )  # fmt: skip


def _welcome(visit: Visit, text: str, return_to: str, *, again: bool) -> Response:
    visit.cookies.set("", text)
    visit.cookies.drop("form")
    visit.cookies.changed.pop("notice", None)
    return visit.go(return_to, "again" if again else None)
