"""The gateway: from a kubeconfig to an examination and a driver (on the stand-in)."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from domain.clusters import ClusterConfig
from domain.errors import Invalid
from domain.ids import AttemptId
from k8s.gateway import KubernetesGateway
from lifecycle.driving import Gateway
from runtime.clock import SystemClock
from tests.support.clock import FakeClock
from tests.support.kube.server import KubeServer

DAY_S = 86_400


class NoShelf:
    """Nothing runs here that would leave anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class NoPasses:
    def issue(self, attempt: AttemptId) -> str:
        raise AssertionError(attempt)

    def read(self, token: str) -> AttemptId:
        raise AssertionError(token)


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(auto=False) as running:
        running.add_node("cpu-1")
        yield running


def gateway(clock: Any = None) -> Gateway:
    return KubernetesGateway("centre", NoShelf(), NoPasses(), clock or SystemClock())


def test_from_a_kubeconfig_to_an_examination(server: KubeServer) -> None:
    access = gateway().read_access(server.kubeconfig(), None, ClusterConfig())
    found = gateway().examine(access, ClusterConfig())
    assert found.problems == ()
    assert [node.name for node in found.inventory.nodes] == ["cpu-1"]


def test_a_faulty_kubeconfig_is_refused() -> None:
    with pytest.raises(Invalid):
        gateway().read_access("{}", None, ClusterConfig())


def test_a_login_that_ends_soon_is_noted_and_one_that_ended_is_a_problem(server: KubeServer) -> None:
    clock = FakeClock(SystemClock().now_ms())
    now_s = clock.now_ms() // 1000
    claims = base64.urlsafe_b64encode(json.dumps({"exp": now_s + 10 * DAY_S}).encode()).decode().rstrip("=")
    token = f"e30.{claims}.x"
    server.who.tokens[token] = server.who.tokens["admin-token"]
    access = gateway(clock).read_access(server.kubeconfig(token), None, ClusterConfig())
    found = gateway(clock).examine(access, ClusterConfig())
    assert found.problems == ()
    assert "The login ends on" in found.notes[0]
    clock.advance(days=11)
    assert any("The login ended on" in problem for problem in gateway(clock).examine(access, ClusterConfig()).problems)


def test_a_driver_is_open_at_once_also_out_of_reach() -> None:
    with KubeServer(auto=False) as server:
        access = gateway().read_access(server.kubeconfig(), None, ClusterConfig())
    driver = gateway().open("far", access, ClusterConfig(), lambda: None)
    try:
        assert driver.inventory().nodes == ()
        assert driver.observe().whole is False
    finally:
        driver.close()


@pytest.mark.parametrize(
    "answer", [b'{"items": [7]}', b'{"items": [{}]}', b'{"items": [{"metadata": {"name": "n"}, "status": 3}]}']
)
def test_what_answers_like_no_api_server_is_a_problem_and_no_crash(answer: bytes) -> None:
    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"gitVersion": "v1.36.0"}' if self.path.startswith("/version") else answer
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Not here."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as liar:
        threading.Thread(target=liar.serve_forever, args=(0.02,), daemon=True).start()
        cluster = {"server": f"http://127.0.0.1:{liar.server_port}"}
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "c", "user": {"token": "x"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        }  # fmt: skip
        found = gateway().examine(json.dumps(document), ClusterConfig())
        liar.shutdown()
    assert found.problems
