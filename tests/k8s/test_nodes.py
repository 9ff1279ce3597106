"""From nodes and pods to an inventory: what counts, what is taken off, and what devices are called."""

import time
from typing import Any

import pytest

from domain.clusters import ClusterConfig, FlavorRule, FoundFlavor
from domain.fleet import Node
from k8s.flavors import product_name, slice_milli
from k8s.nodes import Fleet, read_nodes
from k8s.quantities import thousandths, whole

GIB = 1 << 30
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.memory": "40960"}
T4 = {"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": "15360"}
EIGHT = {"nvidia.com/gpu": "8"}


def node(
    name: str = "n1", devices: Any = None, labels: Any = None, *, ready: str = "True", **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
            "allocatable": {"cpu": "32", "memory": "256Gi", "pods": "110", **(devices or {})},
        },
    }  # fmt: skip


def pod(
    on: str = "n1", *, phase: str = "Running", labels: Any = None, init: Any = (), **requests: str
) -> dict[str, Any]:
    asked = {key.replace("gpu", "nvidia.com/gpu"): value for key, value in requests.items()}
    return {
        "metadata": {"name": "p", "labels": labels or {}},
        "spec": {"nodeName": on, "containers": [{"resources": {"requests": asked}}], "initContainers": list(init)},
        "status": {"phase": phase},
    }


def seen(nodes: Any, pods: Any = (), **config: Any) -> Fleet:
    return read_nodes(nodes, pods, ClusterConfig(**config), "centre")


def only(fleet: Fleet) -> Node:
    (found,) = fleet.inventory.nodes
    return found


def flavors(*nodes: Any, **config: Any) -> list[FoundFlavor]:
    return list(seen(nodes, **config).found)


def test_a_node_is_what_it_can_give() -> None:
    fleet = seen([node(devices=EIGHT, labels=H100)])
    found = only(fleet)
    assert (found.devices, found.cpus, found.memory_bytes) == ({"h100-80gb": 8}, 32, 256 * GIB)
    assert fleet.resources == {"n1": {"h100-80gb": "nvidia.com/gpu"}}
    assert fleet.inventory.notes == ()


def test_what_others_pods_ask_for_is_taken_off() -> None:
    theirs = [pod(cpu="1500m", memory="6Gi", gpu="2"), pod(cpu="100m"), pod("n2", cpu="30")]
    found = only(seen([node(devices=EIGHT, labels=H100)], theirs))
    assert (found.devices, found.cpus, found.memory_bytes) == ({"h100-80gb": 6}, 30, 250 * GIB)


def test_our_own_pods_and_ended_ones_are_not() -> None:
    free = [
        pod(cpu="8", labels={"baray.io/origin": "centre"}),
        pod(cpu="8", phase="Succeeded"),
        pod(cpu="8", phase="Failed"),
    ]
    assert only(seen([node()], free)).cpus == 32
    assert only(seen([node()], [pod(cpu="8", labels={"baray.io/origin": "another-centre"})])).cpus == 24


def test_init_steps_count_by_their_peak_and_sidecars_beside_all() -> None:
    def step(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    assert only(seen([node()], [pod(cpu="2", init=[step("6")])])).cpus == 26
    assert only(seen([node()], [pod(cpu="2", init=[step("1", restartPolicy="Always"), step("6")])])).cpus == 25
    assert only(seen([node()], [pod(cpu="8", init=[step("1", restartPolicy="Always"), step("6")])])).cpus == 23


def test_limits_stand_for_requests_and_overhead_counts() -> None:
    theirs = pod()
    theirs["spec"] |= {"containers": [{"resources": {"limits": {"cpu": "3"}}}, {}], "overhead": {"cpu": "500m"}}
    assert only(seen([node()], [theirs])).cpus == 28


def test_a_node_that_is_given_away_whole_has_nothing_left_and_not_less() -> None:
    found = only(seen([node(devices=EIGHT, labels=H100)], [pod(cpu="64", memory="1Ti", gpu="9")]))
    assert (found.devices, found.cpus, found.memory_bytes) == ({"h100-80gb": 0}, 0, 0)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (node("bad", ready="False"), "Not ready: bad."),
        (node("bad", ready="Unknown"), "Not ready: bad."),
        (node("bad", unschedulable=True), "Cordoned: bad."),
        (node("bad", taints=[{"key": "dedicated", "value": "ml", "effect": "NoSchedule"}]), "dedicated=ml:NoSchedule"),
        (node("bad", taints=[{"key": "leaving", "effect": "NoExecute"}]), "leaving:NoExecute"),
    ],
)
def test_nodes_that_take_no_jobs_are_left_out_and_named(bad: Any, said: str) -> None:
    fleet = seen([node("good"), bad])
    assert [one.name for one in fleet.inventory.nodes] == ["good"]
    assert any(said in note and note.endswith("bad.") for note in fleet.inventory.notes)
    assert fleet.supplies["cpu"].cpus_milli == 64_000  # quotas do not move with it


@pytest.mark.parametrize("toleration", ["gpu", "gpu=yes", "gpu:NoSchedule", "gpu=yes:NoSchedule"])
def test_tolerated_taints_and_soft_ones_are_put_up_with(toleration: str) -> None:
    taints = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "x", "effect": "PreferNoSchedule"}]
    assert only(seen([node(taints=taints)], tolerations=(toleration,)))


def test_taints_that_only_keep_others_from_gpus_are_always_put_up_with() -> None:
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert only(seen([node(taints=taints)]))


@pytest.mark.parametrize("toleration", ["gp", "gpu=no", "gpu:NoExecute", "other"])
def test_other_tolerations_do_not_help(toleration: str) -> None:
    taints = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]
    assert not seen([node(taints=taints)], tolerations=(toleration,)).inventory.nodes


@pytest.mark.parametrize(
    ("product", "memory", "name"),
    [
        ("NVIDIA-H100-80GB-HBM3", 81559, "h100-80gb"),
        ("NVIDIA-A100-SXM4-40GB", 40960, "a100-40gb"),
        ("NVIDIA-A100-PCIE-40GB", 0, "a100-40gb"),
        ("Tesla-T4", 15360, "t4-16gb"),
        ("NVIDIA-L40S", 46068, "l40s-48gb"),
        ("NVIDIA-H200", 143771, "h200-141gb"),
        ("NVIDIA-H100-NVL", 95830, "h100-94gb"),
        ("NVIDIA-GH200-480GB", 97871, "gh200-96gb"),
        ("NVIDIA-GeForce-RTX-4090", 24564, "rtx-4090-24gb"),
        ("AMD_Instinct_MI300X_OAM", 196608, "mi300x-192gb"),
    ],
)
def test_products_have_names_for_people(product: str, memory: int, name: str) -> None:
    assert product_name(product, memory) == name


@pytest.mark.parametrize(
    ("profile", "size", "milli"),
    [("1g.10gb", 80, 125), ("1g.20gb", 80, 250), ("2g.20gb", 80, 250), ("3g.40gb", 80, 500), ("7g.80gb", 80, 1000),
     ("1g.6gb", 24, 250), ("1g.18gb", 141, 125), ("1g.10gb.me", 80, 125), ("3g.48gb", 480, 500), ("4g.40gb", 0, 500)],
)  # fmt: skip
def test_slices_count_by_their_share_of_the_memory(profile: str, size: int, milli: int) -> None:
    assert slice_milli(profile, size) == milli


def test_slices_of_one_size_a_node_have_the_product_for_a_profile() -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "nvidia.com/gpu.memory": "9856"}
    (found,) = flavors(node(devices={"nvidia.com/gpu": "56"}, labels=labels))
    assert (found.flavor, found.resource, found.milli, found.devices) == ("h100-mig-1g.10gb", "nvidia.com/gpu", 125, 56)


def test_slices_of_several_sizes_are_several_flavors_beside_whole_gpus() -> None:
    mixed = {
        "nvidia.com/gpu": "6",
        "nvidia.com/mig-1g.10gb": "4",
        "nvidia.com/mig-3g.40gb": "2",
        "nvidia.com/mig-7g.80gb": "0",
    }
    fleet = seen([node(devices=mixed, labels=H100)], [pod(**{"nvidia.com/mig-1g.10gb": "1"})])
    assert only(fleet).devices == {"h100-80gb": 6, "h100-mig-1g.10gb": 3, "h100-mig-3g.40gb": 2}
    assert fleet.resources["n1"]["h100-mig-3g.40gb"] == "nvidia.com/mig-3g.40gb"
    assert {found.flavor: found.milli for found in fleet.found} == {
        "h100-80gb": 1000, "h100-mig-1g.10gb": 125, "h100-mig-3g.40gb": 500
    }  # fmt: skip


def test_time_sliced_gpus_are_shares_and_it_is_said() -> None:
    labels = {
        "nvidia.com/gpu.product": "Tesla-T4-SHARED",
        "nvidia.com/gpu.memory": "15360",
        "nvidia.com/gpu.replicas": "4",
    }
    fleet = seen([node(devices={"nvidia.com/gpu": "16"}, labels=labels)])
    assert [(found.flavor, found.milli) for found in fleet.found] == [("t4-16gb-shared-4", 250)]
    assert any("shared in time by 4" in note for note in fleet.inventory.notes)
    renamed = {**labels, "nvidia.com/gpu.product": "Tesla-T4"}
    assert flavors(node(devices={"nvidia.com/gpu.shared": "16"}, labels=renamed))[0].flavor == "t4-16gb-shared-4"


def test_while_mig_is_configured_anew_its_gpus_are_left_out() -> None:
    labels = {**H100, "nvidia.com/mig.config.state": "rebooting"}
    fleet = seen([node(devices=EIGHT, labels=labels)])
    assert only(fleet).devices == {}
    assert any("configured anew" in note for note in fleet.inventory.notes)
    failed = seen([node(devices=EIGHT, labels={**labels, "nvidia.com/mig.config.state": "failed"})])
    assert only(failed).devices == {"h100-80gb": 8}


def test_gpus_without_labels_are_named_for_their_resource_and_it_is_said() -> None:
    fleet = seen([node(devices=EIGHT)])
    assert [(found.flavor, found.product) for found in fleet.found] == [("nvidia-gpu", "")]
    assert any("feature discovery" in note and note.endswith("n1.") for note in fleet.inventory.notes)


def test_other_makers_are_known() -> None:
    amd = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}
    assert flavors(node(devices={"amd.com/gpu": "8"}, labels=amd))[0].flavor == "mi300x-192gb"
    intel = {"gpu.intel.com/product": "Max_1550"}
    assert flavors(node(devices={"gpu.intel.com/i915": "4"}, labels=intel))[0].flavor == "intel-max-1550"
    assert flavors(node(devices={"habana.ai/gaudi": "8"}))[0].flavor == "gaudi"
    assert flavors(node(devices={"rdma/hca": "8", "hugepages-2Mi": "1Gi"})) == []


def test_rules_stand_over_what_is_derived_and_the_first_that_fits_counts() -> None:
    rules = (
        FlavorRule("nvidia.com/gpu", "new-hall", "hall", "new"),
        FlavorRule("nvidia.com/gpu", "halls", "hall"),
        FlavorRule("example.com/tpu", "tpu"),
    )
    found = flavors(
        node("a", EIGHT, {**H100, "hall": "new"}), node("b", EIGHT, {**H100, "hall": "old"}), node("c", EIGHT, H100),
        node("d", {"example.com/tpu": "4"}), flavors=rules,
    )  # fmt: skip
    assert [(one.flavor, one.nodes, one.derived) for one in found] == [
        ("h100-80gb", 1, True), ("halls", 1, False), ("new-hall", 1, False), ("tpu", 1, False)
    ]  # fmt: skip


def test_two_resources_of_one_flavor_on_a_node_are_not_added_up_and_it_is_said() -> None:
    rules = (FlavorRule("nvidia.com/mig-1g.10gb", "h100-80gb"),)
    fleet = seen([node(devices={"nvidia.com/gpu": "6", "nvidia.com/mig-1g.10gb": "4"}, labels=H100)], flavors=rules)
    assert only(fleet).devices == {"h100-80gb": 6}
    assert any("is left out" in note for note in fleet.inventory.notes)


def test_unequal_devices_under_one_name_are_told() -> None:
    rules = (FlavorRule("nvidia.com/mig-1g.10gb", "mine"), FlavorRule("nvidia.com/gpu", "mine"))
    fleet = seen(
        [node("a", {"nvidia.com/mig-1g.10gb": "4"}, H100), node("b", EIGHT, H100)], flavors=rules
    )  # fmt: skip
    assert any("125, 1000 thousandths" in note for note in fleet.inventory.notes)


def test_labels_come_along_under_plain_names() -> None:
    labels = {
        "kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "pp-1", "rack": "r7", "baray.io/nvlink": "d3",
        "nvidia.com/gpu.clique": "x.1", "feature.node.kubernetes.io/cpu-x": "true", "clearance": "secret",
        "cluster": "mine", "residency": "moon", "empty": "", "baray.io/residency": "moon",
    }  # fmt: skip
    found = only(seen([node(labels={**labels, **H100})]))
    assert dict(found.labels) == {
        "hostname": "n1", "zone": "pp-1", "rack": "r7", "nvlink": "d3", "gpu-product": "NVIDIA-H100-80GB-HBM3"
    }  # fmt: skip


def test_labels_are_bounded_and_those_of_places_come_first() -> None:
    labels = {f"a{number}": "x" for number in range(100)} | {"topology.kubernetes.io/zone": "pp-1"}
    found = dict(only(seen([node(labels=labels)])).labels)
    assert len(found) == 32
    assert found["zone"] == "pp-1"


def test_supplies_do_not_move_with_pods() -> None:
    nodes = [node("a", EIGHT, H100), node("b", EIGHT, H100, unschedulable=True), node("c")]
    supplies = seen(nodes, [pod("a", cpu="20", gpu="8")]).supplies
    assert supplies["h100-80gb"].devices == {"nvidia.com/gpu": 16}
    assert supplies["h100-80gb"].cpus_milli == 64_000
    assert supplies["h100-80gb"].labels == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert supplies["cpu"].cpus_milli == 96_000


def test_the_order_of_what_is_read_changes_nothing() -> None:
    nodes = [node("b", EIGHT, H100), node("a", EIGHT, A100), node("c", EIGHT, T4, unschedulable=True)]
    pods = [pod("a", cpu="1"), pod("b", cpu="2")]
    assert seen(nodes, pods) == seen(nodes[::-1], pods[::-1])


def test_a_note_names_few_nodes_of_many() -> None:
    (note,) = seen([node(f"n{number:03}", unschedulable=True) for number in range(100)]).inventory.notes
    assert note == "Cordoned: n000, n001, n002, n003, n004 and 95 more."


@pytest.mark.parametrize(
    ("text", "milli"),
    [("1", 1000), ("500m", 500), ("1.5", 1500), ("2k", 2_000_000), ("1Ki", 1_024_000), ("1e3", 1_000_000), ("1E", 10**21),
     ("100n", 1), ("-1", -1000), (".5", 500), (3, 3000), ("", 0), ("x", 0), ("1e999", 0), ("1" * 30, 0)],
)  # fmt: skip
def test_quantities_are_read_as_kubernetes_writes_them(text: Any, milli: int) -> None:
    assert thousandths(text) == milli
    assert whole("1500m") == 1


def test_a_thousand_nodes_with_ten_thousand_pods_are_read_well_within_a_second() -> None:
    nodes = [node(f"n{number}", EIGHT, {**H100, "kubernetes.io/hostname": f"n{number}"}) for number in range(1000)]
    pods = [pod(f"n{number % 1000}", cpu="100m", memory="64Mi") for number in range(10_000)]
    begun = time.process_time()
    fleet = seen(nodes, pods)
    assert time.process_time() - begun < 0.7
    assert sum(one.devices["h100-80gb"] for one in fleet.inventory.nodes) == 8000
