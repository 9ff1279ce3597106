"""The centre's pages on a real port, with real providers behind them, in the hands of a test."""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from api.http.app import create_app
from api.http.services import Services
from api.identity.flow import OpenIdProviders
from api.identity.passwords import Argon2Hasher
from api.identity.providers import read_providers
from api.portal.app import pages
from api.portal.visit import Portal
from domain.people import Caller, User
from lifecycle.login import SessionRules
from lifecycle.paging import Page as Listed
from lifecycle.people import digest
from lifecycle.ports import UnitOfWork
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry
from runtime.clock import SystemClock
from tests.conftest import services_of
from tests.identity.rig import Provider
from tests.identity.visitor import Page, Visitor
from tests.support.centre import Centre
from tests.support.serving import Served

PASSWORD = "four unrelated wooden words"

_FILE = """
[[provider]]
name = "{name}"
title = "{title}"
issuer = "{issuer}"
client_id = "baray"
client_secret_file = "{name}.secret"
again_acr = ["high"]
[[provider.tenant]]
claim = "schac_home_organization"
equals = "cadt.example"
tenant = "cadt"
[[provider.affiliation]]
claim = "eduperson_scoped_affiliation"
ends_with = "@cadt.example"
affiliation = "staff"
[[provider.level]]
claim = "acr"
equals = "low"
level = 1
[[provider.level]]
claim = "acr"
equals = "high"
level = 2
"""

_INPUT = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
_ACTION = re.compile(r'<form method="post" action="([^"]*)"')


class MovedClock(SystemClock):
    """The machine's own, so that it agrees with the provider's, and so much ahead."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


@dataclass
class Door:
    """A centre that people log in to. ``campus`` is its provider's name, if it has one."""

    centre: Centre
    address: str
    providers: tuple[Provider, ...]
    services: Services
    clock: MovedClock
    visitors: list[Visitor] = field(default_factory=list)

    @classmethod
    def open(
        cls, centre: Centre, server: Served, provider: Provider, root: Path, *, others: Sequence[Provider] = (),
        built_in: bool = True, timeout_s: float = 1.0, refetch_s: float = 0.01, more: str = "", secure: bool = False,
        wrap: Callable[[Any], Any] = lambda app: app,
    ) -> "Door":  # fmt: skip
        text = ""
        running = (provider, *others)
        for name, one in zip(("campus", "ministry", "abroad"), running, strict=False):
            back = f"{server.address}/login/{name}"
            client = one.client(
                "baray", [f"{back}/callback"], logouts=[f"{server.address}/logout"], backchannel=f"{back}/backchannel-logout"
            )  # fmt: skip
            (root / f"{name}.secret").write_text(client.secret + "\n", encoding="utf-8")
            text += _FILE.format(name=name, title=name.title(), issuer=one.issuer)
        file = root / "login.toml"
        file.write_text(text + more, encoding="utf-8")
        clock = MovedClock()
        hasher = Argon2Hasher(8, 1) if built_in else None
        services = replace(services_of(centre, root), clock=clock, passwords=hasher)
        providers = OpenIdProviders(read_providers(file), server.address, timeout_s=timeout_s, refetch_s=refetch_s)
        portal = Portal(services, providers, SessionRules(12 * 3_600_000, 2 * 3_600_000), secure=secure)
        server.switch.app = wrap(create_app(services, pages=pages(portal)))
        return cls(centre, server.address, running, services, clock)

    @property
    def provider(self) -> Provider:
        return self.providers[0]

    # People

    def visitor(self) -> Visitor:
        return Visitor()

    def log_in(self, visitor: Visitor, username: str = "sok", name: str = "campus", **query: str) -> Page:
        """The page that a person ends on who logs in through the provider."""
        page = visitor.get(f"{self.address}/login/{name}", **query)
        return visitor.log_in(page, username) if "/interaction/" in page.url else page

    def send(self, visitor: Visitor, page: Page, **fields: str) -> Page:
        """Sends the first form of a page, with its hidden fields."""
        action = _ACTION.search(page.text)
        assert action is not None, page.text
        hidden = {name: html.unescape(value) for name, value in _INPUT.findall(page.text)}
        return visitor.post(f"{self.address}{action[1]}", **{**hidden, **fields})

    def set_password(self, name: str, password: str = PASSWORD, changed_ms: int = 1) -> None:
        from domain.logins import Password

        assert self.services.passwords is not None
        hashed = self.services.passwords.hash(password)
        with self.centre.store.write() as uow:
            user = uow.people.user(name)
            assert user is not None
            uow.logins.put_password(Password(user.id, hashed, changed_ms))

    # What there is

    def ask(self, question: Callable[[UnitOfWork], Any]) -> Any:
        with self.centre.store.read() as uow:
            return question(uow)

    def user(self, name: str) -> User | None:
        found: User | None = self.ask(lambda uow: uow.people.user(name))
        return found

    def session(self, visitor: Visitor) -> str | None:
        return visitor.cookies.get(("127.0.0.1", "baray"))

    def caller(self, visitor: Visitor) -> Caller | None:
        """Who the visitor's cookie is, if it holds."""
        text = self.session(visitor)
        found: Caller | None = (
            None if text is None else self.ask(lambda uow: uow.people.caller(digest(text), self.clock.now_ms()))
        )
        return found

    def entries(self, action: str) -> list[AuditEntry]:
        found: list[AuditEntry] = self.ask(lambda uow: uow.audit.page(Listed(None, 500), EntryFilter(action=action)))
        return found
