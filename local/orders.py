"""From a ``Launch`` to the ``Order`` that a supervisor can follow without knowing anything of Baray (``driver`` → here)."""

import os
import signal
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from domain.clusters import SCRATCH
from domain.errors import NotFound
from domain.fleet import CPU_FLAVOR
from domain.jobs import JobSpec, Launch
from domain.quantities import format_bytes, format_duration
from local.forked.order import Order, RankOrder
from local.limits import Limits
from local.places import Place

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Below the ports that Linux hands out by itself, so that no outgoing connection takes one meanwhile.
_FIRST_PORT, _PORTS = 20_000, 12_000
_PORT_TRIES = 200


class Unstartable(Exception):
    """The attempt can never start. Never leaves this room: the message becomes the attempt's result."""


@dataclass(frozen=True, slots=True)
class OrderBook:
    """What is the same for all orders. ``visible`` is how CUDA calls each device, by node and flavor."""

    limits: Limits
    visible: dict[tuple[str, str], tuple[str, ...]]
    sources: Callable[[str], Path]
    uid_base: int | None
    search_path: str
    log_limit: int
    output_limit: int

    def order(self, launch: Launch, place: Place) -> Order:
        """The order for this launch. Raises Unstartable."""
        spec = launch.spec
        if foreign := sorted(set(spec.volumes.values()) - {SCRATCH}):
            raise Unstartable(f"This machine has no volume {foreign[0]!r}: it has {SCRATCH} alone.")
        order: Order = {
            "attempt": str(launch.attempt),
            "place": str(place.path),
            "front": str(place.front),
            "work": str(place.work),
            "uid": -1 if self.uid_base is None else self.uid_base + launch.project_id,
            "shell": "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh",
            "script": spec.run,
            "command": _command(spec),
            "source": self._source(spec),
            "env": self._env(spec, place),
            "ranks": self._ranks(launch, place),
            "walltime_ms": spec.resources.walltime_ms,
            "walltime": format_duration(spec.resources.walltime_ms),
            "stop_signal": _stop_signal(spec),
            "grace_ms": spec.grace_ms,
            "outputs": list(spec.outputs),
            "log_limit": self.log_limit,
            "output_limit": self.output_limit,
            "secret": bool(launch.secrets),
            "remarks": _remarks(spec),
        }
        if spec.volumes:
            order["scratch"] = str(place.scratch)
        for rank in order["ranks"]:  # last, when nothing can fail any more: cores are to be given back
            rank["cores"] = self.limits.pin(spec.resources.cpus)
        return order

    def _source(self, spec: JobSpec) -> str | None:
        if spec.source is None:
            return None
        try:
            return str(self.sources(spec.source).resolve())
        except NotFound as error:
            raise Unstartable(f"The source is not there: {error.message}.") from error

    def _env(self, spec: JobSpec, place: Place) -> dict[str, str]:
        """A clean environment and the user's own on top. Nothing of Baray's gets in."""
        return {
            "PATH": self.search_path,
            "LANG": "C.UTF-8",
            "HOME": str(place.work),
            "PWD": str(place.work),
            "OMP_NUM_THREADS": str(spec.resources.cpus),
            **spec.env,
        }

    def _ranks(self, launch: Launch, place: Place) -> list[RankOrder]:
        port = _meeting_port(str(launch.attempt), gang=len(launch.placements) > 1)
        ranks = [self._rank(launch, place, rank, port) for rank in range(len(launch.placements))]
        _give_roles(launch.spec, ranks)
        return ranks

    def _rank(self, launch: Launch, place: Place, rank: int, port: int) -> RankOrder:
        attempt, wanted = launch.attempt, launch.spec.resources
        node, devices = launch.placements[rank].node, launch.placements[rank].devices
        ranks = str(len(launch.placements))
        return {
            "node": node,
            "env": {
                "BARAY_JOB": str(attempt.job),
                "BARAY_TASK": "" if attempt.index is None else str(attempt.index),
                "BARAY_ATTEMPT": str(attempt),
                "BARAY_PROJECT": launch.spec.project,
                "BARAY_WORK_DIR": str(place.work),
                **({"BARAY_SCRATCH": str(place.scratch)} if launch.spec.volumes else {}),
                "BARAY_NODE": node,
                "BARAY_NODES": ranks,
                "BARAY_RANK": str(rank),
                "BARAY_GPUS": str(len(devices)),
                "BARAY_MASTER_ADDR": "127.0.0.1",
                "BARAY_MASTER_PORT": str(port),
                "CUDA_VISIBLE_DEVICES": self._visible(launch, rank),
                # The same once more as torch.distributed reads it.
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "WORLD_SIZE": ranks,
                "RANK": str(rank),
                "LOCAL_RANK": "0",
            },
            "cgroups": self.limits.groups(f"{attempt}-{rank}", wanted.cpus, wanted.memory_bytes),
            "cores": [],
            "data_limit": self.limits.data_limit(wanted.memory_bytes),
            "memory": format_bytes(wanted.memory_bytes),
        }

    def _visible(self, launch: Launch, rank: int) -> str:
        placement = launch.placements[rank]
        if launch.flavor == CPU_FLAVOR:
            return ""
        names = self.visible.get((placement.node, launch.flavor), ())
        if any(device not in range(len(names)) for device in placement.devices):
            raise Unstartable(f"The node {placement.node} has not the devices of {launch.flavor} that it was given.")
        return ",".join(names[device] for device in placement.devices)


def _give_roles(spec: JobSpec, ranks: list[RankOrder]) -> None:
    """Ranks are given out role by role."""
    if spec.roles and sum(role.nodes for role in spec.roles) != len(ranks):
        raise Unstartable("The roles of the job do not add up to its nodes.")
    left, scripts = iter(ranks), 0
    for role in spec.roles:
        for part in islice(left, role.nodes):
            part["role"] = {"number": scripts, "script": role.run, "command": list(role.command), "env": role.env}
            part["env"]["BARAY_ROLE"] = role.name
        scripts += role.run is not None


def _remarks(spec: JobSpec) -> list[str]:
    """What people should know of how it was run."""
    named = spec.image is not None or any(role.image is not None for role in spec.roles)
    return ["The image was ignored: jobs run on this machine's own system."] if named else []


def _command(spec: JobSpec) -> list[str]:
    if any(role.run is None and not role.command for role in spec.roles):
        raise Unstartable("A role of the job has neither a script nor a command.")
    if spec.run is None and not spec.command and not spec.roles:
        raise Unstartable("The job has neither a script nor a command.")
    return [] if spec.run is not None else list(spec.command)


def _stop_signal(spec: JobSpec) -> int:
    try:
        return int(signal.Signals[spec.stop_signal])
    except KeyError:
        raise Unstartable(f"There is no signal {spec.stop_signal!r} on this machine.") from None


def _meeting_port(attempt: str, *, gang: bool) -> int:
    """A port of this machine that follows from the attempt's id; for a gang, one that nobody uses now."""
    wanted = zlib.crc32(attempt.encode())
    if not gang:
        return _FIRST_PORT + wanted % _PORTS
    for port in (_FIRST_PORT + (wanted + step) % _PORTS for step in range(_PORT_TRIES)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Unstartable("No port is free for the ranks to meet at.")
