"""What is found of a real cluster before it is added, by logins of every kind."""

from collections.abc import Iterator

import pytest
import yaml

from domain.clusters import ClusterConfig, Examination, FlavorRule
from domain.errors import Invalid
from k8s.gateway import KubernetesGateway
from runtime.clock import SystemClock
from store.shelf import FileShelf
from tests.cluster.rig import fleet
from tests.cluster.rig.calls import Object
from tests.cluster.rig.control_plane import BARAY, RESTRICTED, Cluster
from tests.cluster.rig.fleet import Fake
from tests.cluster.rig.wire import Wire
from tests.cluster.waiting import until
from tests.k8s.rig import PlainPasses

_PLAIN = ClusterConfig()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> KubernetesGateway:
    shelf = FileShelf(tmp_path_factory.mktemp("shelf"), log_limit_bytes=1, output_limit_bytes=1)
    return KubernetesGateway("registration", shelf, PlainPasses(), SystemClock())


def _examine(gateway: KubernetesGateway, kubeconfig: Object, config: ClusterConfig = _PLAIN) -> Examination:
    return gateway.examine(gateway.read_access(yaml.safe_dump(kubeconfig), None, config), config)


def test_a_login_with_the_documented_role_may_add_the_cluster(gateway: KubernetesGateway, cluster: Cluster) -> None:
    found = _examine(gateway, cluster.kubeconfig(BARAY))
    assert (found.problems, found.missing) == ((), ())
    assert found.version == "v1.36.3"
    assert (found.kueue, found.jobset) == ("v1beta2", "v1alpha2")
    assert found.skew_ms is not None
    assert abs(found.skew_ms) < 5_000
    assert found.uid == cluster.admin.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
    flavors = {one.flavor: (one.product, one.nodes, one.devices, one.derived) for one in found.flavors}
    assert flavors == {"h100-80gb": (fleet.H100, 10, 80, True), "a100-40gb": (fleet.A100, 10, 80, True)}


def test_each_permission_that_a_login_lacks_is_named(gateway: KubernetesGateway, cluster: Cluster) -> None:
    found = _examine(gateway, cluster.kubeconfig(RESTRICTED))
    assert {"create jobs.batch", "list nodes", "create namespaces", "get pods/log", "create clusterqueues.kueue.x-k8s.io"} - set(found.missing) <= {"get pods/log"}  # fmt: skip
    assert "list pods" not in found.missing
    assert any("may not" in problem for problem in found.problems)


def test_a_cluster_without_kueue_and_jobset_is_noted_and_no_problem(
    gateway: KubernetesGateway, second_cluster: Cluster
) -> None:
    found = _examine(gateway, second_cluster.kubeconfig(BARAY))
    assert found.problems == ()
    assert (found.kueue, found.jobset) == (None, None)
    assert any("Kueue" in note for note in found.notes)
    assert any("JobSet" in note for note in found.notes)


def test_a_certificate_logs_in_until_it_expires(gateway: KubernetesGateway, cluster: Cluster) -> None:
    assert _examine(gateway, cluster.certificate_login("rig:cert", "system:masters")).problems == ()
    with pytest.raises(Invalid) as refused:
        _examine(gateway, cluster.certificate_login("rig:cert", "system:masters", expired=True))
    assert "ended" in str(refused.value) or "expired" in str(refused.value)


def test_logins_that_are_worth_nothing_are_told_apart(
    gateway: KubernetesGateway, cluster: Cluster, second_cluster: Cluster
) -> None:
    wrong = cluster.kubeconfig(BARAY, token="no-such-token")
    assert "does not accept the login" in _examine(gateway, wrong).problems[0]
    strange = cluster.kubeconfig(BARAY)
    strange["clusters"][0]["cluster"]["certificate-authority-data"] = second_cluster.kubeconfig()["clusters"][0][
        "cluster"
    ]["certificate-authority-data"]
    assert "not trusted" in _examine(gateway, strange).problems[0]
    with Wire(cluster.port) as wire:
        wire.cut()
        assert "cannot be reached" in _examine(gateway, wire.kubeconfig(cluster.kubeconfig(BARAY))).problems[0]
    plugin = cluster.kubeconfig(BARAY, exec={"apiVersion": "client.authentication.k8s.io/v1", "command": "login"})
    with pytest.raises(Invalid):
        _examine(gateway, plugin)


def test_two_logins_of_one_cluster_are_known_to_be_of_one(gateway: KubernetesGateway, cluster: Cluster) -> None:
    by_token, by_certificate = cluster.kubeconfig(BARAY), cluster.certificate_login("rig:cert", "system:masters")
    assert _examine(gateway, by_token).uid == _examine(gateway, by_certificate).uid != ""


@pytest.fixture
def slices(cluster: Cluster) -> Iterator[str]:
    """A node whose GPU is cut into slices."""
    cut = Fake("mig-1", fleet.A100, (("nvidia.com/mig-1g.5gb", 7), ("nvidia.com/mig-3g.20gb", 2)))
    fleet.add(cluster.admin, cut)
    until(lambda: fleet.ready(cluster.admin, cut.name))
    yield cut.name
    cluster.admin.delete(f"/api/v1/nodes/{cut.name}")


def test_slices_and_rules_of_the_administrator_make_flavors(
    gateway: KubernetesGateway, cluster: Cluster, slices: str
) -> None:
    rule = FlavorRule("nvidia.com/gpu", "gold", "topology.kubernetes.io/rack", "r1")
    found = _examine(gateway, cluster.kubeconfig(BARAY), ClusterConfig(flavors=(rule,)))
    names = {one.flavor: one for one in found.flavors}
    assert names["gold"].derived is False
    assert {one.resource for one in found.flavors} >= {"nvidia.com/mig-1g.5gb", "nvidia.com/mig-3g.20gb"}
    sliced = next(node for node in found.inventory.nodes if node.name == slices)
    assert sorted(sliced.devices.values()) == [2, 7]
