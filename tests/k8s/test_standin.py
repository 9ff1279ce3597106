"""What the stand-in of the API server does by itself; that it does as the real one, ``test_standin_and_real`` shows."""

import contextlib
import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.kube.calling import GPU, MAPS, MERGE, Caller, config, job, until
from tests.support.kube.server import ADMIN, KubeServer
from tests.support.kube.table import Resource


@pytest.fixture
def still() -> Iterator[KubeServer]:
    """Nothing moves, neither the clock nor a controller, unless the test says so."""
    with KubeServer(clock=FakeClock(), auto=False) as made:
        made.add_node("n1", cpus=4, **{GPU: 4})
        made.settle()
        yield made
        assert made.strange == []


class Watcher:
    """Reads a watch in a thread."""

    def __init__(self, server: KubeServer, path: str) -> None:
        self.events: list[dict[str, Any]] = []
        headers = {"Authorization": f"Bearer {ADMIN}"}
        self._answer = urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=10)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._answer as answer, contextlib.suppress(OSError, http.client.HTTPException):
            for line in answer:
                self.events.append(json.loads(line))

    def ended(self) -> bool:
        return not self._thread.is_alive()

    def told(self) -> list[tuple[str, str]]:
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in self.events]


def test_a_watch_tells_what_its_selector_sees(still: KubeServer) -> None:
    call = Caller(still)
    version = call("GET", MAPS)[1]["metadata"]["resourceVersion"]
    watcher = Watcher(still, f"{MAPS}?watch=true&labelSelector=in%3Dyes&resourceVersion={version}&timeoutSeconds=60")
    call("POST", MAPS, config("a"))
    for value in ("yes", "yes-again", "yes"):
        call("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"in": value}}}, MERGE)
    call("DELETE", f"{MAPS}/a")
    until(lambda: len(watcher.events) == 4)
    assert watcher.told() == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in watcher.events]
    assert versions == sorted(set(versions))
    still.close_watches()
    until(watcher.ended)


def test_watches_from_what_is_forgotten_and_pages_of_it_are_gone(still: KubeServer) -> None:
    call = Caller(still)
    for name in "abc":
        call("POST", MAPS, config(name))
    page = call("GET", f"{MAPS}?limit=1")[1]["metadata"]
    call("POST", MAPS, config("d"))
    still.compact()
    watcher = Watcher(still, f"{MAPS}?watch=true&resourceVersion={page['resourceVersion']}&timeoutSeconds=60")
    until(watcher.ended)
    assert [(event["type"], event["object"]["code"]) for event in watcher.events] == [("ERROR", 410)]
    assert call("GET", f"{MAPS}?limit=1&continue={page['continue']}")[0] == 410


def test_bookmarks_and_initial_events_come_when_asked_for(still: KubeServer) -> None:
    still.bookmarks_every(0.02)
    Caller(still)("POST", MAPS, config("a"))
    query = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    watcher = Watcher(still, f"{MAPS}?{query}&timeoutSeconds=60")
    until(lambda: sum(event["type"] == "BOOKMARK" for event in watcher.events) > 1)
    first = next(event["object"]["metadata"] for event in watcher.events if event["type"] == "BOOKMARK")
    assert first["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert ("ADDED", "a") in watcher.told()


def test_events_are_lost_doubled_and_turned_around_when_told_so(still: KubeServer) -> None:
    kept: list[dict[str, Any]] = []

    def turn(resource: Resource, event: dict[str, Any]) -> list[dict[str, Any]]:
        kept.append(event)
        return [] if len(kept) % 2 else [kept[-1], kept[-2], kept[-2]]

    still.watches.edit = turn
    version = Caller(still)("GET", MAPS)[1]["metadata"]["resourceVersion"]
    watcher = Watcher(still, f"{MAPS}?watch=true&resourceVersion={version}&timeoutSeconds=60")
    for name in "ab":
        Caller(still)("POST", MAPS, config(name))
    until(lambda: len(watcher.events) == 3)
    assert watcher.told() == [("ADDED", "b"), ("ADDED", "a"), ("ADDED", "a")]


def test_faults_come_as_often_as_they_were_asked_for(still: KubeServer) -> None:
    call = Caller(still)
    still.faults.lose("POST", "configmaps")
    with pytest.raises(OSError):
        call("POST", MAPS, config("a"))
    assert call("POST", MAPS, config("a"))[0] == 409  # it was done
    still.faults.cut("POST", "configmaps")
    with pytest.raises(OSError):
        call("POST", MAPS, config("b"))
    assert call("POST", MAPS, config("b"))[0] == 201  # it was not
    still.faults.fail(429, "GET", times=2, retry_after=7)
    assert [call("GET", MAPS)[0] for _ in range(3)] == [429, 429, 200]
    late = still.faults.late("POST", "configmaps")
    threading.Thread(target=lambda: call("POST", MAPS, config("c")), daemon=True).start()
    until(lambda: late.hits)
    assert call("GET", f"{MAPS}/c")[0] == 404
    still.faults.lift()
    until(lambda: call("GET", f"{MAPS}/c")[0] == 200)
    still.refuse()
    with pytest.raises(OSError):
        call("GET", MAPS)
    still.accept()
    assert call("GET", f"{MAPS}/c")[0] == 200


def test_who_has_no_token_is_refused_and_roles_say_what_others_may(still: KubeServer) -> None:
    assert Caller(still, "wrong")("GET", MAPS)[0] == 401
    someone = Caller(still, still.user("someone"))
    code, body = someone("GET", MAPS)
    assert code == 403
    assert 'User "someone" cannot list resource "configmaps"' in body["message"]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    Caller(still)("POST", f"{rbac}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
    ref, subjects = (
        {"kind": "ClusterRole", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        [{"kind": "User", "name": "someone"}],
    )
    Caller(still)(
        "POST",
        f"{rbac}/namespaces/default/rolebindings",
        {"metadata": {"name": "r"}, "roleRef": ref, "subjects": subjects},
    )
    assert someone("GET", MAPS)[0] == 200
    assert someone("GET", "/api/v1/namespaces/kube-system/configmaps")[0] == 403


def test_a_request_that_it_does_not_understand_is_told_to_the_test(still: KubeServer) -> None:
    assert Caller(still)("GET", f"{MAPS}?colour=green")[0] == 400
    assert "colour" in still.strange.pop()


def test_a_restricted_room_takes_no_pod_that_asks_for_more(still: KubeServer) -> None:
    call = Caller(still)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    call("POST", "/api/v1/namespaces", {"metadata": {"name": "room", "labels": labels}})
    still.settle()
    code, body = call(
        "POST", "/api/v1/namespaces/room/pods", {"metadata": {"name": "p"}, "spec": job()["spec"]["template"]["spec"]}
    )
    assert code == 403
    assert 'violates PodSecurity "restricted:latest"' in body["message"]
