"""A cluster is looked at before it is added: all that is wrong with it is said in sentences (on the stand-in)."""

import io
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from domain.clusters import ClusterConfig, Examination
from k8s.client import Client
from k8s.permissions import NEEDED, cluster_role, cluster_role_yaml
from k8s.probe import examine
from tests.k8s.schemas import check
from tests.support.clock import FakeClock
from tests.support.kube.server import KubeServer
from tests.support.kube.table import CLUSTERBINDINGS, CLUSTERROLES

NOW_MS = 1_788_220_800_000
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with started() as running:
        yield running


def started(**options: Any) -> KubeServer:
    running = KubeServer(auto=False, clock=FakeClock(NOW_MS), **options)
    running.add_node("gpu-1", labels=H100, **{"nvidia.com/gpu": 8})
    running.add_node("cpu-1")
    return running


def seen(access: str, now_ms: int = NOW_MS, **config: Any) -> Examination:
    client = Client(access, timeout_s=5)
    try:
        return examine(client, ClusterConfig(**config), "centre", now_ms)
    finally:
        client.close()


def login(server: KubeServer, rules: Any) -> str:
    """Of a user who may do what these rules say."""
    token = server.user("baray")
    with server.lock:
        server.objects.create(CLUSTERROLES, {**cluster_role(), "rules": rules})
        server.objects.create(
            CLUSTERBINDINGS,
            {
                "metadata": {"name": "baray"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "baray"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "baray"}],
            },
        )
    return server.access(token)


def test_a_good_cluster_has_no_problem(server: KubeServer) -> None:
    found = seen(server.access())
    assert found.problems == found.missing == ()
    assert found.version.startswith("v1.36")
    assert found.uid
    assert abs(found.skew_ms or 0) < 2_000
    assert (found.kueue, found.jobset) == ("v1beta2", "v1alpha2")
    assert [(one.flavor, one.devices) for one in found.flavors] == [("h100-80gb", 8)]
    assert {node.name for node in found.inventory.nodes} == {"gpu-1", "cpu-1"}
    assert any("Network policies" in note for note in found.notes)


def test_the_cluster_role_is_enough_for_all_that_is_asked_after(server: KubeServer) -> None:
    assert seen(login(server, cluster_role()["rules"])).problems == ()


def test_each_missing_permission_is_named(server: KubeServer) -> None:
    rules = [rule for rule in cluster_role()["rules"] if rule["apiGroups"] != ["batch"]]
    rules.append({"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "patch"]})
    found = seen(login(server, rules))
    assert found.missing == ("create jobs.batch", "delete jobs.batch")
    assert "2 of the things" in found.problems[0]


def test_secrets_of_others_are_none_of_our_business() -> None:
    for need in NEEDED:
        if need.resource == "secrets":
            assert need.name == "baray-pull" or need.verbs == ("create",)


def test_what_is_switched_off_or_not_installed_needs_no_permission() -> None:
    optional = [need for need in NEEDED if not need.when]
    rules = [rule for rule in cluster_role()["rules"] if any(rule["resources"] == [need.resource] for need in optional)]
    with started(absent=("jobset.x-k8s.io",)) as server:
        found = seen(login(server, rules), kueue=False, exec=False)
    assert found.missing == ()
    assert found.jobset is None
    assert any("JobSet is not installed" in note for note in found.notes)


def test_a_login_that_may_see_nothing_is_told_so_once(server: KubeServer) -> None:
    found = seen(server.access(server.user("nobody")))
    assert "list nodes" in found.missing
    assert "create jobs.batch" in found.missing
    assert found.inventory.nodes == ()


@pytest.mark.parametrize(("minor", "refused"), [(32, True), (33, False), (37, False), (38, False)])
def test_versions_that_are_too_old_are_refused_and_newer_ones_noted(minor: int, refused: bool) -> None:
    with started(minor=minor) as server:
        found = seen(server.access())
    assert any("too old" in problem for problem in found.problems) is refused
    assert any("newer" in note for note in found.notes) is (minor == 38)


@pytest.mark.parametrize(("seconds", "way"), [(90, "90 s ahead of"), (-90, "behind")])
def test_a_clock_that_is_wrong_is_told(server: KubeServer, seconds: int, way: str) -> None:
    server.skew_ms = seconds * 1000
    found = seen(server.access())
    assert abs((found.skew_ms or 0) - seconds * 1000) <= 1_000
    assert any(way in note for note in found.notes)


def test_a_login_that_is_not_accepted_is_told(server: KubeServer) -> None:
    found = seen(server.access("an-old-token"))
    assert len(found.problems) == 1
    assert "does not accept the login" in found.problems[0]


def test_a_cluster_out_of_reach_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with started() as server:
        access = server.access().replace(server.url, f"http://127.0.0.1:{port}")
    (problem,) = seen(access).problems
    assert "cannot be reached" in problem


def test_a_certificate_of_another_authority_is_told() -> None:
    with started(tls=True) as server, started(tls=True) as other:
        assert seen(server.access()).problems == ()
        document = json.loads(server.access())
        document["clusters"][0]["cluster"]["server"] = other.url
        (problem,) = seen(json.dumps(document)).problems
    assert "not trusted" in problem


def test_the_cluster_role_is_one() -> None:
    for version in ("1.34", "1.35", "1.36"):
        check(cluster_role(), version)
    assert YAML(typ="safe").load(io.StringIO(cluster_role_yaml())) == cluster_role()
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in cluster_role()["rules"])
