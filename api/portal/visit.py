"""One request for a page: who asks, what they sent, and the proof that a form of ours sent it."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.http.credentials import csrf_of
from api.http.request_id import note_user, request_id
from api.http.services import Services
from api.identity.ports import Providers
from api.portal import paper
from api.portal.cookies import Cookies
from domain.errors import NotAllowed
from domain.people import Caller, TokenKind
from lifecycle.login import SessionRules
from lifecycle.people import digest

FORM_FIELD = "csrf"

_FORM_MS = 24 * 3_600_000
_LONGEST_PATH = 300
_OWN_SITES = frozenset({None, "same-origin", "none"})
_NOTICES = frozenset({"out", "out-there", "ended", "again", "password"})


@dataclass(frozen=True, slots=True)
class Portal:
    """What the pages stand on. ``secure``: people reach the centre over TLS."""

    services: Services
    providers: Providers
    rules: SessionRules
    secure: bool


@dataclass
class Visit:
    """``text`` is the session's, and ``caller`` who it is; both None without one that holds."""

    portal: Portal
    request: Request
    form: Mapping[str, str]
    now_ms: int
    text: str | None = None
    caller: Caller | None = None
    cookies: Cookies = field(init=False)

    def __post_init__(self) -> None:
        self.cookies = Cookies(self.request, self.portal.services.vault, self.portal.secure)

    @classmethod
    def of(cls, portal: Portal, request: Request, form: Mapping[str, str]) -> "Visit":
        visit = cls(portal, request, form, portal.services.clock.now_ms())
        visit._recognise()
        return visit

    def _recognise(self) -> None:
        text = self.cookies.get("")
        if text is None:
            return
        services = self.portal.services
        with services.store.read() as uow:
            caller = uow.people.caller(digest(text), self.now_ms)
        if caller is None or caller.token.kind is not TokenKind.SESSION:
            self.cookies.drop("")
            self.cookies.set("notice", "ended", 60)
            return
        self.text, self.caller = text, caller
        note_user(self.request, caller.user.id)
        services.used_tokens[caller.token.id] = self.now_ms

    @property
    def known(self) -> Caller:
        assert self.caller is not None, "the page needs a session, and was asked without one"
        return self.caller

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    # Proof against forged forms

    @cached_property
    def csrf(self) -> str:
        """What this page's forms repeat: of the session, or before there is one, of a sealed cookie made for it."""
        return csrf_of(self.text if self.text is not None else self._form_cookie(make=True) or "")

    def check_form(self) -> None:
        """Raises NotAllowed for a form that no page of ours sent."""
        ours = self.text if self.text is not None else self._form_cookie(make=False)
        given = self.form.get(FORM_FIELD, "")
        site = self.request.headers.get("sec-fetch-site")
        if (
            ours is None
            or site not in _OWN_SITES
            or not hmac.compare_digest(given.encode(errors="replace"), csrf_of(ours).encode())
        ):
            raise NotAllowed(
                "this form was not sent by a page of the centre, or by one that is too old",
                fix="go back, load the page anew, and send the form again", code="forged",
            )  # fmt: skip

    def _form_cookie(self, *, make: bool) -> str | None:
        value = self.cookies.get("form")
        opened = self.cookies.open("form", value)
        if opened is not None and self.now_ms - opened["at"] < _FORM_MS:
            return value
        if not make:
            return None
        value = self.cookies.seal("form", {"at": self.now_ms})
        self.cookies.set("form", value)
        return value

    # Answers

    def show(self, template: str, status: int = 200, **told: Any) -> Response:
        """A page; a notice that an earlier one left is shown once, by the first that follows."""
        left = self.cookies.get("notice")
        if "notice" in self.cookies.changed:
            left = self.cookies.changed.pop("notice")[0]
        self.cookies.drop("notice")
        base = {
            "csrf": lambda: self.csrf, "caller": self.caller, "notice": left if left in _NOTICES else None,
            "request": request_id(self.request), "when": when,
        }  # fmt: skip
        return paper.page(template, {**base, **told}, status)

    def go(self, address: str, notice: str | None = None) -> Response:
        """On to another address, with something to be told there."""
        if notice is not None:
            self.cookies.set("notice", notice, 60)
        return RedirectResponse(address, 303)

    def log_in_first(self) -> Response:
        path, query = self.request.url.path, self.request.url.query
        return self.go(f"/login?return_to={quote(f'{path}?{query}' if query else path, safe='')}")


Handler = Callable[[Visit], Response]


def local(path: str | None) -> str:
    """The path, if it leads to a page of ours and nowhere else; else the front page."""
    if path is None or not 0 < len(path) <= _LONGEST_PATH:
        return "/"
    plain = unquote(unquote(path))
    return path if _leads_inside(path) and _leads_inside(plain) else "/"


def _leads_inside(path: str) -> bool:
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return False
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    loops = parts.path == "/login" or parts.path.startswith(("/login/", "/logout", "/api/"))
    return not (parts.scheme or parts.netloc or loops or " " in path) and path.isascii()


def when(ms: int) -> str:
    """A time as people read it. The centre's own zone is not known here, so it is UTC."""
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%d %b %Y, %H:%M UTC")
