"""A real OpenID provider and a real browser, or the reason why there is none."""

from collections.abc import Iterator

import pytest

from tests.identity import browser as browsing
from tests.identity import rig
from tests.identity.browser import Browser, Tab
from tests.identity.rig import Provider
from tests.identity.visitor import Visitor


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[Provider]:
    if why := rig.missing():
        pytest.skip(why)
    with Provider() as running:
        yield running


@pytest.fixture
def provider(shared_provider: Provider) -> Iterator[Provider]:
    """The provider that most tests share: after each test it is as new, but for its keys."""
    yield shared_provider
    shared_provider.reset()


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    one = Visitor()
    yield one
    one.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if why := browsing.missing():
        pytest.skip(why)
    with Browser() as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """A fresh tab; a page that asked for anything outside this machine fails the test."""
    with browser.tab() as one:
        yield one
        assert one.strangers == []
