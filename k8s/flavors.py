"""Which flavor the devices of a node are: from the labels that vendors' feature discovery puts there. Pure.

An administrator's rules stand over what is derived. A slice (MIG) is counted by its share of the GPU's memory: NVIDIA's
MIG user guide divides a GPU into memory slices of about an eighth each, and memory is what runs out first. Devices that
are shared in time (time-slicing, MPS) are thousandths of the GPU behind them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from domain.clusters import FlavorRule
from domain.quantities import MILLI
from k8s.quantities import whole

NVIDIA = "nvidia.com/gpu"
PRODUCT, MEMORY = "nvidia.com/gpu.product", "nvidia.com/gpu.memory"  # MiB
REPLICAS, MIG_STATE = "nvidia.com/gpu.replicas", "nvidia.com/mig.config.state"

_NVIDIA = re.compile(r"nvidia\.com/(?:gpu|mig-(?P<slice>[a-z0-9.+-]+?))(?P<shared>\.shared)?")
_AMD = "amd.com/gpu"
_INTEL = frozenset({"gpu.intel.com/i915", "gpu.intel.com/xe"})
_GAUDI = "habana.ai/gaudi"
_OTHERS = frozenset({_AMD, _GAUDI, *_INTEL})
_AMD_PRODUCT = ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name")
_AMD_MEMORY = ("amd.com/gpu.vram", "beta.amd.com/gpu.vram")

_SHARED = re.compile(r"-SHARED$", re.IGNORECASE)
_MIG = re.compile(r"-MIG-(?P<slice>\d+[gc]\.[a-z0-9.+-]+)$", re.IGNORECASE)
_PROFILE = re.compile(r"(?:\d+c\.)?(?P<compute>\d)g\.(?P<gigabytes>\d+)gb\b.*", re.IGNORECASE)
_SIZE = re.compile(r"(?<![a-z0-9])(\d+)\s?GB?(?![a-z0-9])", re.IGNORECASE)
# Words of a product's name that tell the maker, the socket or the make of the memory: nothing a user chooses by.
_NOISE = re.compile(r"(nvidia|tesla|geforce|quadro|generation|sxm\d*|pcie|hbm\d*e?|nvl|amd|instinct|oam|intel)")
# What makers sell as the size of a memory of which the driver reports a little less, in GB.
_SIZES = (4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 256, 288)
_NEAR = 0.08
_VRAM = re.compile(r"(\d{1,6})\s?([MG])i?B?")
_SLICES = 8  # of memory in a GPU
_WHOLE_GPU = {1: 1, 2: 2, 3: 4, 4: 4, 7: 8}  # memory slices that come with compute slices, where the memory is unknown
_LONGEST = 63


@dataclass(frozen=True, slots=True)
class Kind:
    """What the devices of a resource are. ``title`` is the product as the label calls it; empty: unlabelled."""

    flavor: str
    title: str
    milli: int
    derived: bool
    shared: int = 1  # how many share one device

    @property
    def labelled(self) -> bool:
        return bool(self.title)


def is_device(resource: str, rules: tuple[FlavorRule, ...]) -> bool:
    """Whether an allocatable resource of a node is a kind of accelerator."""
    return (
        _NVIDIA.fullmatch(resource) is not None
        or resource in _OTHERS
        or any(rule.resource == resource for rule in rules)
    )


def kind_of(resource: str, labels: Mapping[str, str], rules: tuple[FlavorRule, ...]) -> Kind:
    """What the devices of this resource are on a node with these labels."""
    kind = _derived(resource, labels)
    for rule in rules:
        if rule.resource == resource and _fits(rule, labels):
            return Kind(rule.flavor, kind.title, kind.milli, False, kind.shared)
    return kind


def product_name(product: str, memory_mib: int = 0) -> str:
    """``NVIDIA-H100-80GB-HBM3`` as ``h100-80gb``; ``Tesla-T4`` with 15360 MiB as ``t4-16gb``. No slices, no shares."""
    said = _SIZE.search(product)
    words = [word for word in re.findall(r"[a-z0-9]+", _SIZE.sub(" ", product).lower()) if not _NOISE.fullmatch(word)]
    model = "-".join(words) or "gpu"
    gigabytes = _gigabytes(int(said[1]) if said else 0, memory_mib)
    return f"{model}-{gigabytes}gb" if gigabytes else model


def slice_milli(profile: str, gpu_gigabytes: int) -> int:
    """Thousandths of a GPU that a MIG slice is: its eighths of the memory, at least one."""
    match = _PROFILE.fullmatch(profile)
    if match is None:
        return MILLI
    compute, gigabytes = int(match["compute"]), int(match["gigabytes"])
    eighths = round(gigabytes * _SLICES / gpu_gigabytes) if gpu_gigabytes else 0
    if eighths < compute:  # no slice has less memory than that: the size of the GPU is not known, or not that
        eighths = _WHOLE_GPU.get(compute, compute)
    return min(_SLICES, max(1, eighths)) * MILLI // _SLICES


def _fits(rule: FlavorRule, labels: Mapping[str, str]) -> bool:
    if not rule.label:
        return True
    return rule.label in labels and (not rule.value or labels[rule.label] == rule.value)


def _derived(resource: str, labels: Mapping[str, str]) -> Kind:
    match = _NVIDIA.fullmatch(resource)
    if match is not None:
        return _nvidia(match, labels)
    if resource == _AMD:
        title = _first(labels, _AMD_PRODUCT)
        name = product_name(title, _vram_mib(_first(labels, _AMD_MEMORY))) if title else "amd-gpu"
        return Kind(_name(name), title, MILLI, True)
    if resource == _GAUDI:
        title = labels.get("habana.ai/hpu.type", "")
        return Kind(_name(title or "gaudi"), title, MILLI, True)
    if resource in _INTEL:
        title = labels.get("gpu.intel.com/product", "")
        return Kind(_name(f"intel-{product_name(title)}"), title, MILLI, True)
    return Kind(_name(resource.rpartition("/")[2]), "", MILLI, True)


def _nvidia(match: re.Match[str], labels: Mapping[str, str]) -> Kind:
    title = labels.get(PRODUCT, "")
    product = _SHARED.sub("", title)
    shares = bool(match["shared"]) or product != title
    replicas = whole(labels.get(REPLICAS, "1"))
    shared = replicas if shares and replicas > 1 else 1
    in_product = _MIG.search(product)
    product = _MIG.sub("", product)
    profile = match["slice"] or (in_product["slice"] if in_product else "")
    memory = 0 if in_product else whole(labels.get(MEMORY, "0"))  # with one slice a device it is the slice's own
    name = product_name(product, memory)
    milli = MILLI
    if not title:
        name = "nvidia-gpu"
    if profile:
        size = re.search(r"-(\d+)gb$", name)
        milli = slice_milli(profile, int(size[1]) if size else 0)
        name = f"{re.sub(r'-[0-9]+gb$', '', name)}-mig-{profile.lower().replace('+', '.')}"
    if shares:
        name = f"{name}-shared-{shared}" if shared > 1 else f"{name}-shared"
    return Kind(_name(name), title, max(1, milli // shared), True, shared)


def _gigabytes(said: int, memory_mib: int) -> int:
    """As sold. A size in the name that is far from the memory is something else's, such as GH200's 480 GB of the CPU."""
    memory = memory_mib / 1024
    if not memory_mib or (said and abs(said - memory) <= said * _NEAR * 2):
        return said
    nearest = min(_SIZES, key=lambda size: abs(size - memory))
    return nearest if abs(nearest - memory) <= nearest * _NEAR else round(memory)


def _vram_mib(text: str) -> int:
    match = _VRAM.fullmatch(text)
    return int(match[1]) * (1024 if match[2] == "G" else 1) if match else 0


def _first(labels: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _name(text: str) -> str:
    """As a name of the centre's: see ``lifecycle.words``."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:_LONGEST].strip("-._") or "gpu"
