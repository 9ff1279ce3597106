"""Programs beside a rank and connections to its ports: with its user and limits, and gone with their channel."""

import hashlib
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from domain.errors import Conflict
from domain.ids import AttemptId
from lifecycle.driving import Channel
from tests.contracts.driver_contract import launch, log, running, settled, until
from tests.local.rig import LocalRig

ONE = AttemptId(1, None, 1)
NAP = f"sleep 9{os.getpid()}"  # told from those of other tests


def all_of(channel: Channel, patience_s: float = 10.0) -> tuple[bytes, bytes, int | None]:
    """Output, error output and exit code, read to the end."""
    out, error, deadline = b"", b"", time.monotonic() + patience_s
    while time.monotonic() < deadline:
        heard = channel.read(0.2)
        if heard is None:
            continue
        if heard.ended:
            return out, error, heard.exit_code
        out, error = out + heard.data * (not heard.error), error + heard.data * heard.error
    raise AssertionError((out, error))


def shell(rig: LocalRig, *command: str, tty: bool = False, rank: int = 0) -> Channel:
    return rig.driver.exec(ONE, rank, command, tty=tty)


@pytest.fixture
def lived(rig: LocalRig) -> LocalRig:
    """With an attempt that runs, and has come to its own command."""
    rig.driver.start(launch(ONE, rig.node, run="echo content > file; echo up; sleep 300", env={"LR": "3e-4"}))
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE) == b"up\n")
    return rig


def test_a_program_sees_what_the_job_sees(lived: LocalRig) -> None:
    channel = shell(lived, "/bin/sh", "-c", "cat file; echo $LR $BARAY_ATTEMPT $BARAY_RANK; id -u; echo no >&2; exit 3")
    out, error, code = all_of(channel)
    assert out.decode().split() == ["content", "3e-4", "1.1", "0", str(os.geteuid())]
    assert (error, code) == (b"no\n", 3)
    channel.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="users of their own need root")
@pytest.mark.parametrize("tty", [False, True])
def test_a_program_runs_as_the_projects_user(*, tty: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="baray-test-") as root:
        Path(root).chmod(0o711)  # pytest's own directories are closed to others
        rig = LocalRig(Path(root) / "local", uid_base=3_000_000)
        rig.driver.start(launch(ONE, rig.node, run="echo up; sleep 300"))
        running(rig.driver, ONE)
        until(lambda: log(rig.driver, ONE) == b"up\n")
        channel = shell(
            rig, "/bin/sh", "-c", "id -u; id -g; id -G; stat -c %u .; echo seen 2>/dev/null >/dev/tty", tty=tty
        )
        out = all_of(channel)[0].split()
        channel.close()
        rig.close()
    assert out == [b"3000007"] * 4 + [b"seen"] * tty


def test_input_goes_in_until_its_end(lived: LocalRig) -> None:
    channel = shell(lived, "sha256sum")
    text = b"x" * 1_000_000
    writer = threading.Thread(target=lambda: (channel.write(text), channel.end_input()))
    writer.start()
    out, _, code = all_of(channel)
    writer.join()
    assert (out.split()[0].decode(), code) == (hashlib.sha256(text).hexdigest(), 0)
    channel.close()


def test_a_terminal_has_a_size_and_ends_with_the_input(lived: LocalRig) -> None:
    channel = shell(lived, "/bin/sh", tty=True)
    channel.resize(101, 42)
    channel.write(b"stty size; tty; test -t 0 && exit 7\n")
    out, error, code = all_of(channel)
    assert b"42 101" in out
    assert b"/dev/pts/" in out
    assert (error, code) == (b"", 7)
    channel.close()


def test_what_cannot_be_run_says_so(lived: LocalRig) -> None:
    for words, code, sentence in (("no-such-program", 127, b"was not found"), ("./file", 126, b"could not be run")):
        channel = shell(lived, words)
        out, error, ended = all_of(channel)
        channel.close()
        assert (out, ended) == (b"", code)
        assert sentence in error


def test_nothing_outlives_its_channel(lived: LocalRig) -> None:
    channel = shell(lived, "/bin/sh", "-c", f"{NAP} & setsid {NAP} & echo $$; {NAP}")
    until(lambda: (heard := channel.read(0.2)) is not None and heard.data.strip().isdigit())
    until(lambda: len(alive(NAP)) == 3)
    channel.close()
    assert alive(NAP) == []
    assert channel.read(1.0).ended


def test_what_the_program_leaves_behind_ends_with_it(lived: LocalRig) -> None:
    channel = shell(lived, "/bin/sh", "-c", f"setsid {NAP} & exit 0")
    assert all_of(channel)[2] == 0
    assert alive(NAP) == []
    channel.close()


def test_the_job_ends_as_ever_while_somebody_looks_on(lived: LocalRig) -> None:
    channel = shell(lived, "/bin/sh", "-c", f"echo in; {NAP}")
    until(lambda: (heard := channel.read(0.2)) is not None and heard.data == b"in\n")
    lived.driver.stop(ONE, 1_000)
    assert settled(lived.driver, ONE).detail == ""
    channel.close()
    with pytest.raises(Conflict, match="does not run"):
        shell(lived, "true")


def test_only_ranks_that_run_are_entered(lived: LocalRig) -> None:
    with pytest.raises(Conflict, match="rank 1 of"):
        shell(lived, "true", rank=1)
    with pytest.raises(Conflict, match=r"2\.1 does not run"):
        lived.driver.exec(AttemptId(2, None, 1), 0, ["true"], tty=False)
    with pytest.raises(Conflict, match="does not run"):
        lived.driver.forward(AttemptId(2, None, 1), 0, 80)


SERVER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    caller, _ = listener.accept()
    while data := caller.recv(100):
        caller.sendall(data.upper())
    caller.sendall(b"bye")
    caller.close()
"""


def test_a_port_is_reached_and_closed_from_both_ends(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, rig.node, command=(sys.executable, "-c", SERVER)))
    until(lambda: log(rig.driver, ONE).endswith(b"\n"))
    port = int(log(rig.driver, ONE))
    first, second = (rig.driver.forward(ONE, 0, port) for _ in range(2))
    first.write(b"hello ")
    first.end_input()
    assert all_of(first) == (b"HELLO bye", b"", None)
    first.close()
    second.close()
    assert second.read(1.0).ended
    second.write(b"into the void")
    with pytest.raises(Conflict, match="nothing answers on port 1 "):
        rig.driver.forward(ONE, 0, 1)


def alive(words: str) -> list[str]:
    """Command lines of processes that begin so."""
    found = []
    for process in Path("/proc").glob("[1-9]*/cmdline"):
        with suppress(OSError):
            line = process.read_text().replace("\0", " ").strip()
            found += [line] if line.startswith(words) else []
    return sorted(found)
