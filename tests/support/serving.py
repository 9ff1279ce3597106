"""The real application on a real port: one uvicorn a session, the application behind it changed for each test.

Called with urllib3, as the client does; an answer keeps its bytes, so that replays can be compared.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import urllib3
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.protocol import BoundedHttp

API = "/api/v1"


class Switch:
    """Passes requests to the application of the test that runs."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None, "no application is served"
        await self.app(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address, and where to put the application."""

    address: str
    switch: Switch


@contextmanager
def serve() -> Iterator[Served]:
    switch = Switch()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    config = uvicorn.Config(
        switch,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        ws_max_size=1 << 20,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", switch)
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``json`` is the body read as JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def version(self) -> int:
        """The version that its ETag tells of."""
        return int(self.headers["ETag"].strip('"').partition("-")[0])

    @property
    def code(self) -> str:
        """The stable name of a problem: what follows ``/problems/`` in its type."""
        return str(self.json["type"]).removeprefix("/problems/")


@dataclass(slots=True)
class Api:
    """Someone who calls the API with a token. ``as_`` is the same API in the hands of another."""

    address: str
    token: str | None
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(maxsize=32, retries=False, timeout=30)
    )

    def as_(self, token: str | None) -> "Api":
        return Api(self.address, token, self.pool)

    def call(
        self, method: str, path: str, body: Any = None, *, data: bytes | None = None,
        headers: Mapping[str, str] | None = None, query: Mapping[str, Any] | None = None,
    ) -> Answer:  # fmt: skip
        """``path`` is below ``/api/v1`` unless it begins with ``//``. ``body`` is sent as JSON, ``data`` as it is."""
        url = self.address + (path[1:] if path.startswith("//") else API + path)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if query:
            url += "?" + urlencode(dict(query), doseq=True)
        answer = self.pool.request(method, url, body=data, headers={**sent, **(headers or {})})
        return Answer(answer.status, answer.headers, answer.data)

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.call("PUT", path, body, **options)

    def change(self, path: str, body: Any = None, **options: Any) -> Answer:
        """The method that changes a part."""
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.call("DELETE", path, **options)

    def pages(self, path: str, limit: int, **query: Any) -> list[Any]:
        """All items of a list, page by page."""
        items: list[Any] = []
        cursor = None
        for _ in range(10_000):
            asked = {**query, "limit": limit, **({"cursor": cursor} if cursor else {})}
            answer = self.get(path, query=asked)
            assert answer.status == 200, answer.body
            assert len(answer.json["items"]) <= limit, "a page is longer than asked for"
            items += answer.json["items"]
            cursor = answer.json["next"]
            if cursor is None:
                return items
        raise AssertionError("the list has no end")
