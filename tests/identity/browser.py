"""A person's browser: headless Chromium in the hands of a test. One browser a session, and for each test a fresh tab
with cookies of its own.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, Route, sync_playwright

CHROMIUM = "BARAY_TEST_CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PATIENCE_MS = 15_000
_T = TypeVar("_T")


def missing() -> str | None:
    """Why no browser can run here, or None."""
    if _binary() is None:
        return f"no Chromium: install the system's package `chromium`, or set {CHROMIUM} to one, beside `make provider`"
    return None


def _binary() -> str | None:
    given = os.environ.get(CHROMIUM)
    return given or next((found for name in _NAMES if (found := shutil.which(name))), None)


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie as the browser keeps it; ``expires_s`` is -1 for one that ends with the browser."""

    name: str
    value: str
    domain: str
    path: str
    secure: bool
    http_only: bool
    same_site: str
    expires_s: float


class Browser:
    """A running Chromium, until the ``with`` ends.

    Playwright lives in a thread of its own: its event loop would forbid others' loops in the thread of the tests.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "browser")
        try:
            self._thread.submit(self._start).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        try:
            self._chromium = self._playwright.chromium.launch(
                executable_path=_binary(),
                chromium_sandbox=False,  # it cannot be had as root, and the pages are our own
                args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"],
            )
        except BaseException:
            self._playwright.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    def _stop(self) -> None:
        self._chromium.close()
        self._playwright.stop()

    @contextmanager
    def tab(self, **options: Any) -> Iterator["Tab"]:
        """A tab of a person who was never here before; ``options`` are Playwright's of a new context."""
        tab = self._thread.submit(lambda: Tab(self._thread, self._chromium.new_context(**options))).result()
        try:
            yield tab
        finally:
            tab.close()


class Tab:
    """One page with its own cookies. What it would load from outside this machine is refused, and told in ``strangers``."""

    def __init__(self, thread: ThreadPoolExecutor, context: BrowserContext) -> None:
        self._thread, self._context = thread, context
        self._console: list[str] = []
        self._requests: list[tuple[str, str]] = []
        self._strangers: list[str] = []
        self._document: Response | None = None
        context.set_default_timeout(_PATIENCE_MS)
        context.route(_outside, self._refuse)
        self._page: Page = context.new_page()
        self._page.on("console", self._hear)
        self._page.on("pageerror", lambda error: self._console.append(str(error)))
        self._page.on("request", self._note)
        self._page.on("response", self._keep)

    def _do(self, act: Callable[[], _T]) -> _T:
        return self._thread.submit(act).result()

    def close(self) -> None:
        self._do(self._context.close)

    # What a person does

    def open(self, url: str) -> None:
        """Waits until the page has loaded, wherever it was sent on to."""
        self._do(lambda: self._page.goto(url))

    def fill(self, field: str, text: str) -> None:
        """``field`` is the name of an input of the page."""
        self._do(lambda: self._page.fill(f'[name="{field}"]', text))

    def press(self, name: str, *, stays: bool = False) -> None:
        """Presses the button, or follows the link, of this name, and waits for the page that follows, unless it ``stays``."""

        def act() -> None:
            target = self._page.get_by_role("button", name=name, exact=True)
            target = target.or_(self._page.get_by_role("link", name=name, exact=True))
            if stays:
                target.click()
                return
            with self._page.expect_navigation():
                target.click()

        self._do(act)

    def reload(self) -> None:
        self._do(self._page.reload)

    def back(self) -> None:
        self._do(self._page.go_back)

    def forget(self) -> None:
        """All cookies go, as in a browser that was closed."""
        self._do(self._context.clear_cookies)

    # What a person sees, and what the browser knows

    @property
    def url(self) -> str:
        return self._do(lambda: self._page.url)

    @property
    def title(self) -> str:
        return self._do(self._page.title)

    @property
    def status(self) -> int:
        """The HTTP status of the page shown."""
        assert self._document is not None, "no page was opened"
        return self._document.status

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the page shown, in lower case."""
        document = self._document
        assert document is not None, "no page was opened"
        return self._do(document.all_headers)

    def text(self, selector: str = "body") -> str:
        """What can be read in the first element of the CSS selector; waits for it."""
        return self._do(lambda: self._page.inner_text(selector))

    def count(self, selector: str) -> int:
        return self._do(lambda: self._page.locator(selector).count())

    def wait_for(self, url: str) -> None:
        """Until the address is this (a pattern with ``**``)."""
        self._do(lambda: self._page.wait_for_url(url))

    def run(self, script: str) -> Any:
        """The value of a piece of JavaScript in the page."""
        return self._do(lambda: self._page.evaluate(script))

    def cookies(self) -> list[Cookie]:
        return [
            Cookie(
                one["name"], one["value"], one["domain"], one["path"], one["secure"], one["httpOnly"],
                one["sameSite"], one["expires"],
            )
            for one in self._do(self._context.cookies)
        ]  # fmt: skip

    def screenshot(self, path: Path) -> Path:
        self._do(lambda: self._page.screenshot(path=path, full_page=True))
        return path

    @property
    def console(self) -> list[str]:
        """Errors and warnings of the pages so far."""
        return self._heard(self._console)

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Method and address of all that was asked for so far."""
        return self._heard(self._requests)

    @property
    def strangers(self) -> list[str]:
        """Addresses outside this machine that pages asked for; there should be none."""
        return self._heard(self._strangers)

    def _heard(self, what: list[_T]) -> list[_T]:
        # A turn of the page lets its earlier events arrive.
        self._do(lambda: self._page.evaluate("1"))
        return list(what)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._console.append(message.text)

    def _note(self, request: Request) -> None:
        self._requests.append((request.method, request.url))

    def _keep(self, response: Response) -> None:
        if response.request.is_navigation_request() and response.frame == self._page.main_frame:
            self._document = response

    def _refuse(self, route: Route) -> None:
        self._strangers.append(route.request.url)
        route.abort()


def _outside(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in {"data", "blob", "about"} and parts.hostname not in _LOOPBACK
