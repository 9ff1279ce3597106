"""A real HTTP server that answers what a test tells it, and minds what it is asked.

It is strict: a call without the token or (on POST) without an idempotency key, a token in an address, a body that is
no JSON where it should be, or a call that no test foresaw is a complaint, and a complaint fails the test.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "tok-5ecret-0f-dara"
API = "/api/v1"


@dataclass(frozen=True)
class Answer:
    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None  # break the connection after so many bytes of the body
    drop: bool = False  # break it without any answer
    delay_s: float = 0.0


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Scripted = Answer | Callable[[Request], Answer]


def problem(status: int, code: str, detail: str, errors: Sequence[Mapping[str, Any]] = (), fixes: Sequence[str] = ()):
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": detail}
    body |= {"errors": list(errors), "fixes": list(fixes)}
    return Answer(status, body=json.dumps(body).encode(), headers={"Content-Type": "application/problem+json"})


def page(*items: Any, after: str | None = None) -> Answer:
    return Answer(json={"items": list(items), "next": after})


def events(*blocks: str, ended: bool = True) -> Answer:
    """A stream of server-sent events; one that did not end breaks off."""
    body = "".join(f"{block}\n\n" for block in blocks).encode()
    headers = {"Content-Type": "text/event-stream"}
    return Answer(body=body, headers=headers) if ended else Answer(body=body + b" " * 9, headers=headers, cut=len(body))


class Centre:
    """The server. ``on`` scripts it; the last answer of a route is given again and again."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self.connections = 0
        self.tokens = {TOKEN}
        self._script: dict[tuple[str, str], list[Scripted]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.centre = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on(self, route: str, *answers: Scripted | dict | list) -> None:
        """``on("GET /jobs/7", {...})``: a dict or list is answered as JSON."""
        method, path = route.split(" ", 1)
        self._script[method, path] = [
            Answer(201 if method == "POST" else 200, json=a) if isinstance(a, dict | list) else a for a in answers
        ]

    def asked(self, route: str) -> list[Request]:
        method, path = route.split(" ", 1)
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        answers = self._script.get((request.method, request.path))
        if not answers:
            self.complaints.append(f"nobody foresaw {request.method} {request.path}")
            return problem(404, "not-found", "no such thing")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request) if callable(answer) else answer

    def check(self, request: Request, target: str) -> Answer | None:
        if any(token in target for token in self.tokens):
            self.complaints.append(f"a token in the address {target}")
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return problem(401, "not-logged-in", "the token is unknown")
        if request.method == "POST" and not 1 <= len(request.headers.get("idempotency-key", "")) <= 200:
            self.complaints.append(f"{request.method} {request.path} without an idempotency key")
        if request.headers.get("content-type") == "application/json":
            try:
                json.loads(request.body)
            except ValueError:
                self.complaints.append(f"{request.method} {request.path} with broken JSON")
        elif request.body and request.path != "/sources":
            self.complaints.append(f"{request.method} {request.path} with a body of no type")
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32
    centre: Centre

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.centre.connections += 1

    def do(self) -> None:
        target = urlsplit(self.path)
        path = unquote(target.path)
        centre = self.server.centre
        if not path.startswith(API):
            centre.complaints.append(f"{path} is outside of the API")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = Request(self.command, path.removeprefix(API), parse_qs(target.query), headers, body)
        self.reply(centre.check(request, self.path) or centre.answer(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815  # http.server names them

    def reply(self, answer: Answer) -> None:
        time.sleep(answer.delay_s)
        if answer.drop:
            self.close_connection = True
            return
        body = (
            answer.body if answer.body is not None else b"" if answer.json is None else json.dumps(answer.json).encode()
        )
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if answer.cut is None else body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Silent."""


JOB = {
    "id": 1842,
    "name": "train",
    "project": "speech",
    "tenant": "cadt",
    "user": "dara",
    "state": "pending",
    "spec": {"project": "speech", "resources": {"gpus": 2, "nodes": 2, "flavor": "h100-80gb"}, "run": "nvidia-smi\n"},
    "submitted_ms": 1_760_000_000_000,
    "started_ms": None,
    "ended_ms": None,
    "reason": None,
    "tasks": {"total": 1, "pending": 1, "held": 0, "starting": 0, "running": 0, "stopping": 0}
    | {"succeeded": 0, "failed": 0, "cancelled": 0, "timed_out": 0},
    "cost": {"held_su": "0", "charged_su": "0"},
    "version": 1,
}


def job(**fields: Any) -> dict[str, Any]:
    return JOB | fields


def ended(state: str, **fields: Any) -> dict[str, Any]:
    return job(state=state, started_ms=1_760_000_060_000, ended_ms=1_760_000_125_000, **fields)


def attempt(number: int = 1, task: str = "1842", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"{task}.{number}",
        "state": "failed",
        "cluster": "here",
        "flavor": "h100-80gb",
        "placements": [{"node": "n1", "devices": [0, 1]}],
        "created_ms": 1_760_000_050_000,
        "started_ms": 1_760_000_060_000,
        "ended_ms": 1_760_000_125_000,
        "exit_code": 137,
        "signal": None,
        "detail": "",
        "out_of_memory": False,
        "gpu_ms": 130_000,
        "charged_su": "0.2",
    } | fields
