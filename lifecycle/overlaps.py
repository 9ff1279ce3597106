"""Reservations against each other, against what there is, and against what runs."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.calendar import Reservation, local_time
from domain.errors import Refused
from lifecycle.ports import Directory
from lifecycle.windows import YEAR_MS, expand, upcoming
from scheduler.live import Running
from scheduler.snapshot import Window


@dataclass(frozen=True, slots=True)
class Ground:
    """What there is to keep: (cluster, node) → flavor → devices. ``usable`` are the nodes that take jobs now."""

    devices: Mapping[tuple[str, str], Mapping[str, int]]
    usable: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, directory: Directory) -> "Ground":
        devices = {(name, node.name): node.devices for name, nodes in directory.nodes.items() for node in nodes}
        active = {name for name, cluster in directory.clusters.items() if cluster.state == "active"}
        return cls(devices, frozenset(at for at in devices if at[0] in active and at not in directory.drained))

    def total(self, flavor: str, cluster: str | None, *, usable: bool = False) -> int:
        """Devices of a flavor, in all clusters or one."""
        return sum(
            devices.get(flavor, 0)
            for at, devices in self.devices.items()
            if cluster in {None, at[0]} and (at in self.usable or not usable)
        )

    def flavors(self, window: Window) -> list[str]:
        """Those of which a window keeps devices."""
        if window.flavor is not None:
            return [window.flavor]
        return sorted({flavor for at in _places(window) for flavor in self.devices.get(at, {})})

    def kept(self, windows: Iterable[Window], flavor: str, cluster: str | None) -> int:
        """How many devices of a flavor these windows keep at the same time, each whole node counted once."""
        windows = list(windows)
        some = sum(window.gpus for window in windows if window.flavor == flavor and cluster in {None, window.cluster})
        whole = {at for window in windows for at in _places(window) if cluster in {None, at[0]}}
        return some + sum(self.devices.get(at, {}).get(flavor, 0) for at in whole)


def check_others(directory: Directory, one: Reservation, others: Sequence[Reservation]) -> None:
    """Refuse what takes a node that is kept for somebody else, or more GPUs than other reservations leave."""
    from_ms, until_ms = one.starts_ms, one.starts_ms + YEAR_MS
    kept = [window for other in others for window in expand(directory, other, from_ms, until_ms)]
    kept.sort(key=lambda window: (window.starts_ms, window.name))
    starts = [window.starts_ms for window in kept]
    longest = max((window.ends_ms - window.starts_ms for window in kept), default=0)
    ground = Ground.of(directory)
    for window in expand(directory, one, from_ms, until_ms):
        near = kept[bisect_left(starts, window.starts_ms - longest) : bisect_left(starts, window.ends_ms)]
        meets = [other for other in near if other.ends_ms > window.starts_ms]
        for other in meets:
            _check_nodes(one, window, other)
        _check_gpus(ground, one, window, meets)


def shortages(directory: Directory, one: Reservation, live: Iterable[Running], now_ms: int) -> list[str]:
    """Why the next occurrence may not have all of its GPUs when it begins: jobs that may still run then."""
    found = upcoming(one, now_ms, 1)
    if not found:
        return []
    window, ground = expand(directory, one, *found[0])[0], Ground.of(directory)
    late = [run for run in live if run.ends_ms > window.starts_ms and not _is_for(directory, window, run)]
    if window.nodes:
        late = [run for run in late if run.cluster == window.cluster and _on(run, window.nodes)]
        asked = sum(ground.kept([window], flavor, window.cluster) for flavor in ground.flavors(window))
        missing = sum(len(p.devices) for run in late for p in run.placements if p.node in window.nodes)
    else:
        late = [run for run in late if run.flavor == window.flavor and window.cluster in {None, run.cluster}]
        usable = ground.total(window.flavor or "", window.cluster, usable=True)
        asked, taken = window.gpus, sum(len(p.devices) for run in late for p in run.placements)
        missing = max(0, asked - max(0, usable - taken))
    if not late or (missing == 0 and not window.nodes):
        return []
    jobs = ", ".join(map(str, sorted({run.job_id for run in late})[:10]))
    when = local_time(window.starts_ms, one.offset_minutes)
    if missing == 0:
        return [f"at {when} the nodes may not be empty: jobs may still run on them ({jobs})"]
    return [f"at {when} {missing} of {asked} GPUs may be missing: jobs may still run on them ({jobs})"]


def _check_nodes(one: Reservation, window: Window, other: Window) -> None:
    shared = sorted(set(_places(window)) & set(_places(other)))
    if not shared or other.account_id == window.account_id:
        return
    when = local_time(max(window.starts_ms, other.starts_ms), one.offset_minutes)
    raise Refused(
        f"node {shared[0][1]} is kept for reservation {other.name} at {when}", "nodes",
        fix="choose another time or other nodes, or remove that reservation", code="reserved",
    )  # fmt: skip


def _check_gpus(ground: Ground, one: Reservation, window: Window, meets: Sequence[Window]) -> None:
    """Is there, at each moment of the window, as much as it and the others keep together?"""
    moments = sorted({window.starts_ms, *(o.starts_ms for o in meets if o.starts_ms > window.starts_ms)})
    scopes = [None] if window.cluster is None else [None, window.cluster]
    for flavor, cluster, at_ms in ((f, c, at) for f in ground.flavors(window) for c in scopes for at in moments):
        active = [other for other in meets if other.starts_ms <= at_ms < other.ends_ms]
        there_is = ground.total(flavor, cluster)
        if not active or ground.kept([window, *active], flavor, cluster) <= there_is:
            continue
        by = ", ".join([other.name for other in active if ground.kept([other], flavor, cluster)][:5])
        left = max(0, there_is - ground.kept(active, flavor, cluster))
        asked = ground.kept([window], flavor, cluster)
        when = local_time(at_ms, one.offset_minutes)
        raise Refused(
            f"{asked} of {flavor} are asked for at {when}, and reservation {by} leaves {left} of {there_is}",
            "gpus" if window.flavor else "nodes", fix="choose another time, or ask for less", code="reserved",
        )  # fmt: skip


def _places(window: Window) -> list[tuple[str, str]]:
    return [(window.cluster or "", node) for node in window.nodes]


def _is_for(directory: Directory, window: Window, run: Running) -> bool:
    """True if the run belongs to those that the window is kept for, and so stands in nobody's way."""
    return window.account_id is not None and window.account_id in directory.tree.path(run.project_id)


def _on(run: Running, nodes: Sequence[str]) -> bool:
    return any(placement.node in nodes for placement in run.placements)
