"""Logging in with a real browser: from the front page to a provider and home, a device's code, and out again."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lifecycle import devices
from tests.identity.browser import Browser, Tab
from tests.identity.door import PASSWORD, Door
from tests.identity.rig import Provider
from tests.identity.test_login import SOK
from tests.support.marks import on_sqlite

pytestmark = on_sqlite

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark-phone": {"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"},
}


@pytest.fixture(autouse=True)
def sok(provider: Provider) -> None:
    provider.user("sok", **SOK)


def _to_provider_and_back(door: Door, tab: Tab, username: str = "sok") -> None:
    tab.open(f"{door.address}/")
    tab.press("Log in")
    tab.press("Log in with Campus")
    tab.fill("username", username)
    tab.press("Log in")
    tab.wait_for(f"{door.address}/")


def test_a_person_logs_in_and_out_by_clicks_alone(door: Door, tab: Tab) -> None:
    _to_provider_and_back(door, tab)
    assert tab.title == "Home · Baray"
    assert "Hello, Sok Dara" in tab.text()
    (session,) = [one for one in tab.cookies() if one.name == "baray"]
    assert (session.http_only, session.same_site, session.path) == (True, "Lax", "/")
    assert tab.run("document.cookie") == ""
    tab.press("Log out")
    tab.wait_for(f"{door.provider.issuer}/**")
    tab.press("Log out")
    tab.wait_for(f"{door.address}/")
    assert "You are logged out, here and where you logged in." in tab.text()
    assert not any(one.name == "baray" for one in tab.cookies())
    assert tab.console == []


@pytest.mark.promise(8)
def test_a_revoked_session_is_over_at_the_next_click(door: Door, tab: Tab, provider: Provider) -> None:
    _to_provider_and_back(door, tab)
    tab.press("Log in a command line")
    assert "Type the code" in tab.text()
    provider.revoke("1")
    tab.press("Baray")
    assert "Your session has ended" in tab.text()


def test_a_device_is_approved_after_a_login_on_the_way(door: Door, tab: Tab) -> None:
    door.set_password("dara")
    with door.centre.store.write() as uow:
        device, code = devices.begin(uow, "baray on laptop", "192.0.2.7", door.clock.now_ms())
    tab.open(f"{door.address}/device?user_code={device.user_code}")
    tab.fill("name", "dara")
    tab.fill("password", PASSWORD)
    tab.press("Log in")
    tab.press("Go on")
    assert "192.0.2.7" in tab.text()
    tab.press("Allow")
    assert "The device is logged in" in tab.text()
    token, _ = devices.claim(door.centre.store, code, door.clock.now_ms(), 1_000)
    assert door.ask(lambda uow: uow.people.user_names([token.user_id])) == {token.user_id: "dara"}
    assert tab.console == []


@pytest.fixture
def tabs(browser: Browser) -> Iterator[dict[str, Tab]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(browser.tab(**options)) for name, options in LOOKS.items()}


def test_every_page_fits_and_breaks_no_rule_of_its_policy(door: Door, tabs: dict[str, Tab], tmp_path: Path) -> None:
    """The pictures are in the test's directory, for somebody's eyes."""
    door.set_password("dara")
    for look, tab in tabs.items():
        with door.centre.store.write() as uow:
            device, _ = devices.begin(uow, "baray on a laptop with a long name", "192.0.2.7", door.clock.now_ms())
        seen = []

        def see(name: str, tab: Tab = tab, look: str = look, seen: list[str] = seen) -> None:
            tab.screenshot(tmp_path / f"{name}-{look}.png")
            assert tab.run("document.documentElement.scrollWidth <= window.innerWidth"), (name, look)
            assert tab.run("getComputedStyle(document.querySelector('.card')).borderRadius") == "12px", (name, look)
            seen.append(name)

        tab.open(f"{door.address}/")
        see("welcome")
        tab.press("Log in")
        see("login")
        tab.open(f"{door.address}/login/campus/callback?state=x")
        see("error")
        _to_provider_and_back(door, tab)
        see("waiting")
        tab.open(f"{door.address}/login?again=1")
        see("again")
        tab.forget()
        tab.open(f"{door.address}/device?user_code={device.user_code}")
        tab.fill("name", "dara")
        tab.fill("password", PASSWORD)
        tab.press("Log in")
        see("code")
        tab.press("Go on")
        see("device")
        tab.press("Allow")
        see("decided")
        tab.press("Baray")
        see("home")
        tab.press("Change your password")
        see("password")
        tab.open(f"{door.address}/logout")
        see("logout")
        assert len(seen) == 11
        assert [line for line in tab.console if "401" not in line] == []
        assert tab.strangers == []
