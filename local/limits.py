"""Which limits this machine lets us put on a job, found once when the driver is made.

Best are control groups: the CPU time and the memory of all processes of a rank together. Where none is writable, a
rank is pinned to cores, and each of its processes has its own bound on memory. What is not limited is said in a note.
"""

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from domain.fleet import Node
from local.forked import cgroups
from local.forked.order import CgroupOrder

_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Group:
    """A directory to make control groups in, for memory or for CPU or, in version 2, for both."""

    path: Path
    version: int

    def open(self) -> None:
        """Make the directory. In version 2 its groups can only limit what it hands down."""
        self.path.mkdir(exist_ok=True)
        if self.version == 2:
            (self.path / "cgroup.subtree_control").write_text("+memory +cpu")


@dataclass(slots=True)
class Limits:
    """What is offered. ``memory`` and ``cpu`` are None where there is no control group for them."""

    nodes: tuple[Node, ...]
    real_gpus: bool
    memory: Group | None
    cpu: Group | None
    cores: tuple[int, ...]  # of this machine, as far as we may use them
    _load: Counter[int] = field(default_factory=Counter)  # cpus placed on each core, by pinning

    @property
    def pins(self) -> bool:
        """Pinning stands in for the CPU group, unless a node claims more cores than there are."""
        return self.cpu is None and all(node.cpus <= len(self.cores) for node in self.nodes)

    def groups(self, name: str, cpus: int, memory_bytes: int) -> list[CgroupOrder]:
        """The control groups of one rank. As many cores as the machine has are no limit, so they get no group."""
        made: dict[str, dict[str, str]] = {}
        if self.memory is not None and memory_bytes:
            made.setdefault(str(self.memory.path / name), {}).update(_memory_files(self.memory, memory_bytes))
        if self.cpu is not None and cpus < len(self.cores):
            made.setdefault(str(self.cpu.path / name), {}).update(_cpu_files(self.cpu, cpus))
        return [{"path": path, "limits": limits} for path, limits in made.items()]

    def data_limit(self, memory_bytes: int) -> int:
        """RLIMIT_DATA in place of a memory group. A GPU's driver maps far more than it uses, so not with real GPUs."""
        return 0 if self.memory is not None or self.real_gpus else memory_bytes

    def pin(self, cpus: int) -> list[int]:
        """The least loaded cores, for a rank; to be given back with ``unpin``."""
        if not self.pins or cpus >= len(self.cores):
            return []
        chosen = sorted(self.cores, key=lambda core: (self._load[core], core))[:cpus]
        self._load.update(chosen)
        return sorted(chosen)

    def repin(self, cores: Iterable[int]) -> None:
        """Count the cores of an adopted rank."""
        self._load.update(cores)

    def unpin(self, cores: Iterable[int]) -> None:
        self._load.subtract(cores)

    def open(self) -> None:
        """Make our directories. Only for who keeps the root directory; to ask for the notes changes nothing."""
        for group in (self.memory, self.cpu):
            if group is not None:
                group.open()

    def close(self) -> None:
        """Take our empty directories away again; those of running jobs stay."""
        for group in (self.memory, self.cpu):
            if group is not None:
                with suppress(OSError):
                    group.path.rmdir()

    def notes(self) -> list[str]:
        """What is not limited, in sentences."""
        notes = []
        if self.memory is None and self.real_gpus:
            notes.append("Memory is not limited: no control group is writable here.")
        elif self.memory is None:
            notes.append("Memory is limited per process, not per job: no control group is writable here.")
        declared, real = sum(node.cpus for node in self.nodes), len(self.cores)
        if declared > real:
            notes.append(f"The nodes have {declared} CPUs together and this machine has {real}: jobs share them.")
        elif self.cpu is None:
            notes.append("CPUs are limited by pinning jobs to cores: no control group is writable here.")
        return notes


def find_limits(name: str, nodes: tuple[Node, ...], *, real_gpus: bool) -> Limits:
    """Look what this machine offers. ``name`` tells our control groups from those of another centre here."""
    own = _own_groups()
    unified = _version_2(own.get(""), name)
    memory = unified or _version_1(own.get("memory"), name, "memory.limit_in_bytes")
    cpu = unified or _version_1(own.get("cpu"), name, "cpu.cfs_quota_us")
    return Limits(nodes, real_gpus, memory, cpu, tuple(sorted(os.sched_getaffinity(0))))


def _memory_files(group: Group, memory_bytes: int) -> dict[str, str]:
    if group.version == 2:
        return {"memory.max": str(memory_bytes), "memory.swap.max": "0"}
    return {"memory.limit_in_bytes": str(memory_bytes), "memory.memsw.limit_in_bytes": str(memory_bytes)}


def _cpu_files(group: Group, cpus: int) -> dict[str, str]:
    quota = cpus * _CPU_PERIOD_US
    if group.version == 2:
        return {"cpu.max": f"{quota} {_CPU_PERIOD_US}"}
    return {"cpu.cfs_period_us": str(_CPU_PERIOD_US), "cpu.cfs_quota_us": str(quota)}


def _own_groups() -> dict[str, Path]:
    """The directory of our own control group for each controller; version 2 has the empty name."""
    paths = {}
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            paths.update(dict.fromkeys(controllers.split(","), path))
    own = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, mounted, kind, options, *_ = line.split()
            names = [""] if kind == "cgroup2" else [name for name in options.split(",") if kind == "cgroup"]
            for name in set(names) & set(paths):
                inside = Path(mounted + paths[name])
                own[name] = inside if inside.is_dir() else Path(mounted)
    return own


def _version_1(own: Path | None, name: str, file: str) -> Group | None:
    """A group of ours below our own, if we may make one and it limits."""
    if own is None:
        return None
    trial = own / f"{name}-trial-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return None
    offered = os.access(trial / file, os.W_OK) and os.access(trial / "cgroup.procs", os.W_OK)
    cgroups.remove(str(trial))
    return Group(own / name, 1) if offered else None


def _version_2(own: Path | None, name: str) -> Group | None:
    """A group beside our own processes, with memory and CPU handed down to it, as in a delegated subtree.

    A group that hands controllers down may hold no processes itself. So ours move into a leaf; if there are others
    there that are not ours to move, the kernel refuses and everything stays as it was.
    """
    if own is None:
        return None
    if own.name == f"{name}-service":  # we moved there before
        own = own.parent
    leaf = own / f"{name}-service"
    try:
        offered = (own / "cgroup.controllers").read_text().split()
        if not {"memory", "cpu"} <= set(offered):
            return None
        if not {"memory", "cpu"} <= set((own / "cgroup.subtree_control").read_text().split()):
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text("0")
            try:
                (own / "cgroup.subtree_control").write_text("+memory +cpu")
            except OSError:
                (own / "cgroup.procs").write_text("0")
                leaf.rmdir()
                raise
        found = Group(own / name, 2)
        found.open()
    except OSError:
        return None
    return found
