"""X-Road's own listener: who it lets in, that it starts whole or not at all, and that it ends with the process."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from domain.errors import CannotStart
from lifecycle.rights import Service
from runtime.settings import Settings
from runtime.xroad import Door, address_of, door_of, is_on, registry_of
from tests.support.centre import Centre
from tests.support.certificates import Pair
from tests.support.marks import on_sqlite
from tests.support.security_server import Consumer
from tests.xroad.conftest import MINISTRY, Authorities, allow, settings_of

JANUARY = {"from": "2026-01", "until": "2026-01"}


@pytest.mark.promise(8)
@on_sqlite
def test_only_the_security_server_may_speak_here(centre: Centre, facade: Consumer, authorities: Authorities) -> None:
    allow(centre, Service.USAGE, None)
    assert facade.ask(MINISTRY, "/usage", JANUARY).status == 200
    for shown in (None, authorities.stranger.issue("security-server"), authorities.centre.issue("security-server")):
        stranger = Consumer(facade.port, authorities.centre, shown)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            stranger.ask(MINISTRY, "/usage", JANUARY)
    assert facade.ask(MINISTRY, "/usage", JANUARY).status == 200


@on_sqlite
def test_old_tls_and_no_tls_are_not_spoken(facade: Consumer) -> None:
    old = facade.context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", facade.port)) as bare, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(bare, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", facade.port)) as bare:
        bare.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in bare.recv(1_000)


def test_a_security_servers_own_certificate_may_be_all_that_is_trusted(authorities: Authorities) -> None:
    """They often are signed by themselves; then no other certificate of the same authority is let in."""
    pinned = authorities.server.issue("pinned")
    shown = authorities.centre.issue("facade")
    settings = Settings(xroad_port=0, xroad_cert=shown.cert, xroad_key=shown.key, xroad_client_ca=pinned.cert)
    door = door_of(settings)
    assert door is not None
    try:
        assert shakes_hands(door, authorities, pinned)
        assert not shakes_hands(door, authorities, authorities.server.issue("another"))
    finally:
        door.close()


def shakes_hands(door: Door, authorities: Authorities, shown: Pair) -> bool:
    """Both ends in one thread, over buffers."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = door.context.wrap_bio(up, down, server_side=True)
    client = Consumer(0, authorities.centre, shown).context().wrap_bio(down, up, server_hostname="127.0.0.1")
    left = [client, server]
    for _ in range(10):
        for end in tuple(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return not left


def test_it_is_off_unless_it_is_configured() -> None:
    assert not is_on(Settings())
    assert door_of(Settings()) is None
    assert registry_of(Settings()) is None


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        ({"xroad_port": 8471}, ["CERT", "KEY", "CLIENT_CA"]),
        ({"xroad_cert": "/a"}, ["KEY", "CLIENT_CA"]),
        ({"xroad_cert": "/a", "xroad_key": "/b"}, ["CLIENT_CA"]),
        ({"xroad_client_ca": "/a"}, ["CERT", "KEY"]),
    ],
)  # fmt: skip
def test_half_a_configuration_does_not_start(half: dict[str, Any], missing: list[str]) -> None:
    with pytest.raises(CannotStart) as error:
        door_of(Settings(**half))
    names = ", ".join(f"BARAY_XROAD_{name}" for name in missing)
    assert error.value.message.startswith(f"the X-Road listener is configured by half: {names} ")


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        ({"registry_url": "https://x/r1/KH/GOV/1/s/c"}, "BARAY_REGISTRY_CLIENT"),
        ({"registry_timeout_ms": 500}, "BARAY_REGISTRY_URL"),
    ],
)  # fmt: skip
def test_half_a_registry_does_not_start(half: dict[str, Any], missing: str) -> None:
    with pytest.raises(CannotStart, match=f"the registry is configured by half: {missing}"):
        registry_of(Settings(**half))


def test_certificates_that_are_none_and_ports_that_are_taken_are_told(authorities: Authorities, tmp_path: Path) -> None:
    good = settings_of(authorities)
    (tmp_path / "empty.pem").touch()
    for name in ("xroad_cert", "xroad_key", "xroad_client_ca"):
        for path in (tmp_path / "none.pem", tmp_path / "empty.pem", tmp_path):
            with pytest.raises(CannotStart, match="the certificates of the X-Road listener cannot be used"):
                door_of(good.model_copy(update={name: path}))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotStart, match="cannot listen for X-Road on 127.0.0.1"):
            door_of(good.model_copy(update={"xroad_port": taken.getsockname()[1]}))


def test_where_the_security_server_reaches_it(authorities: Authorities) -> None:
    good = settings_of(authorities)
    assert address_of(good.model_copy(update={"xroad_port": 8471})) == "https://127.0.0.1:8471"
    assert address_of(good.model_copy(update={"xroad_port": 8471, "xroad_host": "::1"})) == "https://[::1]:8471"
    assert address_of(good.model_copy(update={"xroad_url": "https://ai.example"})) == "https://ai.example"


def test_the_whole_process_serves_both_and_ends_at_once(authorities: Authorities) -> None:
    shown = authorities.centre.issue("facade")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {
        "BARAY_XROAD_PORT": str(port), "BARAY_XROAD_CERT": str(shown.cert), "BARAY_XROAD_KEY": str(shown.key),
        "BARAY_XROAD_CLIENT_CA": str(authorities.server.file),
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="baray-xroad-") as data:
        Path(data).chmod(0o711)
        command = [sys.executable, "-m", "runtime", "up", "--data-dir", data, "--port", "0"]
        with subprocess.Popen(
            [*command, "--nodes", "n1:h100-80gb=1,cpus=2,memory=2Gi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, **given},
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                said = [process.stdout.readline(), process.stdout.readline()]
                assert re.match(r"Baray is up at http", said[0]), process.stderr and process.stderr.read()
                assert said[1] == f"  other governments, over X-Road: https://127.0.0.1:{port}\n"
                server = Consumer(port, authorities.centre, authorities.server.issue("security-server"))
                assert server.ask(MINISTRY, "/usage", JANUARY).status == 403
                assert server.raw("GET", "/openapi.json", []).json["servers"] == [{"url": f"https://127.0.0.1:{port}"}]
            finally:
                process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGTERM}
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port)).close()
