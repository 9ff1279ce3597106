"""How clusters are spoken to: what each answer means, and that every wait has an end."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.client import Client
from k8s.errors import (
    ClusterError,
    Denied,
    Exists,
    Gone,
    Missing,
    Outdated,
    TooMany,
    Unprocessable,
    Unreachable,
    error_for,
)
from tests.support.kube.server import KubeServer

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as made:
        yield made
        assert made.strange == []


@pytest.fixture
def client(server: KubeServer) -> Iterator[Client]:
    made = Client(server.access(), timeout_s=2.0)
    yield made
    made.close()


def test_objects_are_made_read_changed_and_deleted(client: Client) -> None:
    assert client.get(f"{MAPS}/a") is None
    made = client.create(MAPS, config_map("a", x="1"))
    with pytest.raises(Exists, match="already exists"):
        client.create(MAPS, config_map("a"))
    assert client.merge(f"{MAPS}/a", {"data": {"y": "2"}})["data"] == {"x": "1", "y": "2"}
    with pytest.raises(Outdated):
        client.replace(f"{MAPS}/a", made)
    with pytest.raises(Outdated):
        client.apply(f"{MAPS}/a", config_map("a", x="3"), force=False)
    assert client.apply(f"{MAPS}/a", config_map("a", x="3"))["data"]["x"] == "3"
    with pytest.raises(Missing):
        client.create("/api/v1/namespaces/none/configmaps", config_map("a"))
    with pytest.raises(Unprocessable):
        client.create(MAPS, {**config_map("A_B")})
    assert client.delete(f"{MAPS}/a")
    assert not client.delete(f"{MAPS}/a")


def test_lists_are_read_page_by_page_and_begun_anew_when_they_grow_old(client: Client, server: KubeServer) -> None:
    for number in range(7):
        client.create(MAPS, config_map(f"m-{number}"))
    names = [one["metadata"]["name"] for one in client.list(MAPS, limit=2).items if one["metadata"]["name"][:2] == "m-"]
    assert names == [f"m-{number}" for number in range(7)]
    pages = 0

    def forget(request: Any) -> None:
        nonlocal pages
        if request.query.get("continue"):
            pages += 1
            if pages == 2:
                client.create(MAPS, config_map("m-7"))
                server.compact()

    server.faults.before = forget
    found = client.list(MAPS, limit=2)
    assert sum(one["metadata"]["name"].startswith("m-") for one in found.items) == 8
    assert int(found.version) > 0


def test_a_watch_tells_changes_and_what_is_too_old(client: Client, server: KubeServer) -> None:
    version = client.list(MAPS).version
    client.create(MAPS, config_map("a"))
    watching = client.watch(MAPS, version, 30)
    changes = iter(watching)
    assert (first := next(changes)).kind == "ADDED"
    assert first.object["metadata"]["name"] == "a"
    threading.Timer(0.1, watching.close).start()
    assert list(changes) == []
    server.compact()
    client.create(MAPS, config_map("b"))
    server.compact()
    with pytest.raises(Gone):
        list(client.watch(MAPS, "1", 5))


def test_who_may_not_is_told(server: KubeServer) -> None:
    for token in (server.user("weak"), "no-token-of-theirs"):
        stranger = Client(server.access(token))
        with pytest.raises(Denied):
            stranger.list(MAPS)
        stranger.close()


def test_a_busy_cluster_is_asked_once_more_and_not_for_ever(client: Client, server: KubeServer) -> None:
    server.faults.fail(429, "POST", MAPS, times=1)
    client.create(MAPS, config_map("a"))
    server.faults.fail(429, "POST", MAPS, times=None, retry_after=30)
    began = time.monotonic()
    with pytest.raises(TooMany) as caught:
        client.create(MAPS, config_map("b"))
    assert caught.value.retry_after == 30
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("fault", ["lose", "cut"])
def test_only_reads_are_asked_again(client: Client, server: KubeServer, fault: str) -> None:
    client.create(MAPS, config_map("a"))
    getattr(server.faults, fault)("GET", f"{MAPS}/a")
    assert client.get(f"{MAPS}/a") is not None
    getattr(server.faults, fault)("POST", MAPS)
    with pytest.raises(Unreachable):
        client.create(MAPS, config_map("b"))
    assert (client.get(f"{MAPS}/b") is not None) is (fault == "lose")


def test_no_answer_is_waited_for_without_end(server: KubeServer) -> None:
    impatient = Client(server.access(), timeout_s=0.3)
    hanging = server.faults.hang("GET", MAPS, times=None)
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        impatient.get(f"{MAPS}/a")
    assert caught.value.reason == "Timeout"
    assert time.monotonic() - began < 2
    server.faults.lift(hanging)
    impatient.close()
    with pytest.raises(Unreachable, match="let go"):
        impatient.get(f"{MAPS}/a")


def test_a_refused_connection_and_a_wrong_certificate_are_told_apart(server: KubeServer) -> None:
    access = json.loads(server.access())
    access["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    nobody = Client(json.dumps(access))
    with pytest.raises(Unreachable, match="refused") as caught:
        nobody.get("/version")
    assert caught.value.reason == "Refused"
    nobody.close()
    with KubeServer(tls=True) as secure, KubeServer(tls=True) as other:
        theirs = json.loads(secure.access())
        theirs["clusters"][0]["cluster"]["server"] = other.url
        deceived = Client(json.dumps(theirs))
        with pytest.raises(Unreachable, match="certificate verify failed"):
            deceived.get("/version")
        deceived.close()
        true = Client(secure.access())
        assert true.get("/version") is not None
        true.close()


def test_streams_end_when_they_are_closed_and_with_their_client(client: Client) -> None:
    version = client.list(MAPS).version
    for end in (lambda watching: watching.close(), lambda _: client.close()):
        watching = client.watch(MAPS, version, 60)
        threading.Timer(0.1, end, (watching,)).start()
        began = time.monotonic()
        assert list(watching) == []
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("access", ["", "[]", "{}", '{"inCluster": true}', '{"current-context": "x"}'])
def test_an_access_that_makes_no_sense_is_told_at_the_first_call(access: str) -> None:
    broken = Client(access)
    with pytest.raises(Unreachable, match="cannot be used"):
        broken.get("/version")
    broken.close()


class Strange(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    answers: tuple[bytes, ...] = (b"<html>", b"[1]", b"", b'{"a":' * 100_000)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/endless":
            body, status = b'{"items": [{}], "metadata": {"continue": "more"}}', 200
        elif path == "/elsewhere":
            body, status = b"", 307
        elif path == "/page":
            body, status = b"<html>hush-hush", 500
        else:
            body, status = (self.answers[int(path[1:])] if path[1:].isdecimal() else b"{}"), 200
        self.send_response(status)
        self.send_header("Location", self.server.other)  # type: ignore[attr-defined]
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not here."""


class There(http.server.BaseHTTPRequestHandler):
    """Where nobody should come."""

    def handle(self) -> None:
        self.server.reached = True  # type: ignore[attr-defined]


@pytest.fixture
def strange() -> Iterator[tuple[Client, Any]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as server:
        server.other = "/"  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        users = [{"name": "u", "user": {"token": "t"}}]
        clusters = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]
        contexts = [{"name": "x", "context": {"cluster": "c", "user": "u"}}]
        access = {"current-context": "x", "contexts": contexts, "clusters": clusters, "users": users}
        client = Client(json.dumps(access))
        yield client, server
        client.close()
        server.shutdown()


def test_what_is_no_answer_of_a_cluster_is_none(strange: tuple[Client, Any]) -> None:
    client, _ = strange
    for number in range(4):
        with pytest.raises(Unreachable, match="JSON|no object"):
            client.get(f"/{number}")


def test_a_page_of_who_is_no_cluster_is_not_told(strange: tuple[Client, Any]) -> None:
    with pytest.raises(Unreachable, match="^the cluster answered 500$"):
        strange[0].get("/page")


def test_a_list_without_end_is_given_up(strange: tuple[Client, Any]) -> None:
    with pytest.raises(Unreachable, match="has no end"):
        strange[0].list("/endless")


def test_nobody_is_followed_elsewhere(strange: tuple[Client, Any]) -> None:
    client, server = strange
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), There) as there:
        threading.Thread(target=there.serve_forever, args=(0.02,), daemon=True).start()
        for ask, scheme in ((client.get, "http"), (client.stream, "http"), (client.connect, "ws")):
            server.other = f"{scheme}://127.0.0.1:{there.server_port}/there"
            with pytest.raises(ClusterError, match="answered 307|redirect"):
                ask("/elsewhere")
        there.shutdown()
        assert not getattr(there, "reached", False)


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [(401, "", Denied), (403, "Forbidden", Denied), (404, "NotFound", Missing), (409, "AlreadyExists", Exists),
     (409, "Conflict", Outdated), (410, "Expired", Gone), (422, "Invalid", Unprocessable), (413, "", Unprocessable),
     (429, "TooManyRequests", TooMany), (500, "InternalError", Unreachable), (504, "Timeout", Unreachable)],
)  # fmt: skip
def test_every_answer_has_a_meaning(code: int, reason: str, kind: type[ClusterError]) -> None:
    error = error_for(code, reason, "word " * 1_000, None)
    assert type(error) is kind
    assert len(error.message) < 700
    assert error_for(code, "", "", None).message
