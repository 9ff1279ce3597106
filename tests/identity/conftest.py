"""A real OpenID provider and a real browser, or the reason why there is none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.identity import browser as browsing
from tests.identity import rig
from tests.identity.browser import Browser, Tab
from tests.identity.door import Door
from tests.identity.rig import Provider
from tests.identity.visitor import Visitor
from tests.support.centre import Centre
from tests.support.serving import Served


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


@pytest.fixture
def make_door(centre: Centre, server: Served, provider: Provider, tmp_path: Path) -> Callable[..., Door]:
    """Opens the small centre's pages, with the provider as its only one unless told otherwise."""

    def made(**options: Any) -> Door:
        return Door.open(centre, server, provider, tmp_path, **options)

    return made


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()
