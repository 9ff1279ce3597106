"""A Kubernetes driver on a stand-in cluster of its own, whose containers are real processes."""

import http.server
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from domain.clusters import ClusterConfig
from domain.ids import AttemptId, parse_attempt
from k8s import names
from k8s.client import Client
from k8s.driver import KubernetesDriver
from runtime.clock import SystemClock
from store.shelf import FileShelf
from tests.contracts.driver_contract import until
from tests.support.kube.server import KubeServer

MIB = 1 << 20
ORIGIN = "baray-test"
PROJECT = "khmer-asr"


class PlainPasses:
    """See ``lifecycle.driving.Passes``: the attempt's id, for all to read."""

    def issue(self, attempt: AttemptId) -> str:
        return f"pass-{attempt}"

    def read(self, token: str) -> AttemptId:
        return parse_attempt(token.removeprefix("pass-"))


class Uploads(http.server.ThreadingHTTPServer):
    """What of the centre pods speak to: it takes outputs to the shelf."""

    daemon_threads = True

    def __init__(self, shelf: FileShelf) -> None:
        self.shelf = shelf
        super().__init__(("127.0.0.1", 0), _Upload)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Upload(http.server.BaseHTTPRequestHandler):
    server: Uploads

    def do_PUT(self) -> None:
        attempt = PlainPasses().read(self.headers["Authorization"].removeprefix("Pass "))
        data = self.rfile.read(int(self.headers["Content-Length"]))
        (path,) = parse_qs(urlsplit(self.path).query)["path"]
        self.server.shelf.add_output(attempt, path, [data])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(json.dumps({}).encode())

    def log_message(self, *_: object) -> None:
        """Not here."""


class KubeRig:
    """See ``tests.contracts.driver_contract.Rig``."""

    node = "node-1"

    def __init__(
        self, root: Path, *, patience_s: float = 5.0, pace: dict[str, float] | None = None, **server: Any
    ) -> None:  # fmt: skip
        self.wakes = 0
        self.patience_s, self.pace = patience_s, pace or {}
        self.kube = KubeServer(**{"processes": True, "absent": ("kueue.x-k8s.io",), **server})
        for number in range(1, 4):
            self.kube.add_node(f"node-{number}", **{"nvidia.com/gpu": 8})
        self.admin = Client(self.kube.access())
        self.namespace = names.namespace("baray-", PROJECT)
        self.shelf = FileShelf(root / "shelf", log_limit_bytes=4 * MIB, output_limit_bytes=4 * MIB)
        self.uploads = Uploads(self.shelf)
        self.config = ClusterConfig(image="registry.centre.example/base:1", centre_url=self.uploads.url)
        self.driver = self.made()

    def made(self, shelf: FileShelf | None = None) -> KubernetesDriver:
        driver = KubernetesDriver(
            "far", Client(self.kube.access(), timeout_s=self.patience_s), self.config, ORIGIN, shelf or self.shelf, PlainPasses(),
            SystemClock(), self._count, **self.pace,
        )  # fmt: skip
        assert driver.eyes.wait(10.0)
        until(lambda: driver.inventory().nodes)
        return driver

    def _count(self) -> None:
        self.wakes += 1

    def reopen(self) -> KubernetesDriver:
        self.driver.close()
        self.driver = self.made()
        return self.driver

    def close(self) -> None:
        with suppress(Exception):
            self.driver.close()
        self.admin.close()
        self.kube.close()
        self.uploads.close()
