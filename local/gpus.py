"""What this machine has to give: its GPUs as NVML sees them, or virtual nodes as a setting declares them.

``runtime`` asks once at start and hands the answer to the driver. Without GPUs it is one node with the flavor ``cpu``.
"""

import importlib
import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domain.errors import CannotStart, Invalid
from domain.fleet import CPU_FLAVOR, Node
from domain.quantities import parse_bytes

_EXAMPLE = "local-1:h100-80gb=2,cpus=8,memory=64Gi;local-2:a100-40gb=4"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_COUNT = re.compile(r"[1-9]\d{0,4}")
_SLICE = re.compile(r"\d+[gc]\.\d\S*", re.IGNORECASE)
_MEMORY = re.compile(r"(\d+)\s?GB", re.IGNORECASE)
# Words of a product's name that tell the maker, the socket or the make of the memory: nothing a user chooses by.
_NOISE = re.compile(r"nvidia|tesla|geforce|quadro|generation|sxm\d*|pcie|hbm\d*e?|mig", re.IGNORECASE)
_GIB = 1 << 30
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True, slots=True)
class Machine:
    """The nodes of the local cluster.

    ``visible`` names each real device as CUDA knows it, by node and flavor. It is empty for virtual devices.
    """

    nodes: tuple[Node, ...]
    visible: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def find_machine(declared: str = "", nvml: Any = None) -> Machine:
    """The nodes that ``declared`` describes; if it is empty, this machine with the GPUs that NVML finds.

    ``nvml`` is the module ``pynvml``, or something that answers like it.
    """
    if declared.strip():
        return Machine(parse_nodes(declared))
    if nvml is None:
        nvml = importlib.import_module("pynvml")  # only now: where nodes are declared, nobody needs it
    name = _node_name(platform.node())
    found: dict[str, list[str]] = {}
    for flavor, uuid in _nvml_devices(nvml):
        found.setdefault(flavor, []).append(uuid)
    node = Node(name, {flavor: len(uuids) for flavor, uuids in found.items()}, _real_cpus(), _real_memory())
    return Machine((node,), {(name, flavor): tuple(uuids) for flavor, uuids in found.items()})


def parse_nodes(text: str) -> tuple[Node, ...]:
    """Read a declaration of virtual nodes such as ``local-1:h100-80gb=2,cpus=8,memory=64Gi;local-2:a100-40gb=4``.

    ``cpus`` and ``memory`` are those of this machine where they are left out. Raises CannotStart.
    """
    nodes = [_parse_node(part.strip()) for part in text.split(";") if part.strip()]
    names = [node.name for node in nodes]
    if not nodes:
        raise _unreadable("declares no node")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise _unreadable(f"declares {twice[0]!r} twice")
    return tuple(nodes)


def visible_names(machine: Machine) -> dict[tuple[str, str], tuple[str, ...]]:
    """What ``CUDA_VISIBLE_DEVICES`` calls each device, by node and flavor.

    Virtual devices are numbered through all nodes, so two nodes on this machine never show the same number.
    """
    if machine.visible:
        return dict(machine.visible)
    names, first = {}, 0
    for node in machine.nodes:
        for flavor, count in node.devices.items():
            names[node.name, flavor] = tuple(str(ordinal) for ordinal in range(first, first + count))
            first += count
    return names


def flavor_name(product: str, memory_bytes: int) -> str:
    """``NVIDIA H100 80GB HBM3`` as ``h100-80gb``; ``… MIG 1g.10gb`` as ``h100-mig-1g.10gb``."""
    slice_ = _SLICE.search(product)
    size = _MEMORY.search(_SLICE.sub("", product))
    model = _NOISE.sub(" ", _MEMORY.sub(" ", _SLICE.sub(" ", product)))
    words = re.findall(r"[a-z0-9]+", model.lower()) or ["gpu"]
    if slice_ is not None:
        return "-".join([*words, "mig", slice_[0].lower()])
    gigabytes = int(size[1]) if size is not None else round(memory_bytes / _GIB)
    return "-".join([*words, f"{gigabytes}gb"])


def _parse_node(text: str) -> Node:
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise _unreadable(f"has no proper node name in {text[:60]!r}")
    devices: dict[str, int] = {}
    amounts = {"cpus": _real_cpus(), "memory": _real_memory()}
    seen: set[str] = set()
    for item in rest.split(",") if colon else []:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not value or key in seen or key == CPU_FLAVOR or not _NAME.fullmatch(key):
            raise _unreadable(f"has {item.strip()[:60]!r} for {name}, which is no new flavor=count, cpus= or memory=")
        seen.add(key)
        if key == "memory":
            amounts[key] = _parse_memory(name, value)
        elif not _COUNT.fullmatch(value):
            raise _unreadable(f"has {value[:20]!r} as {key} of {name}, which is no whole number above 0")
        elif key == "cpus":
            amounts[key] = int(value)
        else:
            devices[key] = int(value)
    return Node(name, devices, amounts["cpus"], amounts["memory"])


def _parse_memory(node: str, value: str) -> int:
    try:
        if memory := parse_bytes(value, "memory"):
            return memory
    except Invalid:
        pass
    raise _unreadable(f"has {value[:20]!r} as memory of {node}, which is no size such as 64Gi")


def _unreadable(what: str) -> CannotStart:
    return CannotStart(f"The declaration of local nodes {what}.", fix=f"write it as in {_EXAMPLE}")


def _node_name(host: str) -> str:
    """The machine's own name, as far as it is a name for a node."""
    name = re.sub(r"[^a-z0-9.-]", "-", host.lower())[:63].strip(".-")
    return name or "local"


def _real_cpus() -> int:
    return len(os.sched_getaffinity(0))


def _real_memory() -> int:
    """Of the machine, or of the container that we run in."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # absent, or ``max``
            memory = min(memory, int(limit.read_text()))
    return memory


def _nvml_devices(nvml: Any) -> list[tuple[str, str]]:
    """Flavor and UUID of each GPU, or of each MIG slice where a GPU is cut. None at all if NVML does not work."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return []
    try:
        return [found for index in range(nvml.nvmlDeviceGetCount()) for found in _slices(nvml, index)]
    except nvml.NVMLError:
        return []
    finally:
        nvml.nvmlShutdown()


def _slices(nvml: Any, index: int) -> Iterator[tuple[str, str]]:
    whole = nvml.nvmlDeviceGetHandleByIndex(index)
    handles = list(_mig_handles(nvml, whole)) or [whole]
    for handle in handles:
        product = _text(nvml.nvmlDeviceGetName(handle))
        yield flavor_name(product, nvml.nvmlDeviceGetMemoryInfo(handle).total), _text(nvml.nvmlDeviceGetUUID(handle))


def _mig_handles(nvml: Any, whole: Any) -> Iterator[Any]:
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(whole)
    except nvml.NVMLError:  # a GPU that cannot be cut
        return
    if current != nvml.NVML_DEVICE_MIG_ENABLE:
        return
    for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(whole)):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(whole, slot)
        except nvml.NVMLError:  # an empty slot
            continue


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
