"""A person without a browser: HTTP with cookies and redirects, for the many tests that look at no page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import urllib3

_HOPS = 20


@dataclass(frozen=True, slots=True)
class Page:
    """An answer, and the address at which it was found."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def query(self) -> dict[str, str]:
        """The parameters in its address."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}


class Visitor:
    """Keeps cookies by host, as browsers do, whatever the port. Follows redirects, but does not go to an address that
    begins with one of ``stops``: its page is empty, with status 0.
    """

    def __init__(self, *stops: str) -> None:
        self.stops = stops
        self.cookies: dict[tuple[str, str], str] = {}
        self.visited: list[str] = []
        self._pool = urllib3.PoolManager(timeout=10.0, retries=False)

    def close(self) -> None:
        self._pool.clear()

    def get(self, url: str, **query: str) -> Page:
        return self._walk("GET", f"{url}?{urlencode(query)}" if query else url, None)

    def post(self, url: str, **fields: str) -> Page:
        return self._walk("POST", url, fields)

    def log_in(self, page: Page, username: str) -> Page:
        """Fills in the provider's form, on the page that shows it."""
        return self.post(page.url, username=username, action="login")

    def _walk(self, method: str, url: str, fields: Mapping[str, str] | None) -> Page:
        for _ in range(_HOPS):
            self.visited.append(url)
            if url.startswith(self.stops):
                return Page(url, 0, {}, "")
            page = self._ask(method, url, fields)
            if page.status not in {301, 302, 303, 307, 308}:
                return page
            url = urljoin(url, page.headers["location"])
            if page.status in {301, 302, 303}:
                method, fields = "GET", None
        raise AssertionError(f"more than {_HOPS} redirects, the last to {url}")

    def _ask(self, method: str, url: str, fields: Mapping[str, str] | None) -> Page:
        host = urlsplit(url).hostname or ""
        own = "; ".join(f"{name}={value}" for (owner, name), value in self.cookies.items() if owner == host)
        body = None if fields is None else urlencode(fields)
        headers = {"Cookie": own} if own else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = self._pool.request(method, url, body=body, headers=headers, redirect=False)
        for line in answer.headers.getlist("set-cookie"):
            self._take(host, line)
        plain = {name.lower(): value for name, value in answer.headers.items()}
        return Page(url, answer.status, plain, answer.data.decode())

    def _take(self, host: str, line: str) -> None:
        name, _, value = line.split(";", maxsplit=1)[0].partition("=")
        gone = "max-age=0" in line.lower() or "01 jan 1970" in line.lower()
        if gone or not value:
            self.cookies.pop((host, name), None)
        else:
            self.cookies[(host, name)] = value
