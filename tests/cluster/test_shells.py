"""Shells and ports of jobs over a real API server. kwok starts the programs on this machine, for one pod and one test."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from domain.jobs import Launch
from lifecycle.driving import Channel
from tests.cluster.places import Place, launch, running, settled
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

_KWOK = "/apis/kwok.x-k8s.io/v1alpha1/namespaces"


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(cluster, tmp_path_factory.mktemp("place"))
    yield made
    made.close()


@pytest.fixture
def job(place: Place) -> Iterator[Launch]:
    """One that runs, and whose pod kwok lets nobody into yet."""
    made = launch(env={"KWOK_SECONDS": "300"})
    place.driver.start(made)
    running(place.driver, made.attempt)
    yield made
    place.driver.stop(made.attempt, 1_000)
    settled(place.driver, made.attempt)
    place.driver.forget(made.attempt)


def _allow(place: Place, job: Launch, kind: str, spec: dict[str, object]) -> None:
    (pod,) = place.pods(job.attempt)
    body = {
        "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": pod["metadata"]["name"], "namespace": place.namespace},
    }  # fmt: skip
    place.admin.create(f"{_KWOK}/{place.namespace}/{kind.lower()}s", body)


def _everything(channel: Channel) -> tuple[bytes, int | None, str]:
    """All that comes until the end."""
    heard = b""
    for _ in range(600):
        one = channel.read(0.1)
        if one is None:
            continue
        heard += one.data
        if one.ended:
            return heard, one.exit_code, one.problem
    raise AssertionError(heard)


def test_a_program_runs_with_its_input_and_its_end_is_told(place: Place, job: Launch) -> None:
    _allow(place, job, "Exec", {"execs": [{"local": {}}]})

    def ran() -> tuple[bytes, int | None, str] | None:
        channel = place.driver.exec(job.attempt, 0, ("sh", "-c", "echo here; exit 7"), tty=False)
        found = _everything(channel)
        channel.close()
        return found if found[0] else None  # kwok has not heard of the permission yet

    heard, code, problem = until(ran)
    assert heard == b"here\n"
    assert code == 7 or "7" in problem, "kwok tells a code in words, where a kubelet has a field for it"
    channel = place.driver.exec(job.attempt, 0, ("sh", "-c", "read line; echo got $line"), tty=False)
    channel.write(b"word\n")
    assert _everything(channel)[:2] == (b"got word\n", 0)
    channel.close()


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data.upper())


def test_a_port_is_reached(place: Place, job: Launch) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        target = {"address": "127.0.0.1", "port": server.server_address[1]}
        _allow(place, job, "PortForward", {"forwards": [{"ports": [8888], "target": target}]})

        def answered() -> bool:
            channel = place.driver.forward(job.attempt, 0, 8888)
            channel.write(b"hello")
            heard = b""
            for _ in range(30):
                one = channel.read(0.1)
                if one is not None:
                    heard += one.data
                    if one.ended or heard == b"HELLO":
                        break
            channel.close()
            return heard == b"HELLO"

        assert until(answered)
        server.shutdown()
