"""What the machine has to give, as NVML or a setting says."""

from types import SimpleNamespace

import pytest

from domain.errors import CannotStart
from domain.fleet import Node
from local.gpus import find_machine, flavor_name, parse_nodes, visible_names

GIB = 1 << 30


@pytest.mark.parametrize(
    ("product", "gigabytes", "flavor"),
    [
        ("NVIDIA H100 80GB HBM3", 79.6, "h100-80gb"),
        ("NVIDIA H100 PCIe", 79.6, "h100-80gb"),
        ("NVIDIA A100-SXM4-40GB", 39.6, "a100-40gb"),
        ("NVIDIA A100-PCIE-40GB", 39.6, "a100-40gb"),
        ("NVIDIA A100 80GB PCIe", 79.2, "a100-80gb"),
        ("NVIDIA H200", 140.4, "h200-140gb"),
        ("Tesla V100-SXM2-16GB", 15.8, "v100-16gb"),
        ("Tesla T4", 15.0, "t4-15gb"),
        ("NVIDIA L40S", 45.0, "l40s-45gb"),
        ("NVIDIA GeForce RTX 4090", 24.0, "rtx-4090-24gb"),
        ("NVIDIA RTX 6000 Ada Generation", 48.0, "rtx-6000-ada-48gb"),
        ("NVIDIA RTX A6000", 48.0, "rtx-a6000-48gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9.8, "h100-mig-1g.10gb"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19.6, "a100-mig-3g.20gb"),
        ("", 8.0, "gpu-8gb"),
    ],
)
def test_a_flavor_is_named_after_the_product(product: str, gigabytes: float, flavor: str) -> None:
    assert flavor_name(product, int(gigabytes * GIB)) == flavor


def test_nodes_are_read_from_a_setting() -> None:
    text = " local-1:h100-80gb=2,cpus=8,memory=64Gi ; local-2: a100-40gb=4 , h100-mig-1g.10gb=7;cpu-only;"
    first, second, third = parse_nodes(text)
    assert first == Node("local-1", {"h100-80gb": 2}, 8, 64 * GIB)
    assert second.devices == {"a100-40gb": 4, "h100-mig-1g.10gb": 7}
    assert (third.name, third.devices) == ("cpu-only", {})
    assert third.cpus > 0
    assert third.memory_bytes > GIB // 4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (";", "no node"),
        ("Local_1:cpus=2", "'Local_1:cpus=2'"),
        ("a;a:cpus=1", "'a' twice"),
        ("a:h100", "'h100'"),
        ("a:h100=", "'h100='"),
        ("a:h100=two", "'two'"),
        ("a:h100=0", "'0'"),
        ("a:h100=-1", "'-1'"),
        ("a:h100=1,h100=1", "'h100=1'"),
        ("a:cpu=2", "'cpu=2'"),
        ("a:memory=lots", "'lots'"),
        ("a:memory=0", "'0'"),
        ("a:cpus=1;b:cpus=0", "'0'"),
    ],
)
def test_bad_text_is_refused_with_what_is_wrong_and_how_to_write_it(text: str, word: str) -> None:
    with pytest.raises(CannotStart) as caught:
        parse_nodes(text)
    assert word in caught.value.message
    assert "local-1:h100-80gb=2,cpus=8,memory=64Gi" in caught.value.fixes[0]


def test_virtual_devices_are_numbered_through() -> None:
    names = visible_names(find_machine("a:x-1gb=2,y-1gb=1;b:x-1gb=2"))
    assert names == {("a", "x-1gb"): ("0", "1"), ("a", "y-1gb"): ("2",), ("b", "x-1gb"): ("3", "4")}


class NVMLError(Exception):
    """As in pynvml."""


class FakeNvml:
    """Answers like pynvml. A device is a name, or a list of names of its slices (None: an empty slot)."""

    NVML_DEVICE_MIG_ENABLE = 1
    NVMLError = NVMLError

    def __init__(self, *devices: str | list[str | None], broken: bool = False) -> None:
        self.devices = devices
        self.broken = broken

    def nvmlInit(self) -> None:  # noqa: N802
        if self.broken:
            raise NVMLError

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> tuple[int, int]:  # noqa: N802
        return index, -1

    def nvmlDeviceGetMigMode(self, handle: tuple[int, int]) -> tuple[int, int]:  # noqa: N802
        device = self.devices[handle[0]]
        if device == "Tesla T4":
            raise NVMLError
        return (int(isinstance(device, list)),) * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: tuple[int, int]) -> int:  # noqa: N802
        return len(self.devices[handle[0]])

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: tuple[int, int], slot: int) -> tuple[int, int]:  # noqa: N802
        if self.devices[handle[0]][slot] is None:
            raise NVMLError
        return handle[0], slot

    def nvmlDeviceGetName(self, handle: tuple[int, int]) -> bytes:  # noqa: N802
        device = self.devices[handle[0]]
        return (device if isinstance(device, str) else device[handle[1]]).encode()

    def nvmlDeviceGetMemoryInfo(self, _handle: tuple[int, int]) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=80 * GIB)

    def nvmlDeviceGetUUID(self, handle: tuple[int, int]) -> str:  # noqa: N802
        return f"GPU-{handle[0]}" if handle[1] < 0 else f"MIG-{handle[0]}-{handle[1]}"


def test_real_gpus_are_found_and_known_by_their_uuid() -> None:
    sliced = ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", None, "NVIDIA H100 80GB HBM3 MIG 1g.10gb"]
    machine = find_machine(nvml=FakeNvml("NVIDIA H100 80GB HBM3", sliced, "Tesla T4", "NVIDIA H100 80GB HBM3"))
    (node,) = machine.nodes
    assert node.devices == {"h100-80gb": 2, "h100-mig-1g.10gb": 2, "t4-80gb": 1}
    assert visible_names(machine) == {
        (node.name, "h100-80gb"): ("GPU-0", "GPU-3"),
        (node.name, "h100-mig-1g.10gb"): ("MIG-1-0", "MIG-1-2"),
        (node.name, "t4-80gb"): ("GPU-2",),
    }


@pytest.mark.parametrize("nvml", [FakeNvml(), FakeNvml(broken=True), None])
def test_without_gpus_the_machine_is_one_node_of_cpus(nvml: FakeNvml | None) -> None:
    machine = find_machine(nvml=nvml)
    (node,) = machine.nodes
    if nvml is not None:
        assert (node.devices, machine.visible) == ({}, {})
    assert node.cpus > 0
