"""A local driver on a directory of its own, and eyes for what it leaves in the system."""

import json
import time
from pathlib import Path
from typing import Any

from domain.ids import AttemptId
from local.driver import LocalDriver
from local.forked import claim
from local.gpus import Machine, parse_nodes
from local.places import Place

NODES = "local-1:h100-80gb=4,cpus=2,memory=8Gi;local-2:a100-40gb=2,h100-80gb=2,cpus=2,memory=8Gi"


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class LocalRig:
    """See ``tests.contracts.driver_contract.Rig``. ``close`` stops whatever still runs."""

    node = "local-1"

    def __init__(self, root: Path, nodes: str = NODES, **settings: Any) -> None:
        self.root = root
        self.wakes = 0
        self.machine = Machine(parse_nodes(nodes))
        self._settings = settings
        self.driver = self._made()

    def _made(self) -> LocalDriver:
        return LocalDriver(
            root=self.root, machine=self.machine, clock=SystemClock(), wake=self._count, **self._settings
        )

    def _count(self) -> None:
        self.wakes += 1

    def reopen(self) -> LocalDriver:
        self.driver.close()
        self.driver = self._made()
        return self.driver

    def close(self) -> None:
        for observation in self.driver.observe().observations:
            self.driver.stop(observation.attempt, 0)
        deadline = time.monotonic() + 10
        while not all(observation.state.final for observation in self.driver.observe().observations):
            assert time.monotonic() < deadline, self.driver.observe().observations
            time.sleep(0.01)
        self.driver.close()

    def place(self, attempt: AttemptId) -> Place:
        return self.driver._places.of(attempt)

    def supervisor(self, attempt: AttemptId) -> int:
        """Its pid; 0 if there is none."""
        return claim.holder(self.place(attempt).claim)

    def warden(self) -> int:
        return self.driver._keeper()._link._warden.pid

    def groups(self, attempt: AttemptId) -> list[Path]:
        """The control groups that it was given."""
        spec = json.loads(self.place(attempt).spec.read_bytes())
        return [Path(group["path"]) for rank in spec["ranks"] for group in rank["cgroups"]]

    def processes(self, attempt: AttemptId) -> list[int]:
        """All processes with the attempt's environment."""
        mark = f"BARAY_WORK_DIR={self.place(attempt).work}\0".encode()
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
        return [pid for pid in found if mark in environment(pid)]


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
