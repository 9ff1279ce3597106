"""What follows a cluster gets over its breaks: a server that falls silent, dies, comes back, or remembers less."""

import json
import threading
from collections.abc import Iterator

import pytest

from k8s.client import Client
from k8s.errors import Gone
from k8s.watch import Kind, Reflector
from tests.cluster.rig.calls import Answered, Calls
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.waiting import until

_MAPS = "/api/v1/namespaces/default/configmaps"
_KIND = Kind(_MAPS, lambda raw: raw, query={"labelSelector": "of=breaks"})


class Following:
    def __init__(self, cluster: Cluster, quiet_s: float) -> None:
        self.heard = 0
        self.client = Client(json.dumps(cluster.kubeconfig()))
        self.reflector = Reflector(
            self.client, _KIND, changed=lambda _before, _after: None, heard=self._hear, spread=lambda: 0.5,
            relist_s=270, quiet_s=quiet_s,
        )  # fmt: skip
        self.reflector.begin()
        assert self.reflector.synced.wait(20)

    def _hear(self) -> None:
        self.heard += 1

    def names(self) -> set[str]:
        return {one["metadata"]["name"] for one in self.reflector.cache.all()}

    def close(self) -> None:
        self.reflector.close()
        self.client.close()
        self.reflector.join(10)


@pytest.fixture
def following(cluster: Cluster) -> Iterator[Following]:
    started = Following(cluster, quiet_s=3)
    yield started
    started.close()
    cluster.admin.delete(_MAPS, labelSelector="of=breaks")


def _make(calls: Calls, name: str) -> None:
    calls.create(_MAPS, {"metadata": {"name": name, "labels": {"of": "breaks"}}})


def test_a_server_that_dies_and_comes_back_is_followed_on(cluster: Cluster, following: Following) -> None:
    _make(cluster.admin, "before")
    until(lambda: following.names() == {"before"})
    cluster.api.kill()
    until(lambda: following.reflector.trouble)
    cluster.start_api()
    _make(cluster.admin, "after")
    until(lambda: following.names() == {"before", "after"}, 30)
    assert not following.reflector.trouble
    with pytest.raises(Gone):  # a new server remembers nothing of what was long ago
        for _ in following.client.watch(_MAPS, "1", 10):
            pass


def test_a_server_that_falls_silent_is_noticed_and_followed_on(cluster: Cluster, following: Following) -> None:
    _make(cluster.admin, "early")
    until(lambda: following.names() == {"early"})
    before = following.heard
    cluster.api.freeze()
    try:
        until(lambda: following.reflector.trouble, 30)
        assert following.heard <= before + 1
    finally:
        cluster.api.thaw()
    until(lambda: _made(cluster.admin, "late"))
    until(lambda: following.names() == {"early", "late"}, 30)


def _made(calls: Calls, name: str) -> bool:
    """A server that was away a while may refuse at first, until it trusts its own sight again."""
    try:
        _make(calls, name)
    except Answered as error:
        return error.code == 409
    return True


def test_nothing_is_left_running_when_it_is_let_go(cluster: Cluster) -> None:
    before = threading.active_count()
    following = Following(cluster, quiet_s=90)
    assert threading.active_count() > before
    following.close()
    until(lambda: threading.active_count() == before)
