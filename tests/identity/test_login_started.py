"""Logging in at the service as an administrator starts it: over TLS, with its settings and its file, in a real browser."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.identity.browser import Browser
from tests.identity.rig import Provider
from tests.support.certificates import Authority

FILE = """
[[provider]]
name = "campus"
title = "Campus"
issuer = "{issuer}"
client_id = "baray"
client_secret_file = "campus.secret"
"""


@contextmanager
def started(root: Path, **settings: str) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "runtime", "up", "--data-dir", str(root / "data"), "--port", "0", "--nodes", "n1:cpus=1,memory=1Gi"]  # fmt: skip
    named = {f"BARAY_{name.upper()}": value for name, value in settings.items()}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **named}
    )
    try:
        assert process.stdout is not None
        found = re.search(r"up at (\S+)", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.promise(8)
def test_a_session_over_tls_is_kept_as_closely_as_browsers_can(provider: Provider, browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        root.chmod(0o711)
        pair = Authority(root, "centre").issue("baray")
        client = "secret-of-baray-long-enough-for-everything"
        (root / "campus.secret").write_text(client, encoding="utf-8")
        (root / "login.toml").write_text(FILE.format(issuer=provider.issuer), encoding="utf-8")
        settings = {"tls_cert": str(pair.cert), "tls_key": str(pair.key), "login_file": str(root / "login.toml")}
        with started(root, **settings) as address, browser.tab(ignore_https_errors=True) as tab:
            assert address.startswith("https://")
            provider.client("baray", [f"{address}/login/campus/callback"], logouts=[f"{address}/logout"])
            provider.user("sok", name="Sok")
            tab.open(f"{address}/")
            tab.press("Log in")
            tab.press("Log in with Campus")
            tab.fill("username", "sok")
            tab.press("Log in")
            tab.wait_for(f"{address}/")
            assert "Hello, Sok" in tab.text()
            (cookie,) = [one for one in tab.cookies() if one.domain == "127.0.0.1"]
            kept = (cookie.name, cookie.secure, cookie.http_only, cookie.same_site, cookie.path)
            assert kept == ("__Host-baray", True, True, "Lax", "/")
            tab.press("Log out")
            tab.wait_for(f"{provider.issuer}/**")
            tab.press("Log out")
            tab.wait_for(f"{address}/")
            assert "You are logged out, here and where you logged in." in tab.text()
            assert [one for one in tab.cookies() if one.domain == "127.0.0.1"] == []
            assert tab.console == []
