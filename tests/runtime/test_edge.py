"""The centre's own process meets the network: TLS, its log, and what it does not start with."""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from api.http.rates import Rate
from domain.errors import CannotStart
from runtime import edge
from runtime.settings import Settings
from runtime.up import read_settings
from tests.support.certificates import Authority, Pair

NODES = "n1:h100-80gb=1,cpus=2,memory=2Gi"


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="baray-edge-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@contextmanager
def up(root: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """A centre that runs: its address, and its first token. What it logs is in ``log``."""
    command = [sys.executable, "-m", "runtime", "up", "--data-dir", str(root / "data"), "--port", "0", "--nodes", NODES]
    with (
        (root / "log").open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().rpartition(" ")[2].strip()
            token = next(line.rpartition(" ")[2].strip() for line in process.stdout if "first token" in line)
            yield address, token
        finally:
            process.terminate()


def test_it_speaks_tls_with_who_trusts_its_authority(root: Path) -> None:
    authority = Authority(root, "centre")
    pair = authority.issue("server")
    with up(root, BARAY_TLS_CERT=str(pair.cert), BARAY_TLS_KEY=str(pair.key)) as (address, token):
        assert address.startswith("https://127.0.0.1:")
        trusting = urllib3.PoolManager(ca_certs=str(authority.file), retries=False)
        answer = trusting.request("GET", f"{address}/api/v1/whoami", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        with pytest.raises(urllib3.exceptions.SSLError):
            urllib3.PoolManager(retries=False).request("GET", f"{address}/healthz")
        with pytest.raises(urllib3.exceptions.ProtocolError):
            urllib3.PoolManager(retries=False).request("GET", address.replace("https", "http") + "/healthz")
        port = int(address.rpartition(":")[2])
        assert handshake(port, authority, ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"
        version, cipher = handshake(port, authority, ssl.TLSVersion.TLSv1_2)
        assert version == "TLSv1.2"
        assert cipher.startswith("ECDHE-")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, authority, ssl.TLSVersion.TLSv1_1)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(port, authority, ssl.TLSVersion.TLSv1_2, "AES256-SHA:AES128-SHA")


def handshake(
    port: int, authority: Authority, version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0"
) -> tuple[str, str]:
    context = ssl.create_default_context(cafile=str(authority.file))
    context.minimum_version = min(version, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = version
    context.set_ciphers(ciphers)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as line,
    ):
        cipher = line.cipher()
        assert cipher is not None
        return str(line.version()), cipher[0]


def test_the_access_log_holds_one_true_line_a_request_and_nothing_of_the_callers(root: Path) -> None:
    """Whatever is put into addresses and headers, every line is ours and has our fields alone."""
    given = "0123456789abcdef"
    nasty = '"}\\n{"event": "request", "level": "error", "user_id": 7}'
    with up(root, BARAY_ACCESS_LOG="all") as (address, token):
        pool = urllib3.PoolManager(retries=False)
        port = int(address.rpartition(":")[2])
        for path in (
            "/api/v1/whoami",
            "/api/v1/jobs/77?secret=hunter2",
            "/api/v1/jobs/%0a%7b%22event%22:%22x%22%7d",
            "/%1b[31m",
        ):
            headers = {"Authorization": f"Bearer {token}", "X-Request-Id": given, "User-Agent": nasty, "X-Evil": nasty}
            pool.request("GET", address + path, headers=headers)
        pool.request("POST", f"{address}/api/v1/jobs", body=b"{", headers={"Authorization": f"Bearer {nasty}"})
        for raw in (
            b"GET /a\rb HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 0123456789abcdef\n{\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
                line.sendall(raw)
                line.recv(1024)
    text = (root / "log").read_text()
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    lines = [event for event in events if event["event"] == "request"]
    ours = {"event", "level", "timestamp", "method", "route", "status", "ms", "bytes", "user_id", "request_id"}
    assert [set(line) for line in lines] == [ours] * len(lines)
    assert [(line["route"], line["status"], line["request_id"] == given) for line in lines[:5]] == [
        ("/api/v1/whoami", 200, True),
        ("/api/v1/jobs/{job}", 404, True),
        ("/api/v1/jobs/{job}", 422, True),
        ("", 404, True),
        ("/api/v1/jobs", 422, False),
    ]
    assert isinstance(lines[0]["user_id"], int)
    assert lines[0]["bytes"] > 0
    assert lines[0]["ms"] >= 0
    for secret in (token, "hunter2", nasty, "\x1b", "X-Evil", "127.0.0.1"):
        assert secret not in text, secret


def test_of_problems_alone_by_default(root: Path) -> None:
    with up(root) as (address, token):
        pool = urllib3.PoolManager(retries=False)
        for sent in (token, token, "bry_none"):
            pool.request("GET", f"{address}/api/v1/whoami", headers={"Authorization": f"Bearer {sent}"})
    events = [json.loads(line) for line in (root / "log").read_text().splitlines() if line.startswith("{")]
    lines = [(event["route"], event["status"], event["level"]) for event in events if event["event"] == "request"]
    assert lines == [("/api/v1/whoami", 401, "warning")]


def no(settings: Settings, asked: Callable[[Settings], object], message: str, fix: str) -> None:
    with pytest.raises(CannotStart) as refused:
        asked(settings)
    assert message in refused.value.message
    assert fix in (refused.value.faults[0].fix or "")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate_per_token": "many"}, "BARAY_RATE_PER_TOKEN: 'many' is no rate"),
        ({"rate_per_address": "10"}, "BARAY_RATE_PER_ADDRESS: '10' is no rate"),
        ({"rate_failures": "0/5"}, "BARAY_RATE_FAILURES: '0/5' is no rate"),
        ({"rate_per_token": "1/0"}, "is no rate"),
        ({"cors_origins": "*"}, "BARAY_CORS_ORIGINS: '*' is no origin"),
        ({"cors_origins": "https://a.example/path"}, "is no origin"),
        ({"cors_origins": "null"}, "is no origin"),
        ({"cors_origins": "https://A.example"}, "is no origin"),
        ({"trusted_proxies": "10.0.0.1/8"}, "BARAY_TRUSTED_PROXIES: '10.0.0.1/8' is no network"),
        ({"trusted_proxies": "proxy.example"}, "is no network"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, str], message: str) -> None:
    no(Settings(**given), edge.edge_of, message, "")


def test_settings_become_the_edge() -> None:
    made = edge.edge_of(
        Settings(
            rate_per_token="0", rate_per_address="2.5/10", trusted_proxies="10.0.0.0/8 ::1",
            cors_origins="https://portal.example http://[::1]:3000",
        )
    )  # fmt: skip
    assert (made.limits.per_token, made.limits.per_address) == (None, Rate(2.5, 10))
    assert [str(one) for one in made.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert made.cors_origins == ("https://portal.example", "http://[::1]:3000")
    with pytest.raises(CannotStart, match="BARAY_ACCESS_LOG"):
        read_settings({"access_log": "loud"})


@pytest.fixture
def pair(root: Path) -> Pair:
    return Authority(root, "centre").issue("server")


def test_half_of_tls_is_none(root: Path, pair: Pair) -> None:
    other = Authority(root, "other").issue("server")
    for cert, key in ((pair.cert, None), (None, pair.key)):
        no(Settings(tls_cert=cert, tls_key=key), edge.tls_of, "only one of them is given", "set both")
    for cert, key in (
        (pair.cert, other.key),
        (pair.key, pair.cert),
        (root / "none", pair.key),
        (pair.cert, root / "none"),
    ):
        no(Settings(tls_cert=cert, tls_key=key), edge.tls_of, "cannot be used", "BARAY_TLS_CERT and BARAY_TLS_KEY")


@pytest.mark.skipif(os.geteuid() != 0, reason="without root only loopback is served at all")
def test_tokens_do_not_cross_a_network_in_the_clear(pair: Pair) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "centre.example"):
        no(Settings(host=host), edge.check_host, "without TLS the centre serves loopback only", "BARAY_BEHIND_PROXY")
        edge.check_host(Settings(host=host, behind_proxy=True))
        edge.check_host(Settings(host=host, tls_cert=pair.cert, tls_key=pair.key))
    for host in ("127.0.0.1", "127.0.0.7", "::1", "localhost"):
        edge.check_host(Settings(host=host))
