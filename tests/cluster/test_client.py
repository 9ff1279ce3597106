"""Our client against the real server: what it answers is what ``k8s.client`` says it answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from k8s.client import Client
from k8s.errors import Denied, Exists, Missing, Outdated, Unprocessable, Unreachable
from tests.cluster.rig.control_plane import RESTRICTED, Cluster
from tests.cluster.waiting import until

_MAPS = "/api/v1/namespaces/default/configmaps"


def access(cluster: Cluster, user: str = "admin") -> str:
    return json.dumps(cluster.kubeconfig(user))


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    opened = Client(access(cluster))
    yield opened
    opened.close()


def _map(name: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"of": "client"}},
        "data": data,
    }


def test_what_is_not_there_is_none_and_what_is_there_twice_exists(client: Client) -> None:
    assert client.get(f"{_MAPS}/nothing") is None
    assert client.delete(f"{_MAPS}/nothing") is False
    client.create(_MAPS, _map("once"))
    with pytest.raises(Exists):
        client.create(_MAPS, _map("once"))
    with pytest.raises(Missing):
        client.create("/api/v1/namespaces/no-such-space/configmaps", _map("once"))
    with pytest.raises(Missing):
        client.list("/apis/no.such.group/v1/things")
    assert client.delete(f"{_MAPS}/once") is True


def test_old_versions_are_outdated(client: Client) -> None:
    made = client.create(_MAPS, _map("aged", a="1"))
    client.merge(f"{_MAPS}/aged", {"data": {"a": "2"}})
    with pytest.raises(Outdated):
        client.replace(f"{_MAPS}/aged", made)
    with pytest.raises(Outdated):
        client.merge(f"{_MAPS}/aged", {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}})
    client.delete(f"{_MAPS}/aged")


def test_fields_of_others_are_taken_over_only_by_force(client: Client, cluster: Cluster) -> None:
    cluster.admin.apply(f"{_MAPS}/owned", _map("owned", a="theirs"))
    with pytest.raises(Outdated):
        client.apply(f"{_MAPS}/owned", _map("owned", a="ours"), force=False)
    assert client.apply(f"{_MAPS}/owned", _map("owned", a="ours"))["data"] == {"a": "ours"}
    client.delete(f"{_MAPS}/owned")


def test_what_is_no_object_is_unprocessable_and_what_is_not_allowed_is_denied(client: Client, cluster: Cluster) -> None:
    with pytest.raises(Unprocessable):
        client.create(_MAPS, _map("Not A Name"))
    with pytest.raises(Unprocessable):
        client.create(_MAPS, {**_map("field"), "nonsense": 1}, fieldValidation="Strict")
    restricted = Client(access(cluster, RESTRICTED))
    assert restricted.list(_MAPS).version
    with pytest.raises(Denied, match="rig:restricted"):
        restricted.create(_MAPS, _map("mine"))
    restricted.close()
    document = cluster.kubeconfig()
    document["users"][0]["user"]["token"] = "wrong"
    stranger = Client(json.dumps(document))
    with pytest.raises(Denied):
        stranger.list(_MAPS)
    stranger.close()


def test_an_expired_certificate_and_a_strange_authority_do_not_reach_it(
    cluster: Cluster, second_cluster: Cluster
) -> None:
    expired = Client(json.dumps(cluster.certificate_login("rig:late", "system:masters", expired=True)))
    with pytest.raises((Denied, Unreachable)):
        expired.list(_MAPS)
    expired.close()
    valid = Client(json.dumps(cluster.certificate_login("rig:timely", "system:masters")))
    assert valid.list(_MAPS).version
    valid.close()
    document = cluster.kubeconfig()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = second_cluster.kubeconfig()["clusters"][0][
        "cluster"
    ]["certificate-authority-data"]
    misled = Client(json.dumps(document))
    with pytest.raises(Unreachable):
        misled.list(_MAPS)
    misled.close()


def test_a_list_of_many_pages_is_one_moment_and_a_watch_goes_on_from_it(client: Client) -> None:
    for number in range(7):
        client.create(_MAPS, _map(f"page-{number}"))
    selected = {"labelSelector": "of=client"}
    listing = client.list(_MAPS, limit=2, **selected)
    assert [one["metadata"]["name"] for one in listing.items] == [f"page-{number}" for number in range(7)]
    client.delete(f"{_MAPS}/page-3")
    client.merge(f"{_MAPS}/page-4", {"data": {"seen": "yes"}})
    watching = client.watch(_MAPS, listing.version, 30, **selected)
    seen = []
    for change in watching:
        seen.append((change.kind, change.object["metadata"].get("name")))
        if len(seen) == 2:
            watching.close()
            break
    assert seen == [("DELETED", "page-3"), ("MODIFIED", "page-4")]
    client.delete(_MAPS, **selected)
    until(lambda: not client.list(_MAPS, **selected).items)
