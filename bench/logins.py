"""How long a person waits from the login page to their home, on loopback: with a name and a password, and through a provider.

Through the provider means all of it: its own pages, and what it and the centre say to each other. The provider is that of the
tests (npm oidc-provider), on the same cores.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

from bench.rig import Rig, running
from tests.identity import rig as providers
from tests.identity.visitor import Page, Visitor

_LOGINS = 30
_WARM = 5
_PASSWORD = "several unrelated wooden words"
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
_FILE = """
[[provider]]
name = "bench"
title = "Bench"
issuer = "{issuer}"
client_id = "baray"
client_secret_file = "secret"
"""


def built_in(runs: int) -> list[float]:
    """Milliseconds with a name and a password; hashing it takes most of them, on purpose."""
    with running() as rig:
        address = _address(rig)
        rig.call("POST", "/users", {"name": "sok", "title": "Sok"})
        given = rig.call("POST", "/users/sok/password")["password"]
        visitor = Visitor()
        page = _sent(visitor, visitor.get(f"{address}/login"), name="sok", password=given)
        _sent(visitor, page, old=given, new=_PASSWORD, repeated=_PASSWORD)

        def log_in() -> Page:
            person = Visitor()
            return _sent(person, person.get(f"{address}/login"), name="sok", password=_PASSWORD)

        return [_took_ms(log_in, f"{address}/") for _ in range(runs * _LOGINS + _WARM)][_WARM:]


def through_provider(runs: int) -> list[float]:
    """Milliseconds through the provider."""
    with providers.Provider() as provider, _configured(provider), running() as rig:
        address = _address(rig)
        provider.client("baray", [f"{address}/login/bench/callback"])
        provider.user("sok", name="Sok", preferred_username="sok")

        def log_in() -> Page:
            visitor = Visitor()
            visitor.get(f"{address}/login")
            return visitor.log_in(visitor.get(f"{address}/login/bench"), "sok")

        return [_took_ms(log_in, f"{address}/") for _ in range(runs * _LOGINS + _WARM)][_WARM:]


def skipped() -> str | None:
    return providers.missing()


def _sent(visitor: Visitor, page: Page, **fields: str) -> Page:
    """The page that follows a form, sent to the address that showed it."""
    hidden = {name: unescape(value) for name, value in _HIDDEN.findall(page.text)}
    return visitor.post(page.url, **fields, **hidden)


def _took_ms(log_in: Callable[[], Page], home: str) -> float:
    begun = time.perf_counter()
    page = log_in()
    took_ms = (time.perf_counter() - begun) * 1_000
    if page.status != 200 or page.url != home or "Hello" not in page.text:
        raise RuntimeError(f"the login ended at {page.url} with {page.status}")
    return took_ms


def _address(rig: Rig) -> str:
    return f"http://127.0.0.1:{rig.connection.port}"


@contextmanager
def _configured(provider: providers.Provider) -> Iterator[None]:
    """The next centre knows the provider."""
    with tempfile.TemporaryDirectory(prefix="baray-bench-") as root:
        (Path(root) / "secret").write_text("secret-of-baray-long-enough-for-everything", encoding="utf-8")
        file = Path(root) / "login.toml"
        file.write_text(_FILE.format(issuer=provider.issuer), encoding="utf-8")
        os.environ["BARAY_LOGIN_FILE"] = str(file)
        try:
            yield
        finally:
            del os.environ["BARAY_LOGIN_FILE"]
