"""What is mounted into the containers of a job: places of our own, and the volumes that it names (``pod`` → here)."""

import posixpath
from dataclasses import dataclass, field
from typing import Any

from domain.clusters import SCRATCH, ClusterConfig
from domain.fleet import CPU_FLAVOR
from domain.jobs import Launch
from k8s.manifests.environment import WORK
from k8s.manifests.part import Part
from k8s.manifests.site import Unstartable
from k8s.manifests.wrapper import RUN

_TMP, _SHM = "/tmp", "/dev/shm"  # noqa: S108 - the container's own
_OURS = ("/baray", "/proc", "/sys", "/etc", "/dev")  # nothing is mounted at or below, but for /dev/shm


@dataclass(slots=True)
class Mounted:
    """``volumes`` of a pod, and ``mounts`` of the container that runs the job."""

    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)

    def empty(self, name: str, path: str, **how: Any) -> None:
        self.add(name, path, {"emptyDir": how})

    def add(self, name: str, path: str, what: dict[str, Any], *, read_only: bool = False) -> None:
        self.volumes.append({"name": name, **what})
        self.mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})


def mounted(launch: Launch, part: Part, config: ClusterConfig, *, script: bool) -> Mounted:
    """All of it. Raises Unstartable for volumes where they cannot be."""
    found = Mounted()
    found.empty("work", WORK)
    if script:
        found.empty("run", RUN)
    paths = _paths(launch)
    if _TMP not in paths:
        found.empty("tmp", _TMP)
    if _SHM not in paths and (launch.flavor != CPU_FLAVOR or part.ranks > 1):
        # The ranks of a node, and the workers that feed them, share tensors there: a container has 64 MiB otherwise.
        # What is in it counts as the container's memory, so that half of it is no more than was booked.
        half = max(1, launch.spec.resources.memory_bytes // 2)
        found.empty("shm", _SHM, medium="Memory", sizeLimit=str(half))
    for position, (path, name) in enumerate(paths.items()):
        if name == SCRATCH:
            found.empty(f"scratch-{position}", path)
        else:
            # A version of something, such as a dataset's, is never changed: so it is only read.
            claim = {"claimName": config.volumes[name], **({"readOnly": True} if "@" in name else {})}
            found.add(f"volume-{position}", path, {"persistentVolumeClaim": claim}, read_only="@" in name)
    return found


def _paths(launch: Launch) -> dict[str, str]:
    """The volumes by their paths, tidied."""
    found: dict[str, str] = {}
    for given, name in launch.spec.volumes.items():
        path = posixpath.normpath(given).replace("//", "/")
        if not path.startswith("/") or path == "/" or ":" in path or path in found:
            raise Unstartable(f"The volume {name} cannot be mounted at {given!r}.")
        if path != _SHM and any(path == ours or path.startswith(f"{ours}/") for ours in _OURS):
            raise Unstartable(f"The volume {name} cannot be mounted at {path}: that place is not the job's own.")
        found[path] = name
    return found
