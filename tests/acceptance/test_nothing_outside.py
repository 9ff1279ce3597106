"""Promise 10: nothing calls outside the centre's network. A whole centre runs a job with every connection written down."""

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.serving import Api

NODES = "n1:h100-80gb=1,cpus=2,memory=2Gi"

# A hook in the interpreter itself, below every library.
WATCH = """
import json, sys

told = open(sys.argv.pop(1), "a", buffering=1)

def hook(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"}:
        told.write(json.dumps([event, repr(arguments[1:] if event == "socket.connect" else arguments)]) + "\\n")

sys.addaudithook(hook)
"""
SERVICE = f"{WATCH}\nfrom runtime.__main__ import main\nmain(prog_name='baray')\n"
STRANGER = f"{WATCH}\nimport socket\nsocket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))\n"


def allowed(event: str, arguments: str) -> bool:
    """Loopback, and sockets that are files of this machine."""
    return (
        "127.0.0.1" in arguments
        or "'localhost'" in arguments
        or (event == "socket.connect" and arguments.startswith("('/"))
    )


def outside(told: Path) -> list[list[str]]:
    """The calls that left the machine."""
    calls = [json.loads(line) for line in told.read_text().splitlines()]
    return [call for call in calls if not allowed(*call)]


def test_the_watch_does_bark(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", STRANGER, str(tmp_path / "told")], check=True)
    assert outside(tmp_path / "told") == [["socket.connect", "(('192.0.2.1', 9),)"]]


@pytest.mark.promise(10)
def test_a_centre_that_runs_a_job_calls_nobody() -> None:
    with tempfile.TemporaryDirectory(prefix="baray-outside-") as made:
        root = Path(made)
        root.chmod(0o711)
        service = [
            sys.executable,
            "-c",
            SERVICE,
            str(root / "told"),
            "up",
            "--data-dir",
            str(root / "data"),
            "--port",
            "0",
        ]
        with subprocess.Popen(
            [*service, "--nodes", NODES], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                _work(process)
            finally:
                process.terminate()
        assert outside(root / "told") == []


def _work(process: "subprocess.Popen[str]") -> None:
    """A job from submission to the report, on a centre that was just founded."""
    assert process.stdout is not None
    said = ""
    while "first token" not in said:
        line = process.stdout.readline()
        assert line, "it does not start"
        said += line
    port, token = re.search(r"up at http://127\.0\.0\.1:(\d+)", said), re.search(r"first token.*: (\S+)", said)
    assert port is not None
    assert token is not None
    api = Api(f"http://127.0.0.1:{port[1]}", token[1])
    now_ms = time.time_ns() // 1_000_000
    span = {"starts_ms": now_ms - 1_000, "ends_ms": now_ms + 10**9}
    for path, body in (
        ("/tenants", {"name": "rupp", "title": "A university", "kind": "university"}),
        ("/projects", {"name": "speech", "title": "Speech", "tenant": "rupp"}),
        ("/funders", {"name": "moef", "title": "A ministry"}),
        ("/grants", {"name": "g", "funder": "moef", "su": "10", **span}),
        ("/allocations", {"project": "speech", "sources": [{"grant": "g", "su": "9"}], "reason": "a test", **span}),
        ("/jobs", {"project": "speech", "run": "echo done", "resources": {"flavor": "h100-80gb", "walltime": "1m"}}),
    ):
        assert api.post(path, body).status == 201
    assert api.get("/jobs/1/wait", query={"timeout_s": 25}).json["state"] == "succeeded"
    assert api.get("/usage").json["agrees"]
    assert api.get("//metrics").status == 200
