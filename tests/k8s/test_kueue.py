"""The centre's quotas as Kueue's objects: held against its own definitions, and added up."""

import itertools
from typing import Any

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Room
from k8s.manifests.kueue import local_queue, queue_name, queues
from k8s.nodes import Supply
from k8s.taints import flavor_toleration, tolerations
from tests.k8s.schemas import check_kueue

SUPPLIES = {
    "cpu": Supply(cpus_milli=96_500),
    "h100-80gb": Supply({"nvidia.com/gpu": 16}, labels={"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}),
    "a100-40gb": Supply({"nvidia.com/gpu": 8}),
    "h100-mig-1g.10gb": Supply({"nvidia.com/gpu": 7, "nvidia.com/mig-1g.10gb": 56}),
}
MILLIS = {"h100-mig-1g.10gb": 125}
ROOMS = (Room(1, "asr", "cadt"), Room(2, "ocr", "cadt"), Room(3, "rice", "itc"))
QUOTAS = {
    ("cadt", "h100-80gb"): Quota(8_000, 4_000, 2_000),
    ("itc", "h100-80gb"): Quota(64_000, 0, None),  # over all clusters: more than this one has
    ("itc", "h100-mig-1g.10gb"): Quota(1_000),
    ("cadt", "cpu"): Quota(32_000),
    ("cadt", "total"): Quota(1_000),
}


def made(quotas: Any = None) -> list[dict[str, Any]]:
    return list(queues(ROOMS, QUOTAS if quotas is None else quotas, MILLIS, SUPPLIES, "centre"))


def shares(name: str, quotas: Any = None) -> dict[tuple[str, str], dict[str, str]]:
    """Of a ClusterQueue, by flavor and resource."""
    (queue,) = [one for one in made(quotas) if one["metadata"]["name"] == name]
    (group,) = queue["spec"]["resourceGroups"]
    return {
        (flavor["name"].removeprefix("baray-centre-"), share["name"]): share
        for flavor in group["flavors"]
        for share in flavor["resources"]
    }


def test_kueue_takes_every_object() -> None:
    for one in [*made(), *(local_queue(room, "centre") for room in ROOMS)]:
        check_kueue(one)


def test_flavors_come_first_then_a_queue_for_each_tenant_and_the_rest() -> None:
    kinds = [one["kind"] for one in made()]
    assert kinds == ["ResourceFlavor"] * 4 + ["ClusterQueue"] * 3
    assert [one["metadata"]["name"] for one in made()][-3:] == [
        "baray-centre-t-cadt", "baray-centre-t-itc", "baray-centre-rest"
    ]  # fmt: skip


def test_a_pod_tolerates_the_mark_of_its_own_flavor_alone() -> None:
    def tolerates(pod: list[dict[str, Any]], taint: dict[str, Any]) -> bool:
        return any(
            one["key"] == taint["key"] and one.get("value", taint["value"]) == taint["value"] for one in pod
        )  # fmt: skip

    marks = {one["metadata"]["name"]: one["spec"]["nodeTaints"][0] for one in made() if one["kind"] == "ResourceFlavor"}
    for flavor, (name, taint) in itertools.product(SUPPLIES, marks.items()):
        pod = [*tolerations(ClusterConfig(tolerations=("dedicated",))), flavor_toleration(flavor)]
        assert tolerates(pod, taint) is (name == f"baray-centre-{flavor}")


def test_a_quota_is_nominal_borrowed_and_lent() -> None:
    share = shares("baray-centre-t-cadt")["h100-80gb", "nvidia.com/gpu"]
    assert share == {"name": "nvidia.com/gpu", "nominalQuota": "8", "borrowingLimit": "4", "lendingLimit": "2"}


def test_a_guarantee_is_bounded_by_what_the_cluster_has() -> None:
    share = shares("baray-centre-t-itc")["h100-80gb", "nvidia.com/gpu"]
    assert share == {"name": "nvidia.com/gpu", "nominalQuota": "16", "borrowingLimit": "48"}


def test_slices_are_counted_as_devices_of_either_resource() -> None:
    found = shares("baray-centre-t-itc")
    assert found["h100-mig-1g.10gb", "nvidia.com/mig-1g.10gb"]["nominalQuota"] == "8"
    assert found["h100-mig-1g.10gb", "nvidia.com/gpu"]["nominalQuota"] == "7"


def test_without_a_quota_one_may_borrow_as_at_the_centre() -> None:
    share = shares("baray-centre-t-cadt")["a100-40gb", "nvidia.com/gpu"]
    assert share == {"name": "nvidia.com/gpu", "nominalQuota": "0"}


def test_cores_have_a_quota_for_their_own_flavor_only() -> None:
    found = shares("baray-centre-t-cadt")
    assert found["cpu", "cpu"]["nominalQuota"] == "32"
    assert found["h100-80gb", "cpu"]["nominalQuota"] == "1M"
    assert found["h100-80gb", "cpu"]["lendingLimit"] == "0"  # or the cohort's sum would count them


def test_a_flavor_offers_none_of_the_devices_that_it_does_not_have() -> None:
    found = shares("baray-centre-t-itc")
    assert found["h100-80gb", "nvidia.com/mig-1g.10gb"]["nominalQuota"] == "0"
    assert found["h100-80gb", "nvidia.com/mig-1g.10gb"]["borrowingLimit"] == "0"
    assert found["cpu", "nvidia.com/gpu"]["nominalQuota"] == "0"


def test_what_nobody_is_guaranteed_is_the_rests_to_lend() -> None:
    quotas = {("cadt", "h100-80gb"): Quota(5_000), ("itc", "h100-80gb"): Quota(4_000)}
    rest = shares("baray-centre-rest", quotas)
    assert rest["h100-80gb", "nvidia.com/gpu"]["nominalQuota"] == "7"
    assert "lendingLimit" not in rest["h100-80gb", "nvidia.com/gpu"]
    assert rest["cpu", "cpu"]["nominalQuota"] == "96"
    over = shares("baray-centre-rest")["h100-80gb", "nvidia.com/gpu"]
    assert over["nominalQuota"] == "0"  # never below


def test_nobody_evicts_and_nobody_submits_to_the_rest() -> None:
    for one in made():
        if one["kind"] == "ClusterQueue":
            never = one["spec"]["preemption"]
            assert {
                never["withinClusterQueue"],
                never["reclaimWithinCohort"],
                never["borrowWithinCohort"]["policy"],
            } == {"Never"}
            assert ("namespaceSelector" in one["spec"]) is not one["metadata"]["name"].endswith("-rest")


def test_each_projects_queue_leads_to_its_tenants() -> None:
    one = local_queue(ROOMS[2], "centre")
    assert one["spec"] == {"clusterQueue": "baray-centre-t-itc", "stopPolicy": "None"}
    assert local_queue(Room(3, "rice", "itc", active=False), "centre")["spec"]["stopPolicy"] == "Hold"


def test_names_are_valid_whatever_the_tenant_is_called() -> None:
    assert queue_name("centre", "សាកលវិទ្យាល័យ") != queue_name("centre", "វិទ្យាស្ថាន")
    assert queue_name("centre", "rest") != "baray-centre-rest"
    assert len(queue_name("centre", "x" * 200)) <= 63
