"""Programs and ports in pods, through a real API server: kwok runs the program here, as the kubelet of its nodes."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from domain.errors import Conflict
from domain.ids import AttemptId
from lifecycle.driving import Channel
from tests.cluster.places import Place, launch, next_attempt, running
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

_KWOK = "/apis/kwok.x-k8s.io/v1alpha1"


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """What listens in the job: it says everything back in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    while data := caller.recv(1_000):
                        caller.sendall(data.upper())

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def entered(cluster: Cluster, echo: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, AttemptId]]:
    """A place, and a job that runs there."""
    place = Place(cluster, tmp_path_factory.mktemp("place"))
    job = launch(env={"KWOK_SECONDS": "300"})
    place.driver.start(job)
    running(place.driver, job.attempt)
    (pod,) = place.pods(job.attempt)
    about = {name: pod["metadata"][name] for name in ("name", "namespace")}
    target = {"ports": [8888], "target": {"address": "127.0.0.1", "port": echo}}
    for kind, spec in (("Exec", {"execs": [{"local": {}}]}), ("PortForward", {"forwards": [target]})):
        made = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": about, "spec": spec}
        cluster.admin.create(f"{_KWOK}/namespaces/{about['namespace']}/{kind.lower()}s", made)
    until(lambda: all_of(place.driver.exec(job.attempt, 0, ["true"], tty=False))[2] == 0)
    yield place, job.attempt
    place.close()


def all_of(channel: Channel) -> tuple[bytes, bytes, int | None, str]:
    out, error, deadline = b"", b"", time.monotonic() + 20
    while time.monotonic() < deadline:
        heard = channel.read(0.5)
        if heard is not None and heard.ended:
            channel.close()
            return out, error, heard.exit_code, heard.problem
        if heard is not None:
            out, error = out + heard.data * (not heard.error), error + heard.data * heard.error
    raise AssertionError((out, error))


def test_a_program_speaks_and_ends(entered: tuple[Place, AttemptId]) -> None:
    """kwok tells a code other than 0 in words alone; what kubelets say is in ``tests/k8s/test_channel.py``."""
    place, attempt = entered
    channel = place.driver.exec(attempt, 0, ["/bin/sh", "-c", "echo out; echo error >&2"], tty=False)
    assert all_of(channel) == (b"out\n", b"error\n", 0, "")
    out, _, code, problem = all_of(place.driver.exec(attempt, 0, ["/bin/sh", "-c", "echo out; exit 3"], tty=False))
    assert (out, code) == (b"out\n", None)
    assert "exit status 3" in problem


def test_input_goes_in(entered: tuple[Place, AttemptId]) -> None:
    """kwok keeps the end of the input to itself, so the program counts."""
    place, attempt = entered
    channel = place.driver.exec(attempt, 0, ["/bin/sh", "-c", "head -c 200000 | wc -c"], tty=False)
    channel.write(b"x" * 200_000)
    channel.end_input()
    assert all_of(channel) == (b"200000\n", b"", 0, "")


def test_a_terminal_has_a_size(entered: tuple[Place, AttemptId]) -> None:
    place, attempt = entered
    channel = place.driver.exec(attempt, 0, ["/bin/sh"], tty=True)
    channel.resize(101, 42)
    time.sleep(0.5)  # the size goes another way than what is typed
    channel.write(b"stty size; sleep 1; exit\n")  # kwok may drop what is printed just before the end
    out, _, code, _ = all_of(channel)
    assert b"42 101" in out
    assert code == 0


def test_a_port_is_reached(entered: tuple[Place, AttemptId]) -> None:
    place, attempt = entered
    channel = place.driver.forward(attempt, 0, 8888)
    channel.write(b"hello")
    deadline, got = time.monotonic() + 20, b""
    while got != b"HELLO" and time.monotonic() < deadline:
        got += heard.data if (heard := channel.read(0.5)) is not None else b""
    channel.close()
    assert got == b"HELLO"


def test_what_does_not_run_is_not_entered(entered: tuple[Place, AttemptId]) -> None:
    place, attempt = entered
    for other, rank in ((next_attempt(), 0), (attempt, 1)):
        with pytest.raises(Conflict, match="does not run"):
            place.driver.exec(other, rank, ["true"], tty=False)
