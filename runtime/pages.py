"""Login in browsers, from the settings: under which address, through which providers, for how long."""

import re
from urllib.parse import urlsplit

from api.http.pages import PageRoute
from api.http.services import Services
from api.identity.ports import NoProviders, Providers
from api.identity.providers import read_providers
from api.portal.app import pages
from api.portal.visit import Portal
from domain.errors import CannotStart
from domain.quantities import HOUR_MS, MINUTE_MS
from lifecycle.login import SessionRules
from runtime.edge import is_loopback, scheme
from runtime.settings import Settings

_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?")


def public_url(settings: Settings) -> str:
    """The address under which people reach the centre, without a slash at its end. Raises CannotStart."""
    given = settings.public_url.rstrip("/")
    if not given:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"{scheme(settings)}://{host}:{settings.port}"
    if not _URL.fullmatch(given):
        raise CannotStart(
            f"BARAY_PUBLIC_URL: {given[:80]!r} is no address of a centre", "public_url",
            fix="write it without a path, such as https://baray.example",
        )  # fmt: skip
    if given.startswith("http:") and not is_loopback(urlsplit(given).hostname or ""):
        raise CannotStart(
            f"BARAY_PUBLIC_URL: {given} is not protected by TLS: sessions would cross the network in the clear",
            "public_url", fix="write https://, and see that TLS is spoken there",
        )  # fmt: skip
    return given


def providers_of(settings: Settings) -> Providers:
    """The identity providers of the login file. Raises CannotStart with all that is wrong with it."""
    address = public_url(settings)
    if settings.login_file is None:
        return NoProviders()
    from api.identity.flow import OpenIdProviders  # a centre without providers does not pay for its libraries

    if not settings.public_url and not is_loopback(settings.host):
        raise CannotStart(
            "BARAY_LOGIN_FILE needs BARAY_PUBLIC_URL: providers send people back to it", "public_url",
            fix="set it to the address that people type, such as https://baray.example",
        )  # fmt: skip
    return OpenIdProviders(read_providers(settings.login_file), address)


def pages_of(settings: Settings, services: Services, providers: Providers) -> tuple[PageRoute, ...]:
    """The pages for people."""
    rules = SessionRules(settings.session_hours * HOUR_MS, settings.session_idle_minutes * MINUTE_MS)
    return pages(Portal(services, providers, rules, secure=public_url(settings).startswith("https:")))
