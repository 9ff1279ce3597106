"""What is followed of a cluster is as the cluster is, whatever becomes of single events."""

from collections.abc import Iterator
from typing import Any

import pytest

from k8s import trim
from k8s.client import Client, Listing
from k8s.watch import Cache, Kind, Reflector
from tests.contracts.driver_contract import until
from tests.support.kube.server import KubeServer
from tests.support.kube.table import CONFIGMAPS, CRDS

PATH = "/api/v1/namespaces/default/configmaps"
HIDDEN = "hidden"


def trimmed(raw: dict[str, Any]) -> dict[str, Any] | None:
    return None if HIDDEN in raw["metadata"]["name"] else {"metadata": raw["metadata"], "data": raw.get("data")}


KIND = Kind(PATH, trimmed, keys=lambda one: (one["metadata"].get("labels") or {}).values())


def made(uid: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": uid, "uid": uid, "resourceVersion": str(version), **more}}


# The cache alone


class Noted:
    def __init__(self) -> None:
        self.changes: list[tuple[str | None, str | None]] = []
        self.cache = Cache(KIND, self.note)

    def note(self, before: Any, after: Any) -> None:
        def version(one: Any) -> str | None:
            return None if one is None else one["metadata"]["resourceVersion"]

        self.changes.append((version(before), version(after)))


def test_doubled_and_late_events_change_nothing() -> None:
    noted = Noted()
    for version in (3, 3, 5, 4, 5):
        noted.cache.put(made("a", version))
    noted.cache.drop(made("a", 6))
    noted.cache.drop(made("a", 6))
    noted.cache.put(made("a", 5))
    assert noted.changes == [(None, "3"), ("3", "5"), ("6", None), ("6", None)][: len(noted.changes)]
    assert noted.cache.all() == []


def test_a_list_that_began_before_a_create_does_not_undo_it() -> None:
    noted = Noted()
    began = noted.cache.begin()
    noted.cache.put(made("mine", 9), own=True)
    noted.cache.replace(Listing([made("other", 3)], "8"), began)
    assert {one["metadata"]["name"] for one in noted.cache.all()} == {"mine", "other"}
    noted.cache.replace(Listing([made("other", 3)], "20"), noted.cache.begin())
    assert [one["metadata"]["name"] for one in noted.cache.all()] == ["other"]
    assert noted.changes[-1] == ("9", None)


def test_an_older_list_does_not_put_back_what_a_request_of_ours_changed() -> None:
    noted = Noted()
    noted.cache.put(made("a", 3))
    began = noted.cache.begin()
    noted.cache.put(made("a", 9), own=True)
    noted.cache.replace(Listing([made("a", 3)], "8"), began)
    assert noted.cache.get("a")["metadata"]["resourceVersion"] == "9"


def test_what_was_seen_to_go_comes_back_by_a_list_or_our_own_word_alone() -> None:
    noted = Noted()
    noted.cache.put(made("a", 3))
    noted.cache.drop(made("a", 4))
    noted.cache.put(made("a", 5))
    assert noted.cache.get("a") is None
    noted.cache.put(made("a", 6), own=True)
    assert noted.cache.get("a") is not None
    noted.cache.drop(made("a", 5))  # an older word, which came late
    assert noted.cache.get("a") is not None


def test_things_are_found_by_their_keys_as_they_are_now() -> None:
    cache = Noted().cache
    cache.put(made("a", 1, labels={"x": "red"}))
    cache.put(made("b", 2, labels={"x": "red"}))
    cache.put(made("a", 3, labels={"x": "blue"}))
    assert [one["metadata"]["name"] for one in cache.by("red")] == ["b"]
    assert [one["metadata"]["name"] for one in cache.by("blue")] == ["a"]
    cache.lose("a")
    assert cache.by("blue") == cache.by("green") == []


def test_what_does_not_concern_us_is_not_kept() -> None:
    cache = Noted().cache
    cache.put(made(HIDDEN, 1))
    cache.replace(Listing([made(HIDDEN, 1), made("a", 2)], "3"), cache.begin())
    assert len(cache) == 1


# With a cluster


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as made:
        yield made
        assert made.strange == []


class Following:
    def __init__(self, server: KubeServer, kind: Kind = KIND, **settings: Any) -> None:
        self.server = server
        self.client = Client(server.access(), timeout_s=2.0)
        self.admin = Client(server.access())
        self.heard = 0
        self.reflector = Reflector(
            self.client, kind, changed=lambda *_: None, heard=self._hear, spread=lambda: 0.5, **settings
        )
        self.reflector.begin()

    def _hear(self) -> None:
        self.heard += 1

    def create(self, name: str) -> None:
        self.admin.create(
            PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}
        )

    def names(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.reflector.cache.all()} - {"kube-root-ca.crt"}

    def until(self, *names: str) -> None:
        until(lambda: self.names() == set(names))

    def close(self) -> None:
        self.reflector.close()
        self.client.close()
        self.admin.close()
        self.reflector.join(5)


@pytest.fixture
def following(server: KubeServer) -> Iterator[Following]:
    made = Following(server)
    assert made.reflector.synced.wait(5)
    yield made
    made.close()


def lists(server: KubeServer) -> int:
    return sum(
        path.startswith(PATH) and "watch" not in path for method, path in server.faults.requests if method == "GET"
    )


def test_it_follows(following: Following) -> None:
    following.create("a")
    following.create("b")
    following.until("a", "b")
    following.admin.merge(f"{PATH}/a", {"data": {"a": "2"}})
    until(lambda: any((one["data"] or {}).get("a") == "2" for one in following.reflector.cache.all()))
    following.admin.delete(f"{PATH}/a")
    following.until("b")
    assert lists(following.server) == 1


def test_a_watch_that_ends_goes_on_where_it_was(following: Following) -> None:
    for number in range(3):
        following.server.close_watches()
        following.create(f"c{number}")
    following.until("c0", "c1", "c2")
    assert lists(following.server) == 1


@pytest.mark.parametrize("way", ["at once", "in the midst"])
def test_what_is_no_longer_kept_is_listed_anew(following: Following, way: str) -> None:
    following.create("a")
    following.until("a")
    if way == "in the midst":
        following.server.watches.lost += 1
    else:
        following.server.edit(CONFIGMAPS, "a", "default", lambda one: one["data"].update(a="3"))
        following.server.compact()
        following.server.close_watches()
    following.create("b")
    following.until("a", "b")
    assert lists(following.server) >= 1


@pytest.mark.parametrize("code", [500, 503, 429, 403])
def test_trouble_passes(server: KubeServer, code: int) -> None:
    server.faults.fail(code, "GET", PATH, times=3)
    following = Following(server)
    until(lambda: following.reflector.trouble or following.reflector.synced.is_set())
    following.create("a")
    following.until("a")
    until(lambda: following.reflector.trouble == "")
    following.close()


def test_a_cut_connection_is_made_anew(following: Following) -> None:
    following.create("a")
    following.server.restart()
    following.create("b")
    following.until("a", "b")


def test_lost_events_are_made_good_by_the_next_list(server: KubeServer) -> None:
    following = Following(server, relist_s=1.0)
    assert following.reflector.synced.wait(5)
    following.create("a")
    following.until("a")
    server.watches.edit = lambda resource, event: []
    following.admin.delete(f"{PATH}/a")
    following.create("b")
    following.until("b")
    following.close()


def test_silence_cuts_a_watch(server: KubeServer) -> None:
    following = Following(server, quiet_s=0.3)
    until(lambda: sum("watch=true" in path for _, path in server.faults.requests) >= 3)
    following.create("a")
    following.until("a")
    assert lists(server) == 1
    following.close()


def test_asked_to_it_looks_again_at_once(following: Following) -> None:
    before = lists(following.server)
    following.reflector.relist()
    until(lambda: lists(following.server) > before)
    following.create("a")
    following.until("a")


def test_a_kind_that_is_not_there_is_known_to_be_absent(server: KubeServer) -> None:
    kind = Kind("/apis/nothing.example/v1/things", trim.workload, definition="things.nothing.example")
    following = Following(server, kind)
    assert following.reflector.synced.wait(5)
    assert following.reflector.absent
    following.close()
    needed = Following(server, Kind(kind.path, kind.trim))
    until(lambda: needed.reflector.trouble)
    assert not needed.reflector.synced.is_set()
    needed.close()


def test_a_kind_that_was_there_is_not_taken_for_absent_at_its_first_denial(server: KubeServer) -> None:
    """As of an API server that comes up, and knows its own kinds before those that others defined."""
    path = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
    kind = Kind(path, trim.workload, definition="jobsets.jobset.x-k8s.io")
    following = Following(server, kind)
    assert following.reflector.synced.wait(5)
    assert not following.reflector.absent
    following.reflector.cache.put(made("a", 1), own=True)
    definition = {"metadata": {"name": kind.definition}, "spec": {"group": "jobset.x-k8s.io"}}
    with server.lock:
        server.objects.create(CRDS, definition)
    server.faults.fail(404, "GET", r"/jobsets\?", times=None)
    following.reflector.relist()
    until(lambda: following.reflector.trouble)
    assert not following.reflector.absent
    assert len(following.reflector.cache) == 1
    with server.lock:
        server.objects.delete(CRDS, ("", str(kind.definition)))
    following.reflector.relist()
    until(lambda: following.reflector.absent)
    assert len(following.reflector.cache) == 0
    following.close()


def test_closing_is_prompt(following: Following) -> None:
    following.reflector.close()
    following.reflector.join(2)
    assert not following.reflector._thread.is_alive()


def test_what_is_kept_of_an_object_is_small() -> None:
    raw = {
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1", "managedFields": [{"f": "x" * 5_000}],
            "labels": {"baray.io/origin": "o"}, "annotations": {"kubectl": "x" * 5_000, "baray.io/spec": "h"},
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "i", "args": ["x" * 5_000], "env": [{"name": "x"}] * 50,
                 "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}], "tolerations": [{}] * 50},
        "status": {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"terminated": {"message": "m" * 9_000, "exitCode": 1}}}]},
    }  # fmt: skip
    assert len(str(trim.pod(raw))) < 2_500
    raw["metadata"]["labels"] = {}
    assert len(str(trim.pod(raw))) < 500
    job = {"metadata": raw["metadata"], "spec": {"completions": 1, "template": {"spec": raw["spec"]}}, "status": {}}
    assert len(str(trim.job(job))) < 500
