"""A real centre as a child process in a directory of its own, set up over HTTP, and a bare client to load it with.

The client is ``http.client`` with one connection kept alive: the figure is the centre's, not a client library's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

FLAVOR = "h100-80gb"
NODES = ";".join(f"n{n}:{FLAVOR}=8,cpus=64,memory=256Gi" for n in range(8))
_DAY_MS = 86_400_000


@dataclass(slots=True)
class Rig:
    """A running centre with one project that may spend freely."""

    process: subprocess.Popen[str]
    connection: HTTPConnection
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises RuntimeError for any error: a benchmark has none to expect."""
        data = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, f"/api/v1{path}", data, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")
        return json.loads(text) if text else None

    def job(self, **more: Any) -> dict[str, Any]:
        return {"project": "bench", "command": ["true"], "resources": {"flavor": FLAVOR, "walltime": "5m"}, **more}

    def resident_mib(self) -> float:
        """Resident memory of the centre's processes: the service and the local driver's warden."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="utf-8")
        return sum(_resident_kib(pid) for pid in [str(self.process.pid), *children.split()]) / 1024

    def drain(self, limit_s: float = 300, poll_s: float = 0.02) -> None:
        """Wait until nothing waits or runs."""
        deadline = time.monotonic() + limit_s
        while self.call("GET", "/jobs?state=pending&state=starting&state=running&state=stopping&limit=1")["items"]:
            if time.monotonic() > deadline:
                raise RuntimeError("the centre did not finish in time")
            time.sleep(poll_s)


def _resident_kib(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) if found else 0


@contextmanager
def running(nodes: str = NODES) -> Iterator[Rig]:
    """A fresh centre on SQLite in a temporary directory, stopped and removed afterwards."""
    data = Path(tempfile.mkdtemp(prefix="baray-bench-"))
    data.chmod(0o711)
    environment = {**os.environ, "BARAY_LOG_LEVEL": "warning"}
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime", "up", "--port", "0", "--data-dir", str(data / "centre"), "--nodes", nodes],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        yield _set_up(process)
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(data, ignore_errors=True)


def _set_up(process: subprocess.Popen[str]) -> Rig:
    assert process.stdout is not None
    port, token = 0, ""
    while not (port and token):
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the centre did not start")
        if found := re.search(r"up at http://127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
        if found := re.search(r"first token.*: (\S+)", line):
            token = found[1]
    rig = Rig(process, HTTPConnection("127.0.0.1", port, timeout=120), token)
    now_ms = time.time_ns() // 1_000_000
    span = {"starts_ms": now_ms - _DAY_MS, "ends_ms": now_ms + 365 * _DAY_MS}
    rig.call("POST", "/tenants", {"name": "peer", "title": "Peer", "kind": "university"})
    rig.call("POST", "/projects", {"name": "bench", "title": "Bench", "tenant": "peer"})
    rig.call("POST", "/funders", {"name": "funder", "title": "Funder"})
    rig.call("POST", "/grants", {"name": "grant", "funder": "funder", "su": "100000000", **span})
    rig.call(
        "POST",
        "/allocations",
        {"project": "bench", "sources": [{"grant": "grant", "su": "90000000"}], "reason": "a figure", **span},
    )
    return rig
