"""What ClusterQueues have and lend, and what Workloads hold of it (``kueue``)."""

from dataclasses import dataclass, field

from tests.support.kube.controllers.base import is_true, ms_of, set_condition
from tests.support.kube.controllers.scheduling import tolerated
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli, written
from tests.support.kube.selecting import by_selector
from tests.support.kube.store import Store
from tests.support.kube.table import FLAVORS, LOCAL_QUEUES, NAMESPACES, QUEUES, WORKLOADS

Sets = list[tuple[str, dict[str, int], Obj, int]]  # name, needs, pod's spec, number of pods
Cell = tuple[str, str, str]  # queue, flavor, resource


@dataclass(slots=True)
class Ledger:
    store: Store
    workloads: list[Obj] = field(init=False)
    _used: dict[Cell, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.workloads = self.store.all(WORKLOADS)
        for workload in self.workloads:
            if not is_true(workload, "Finished"):
                self._count(workload, 1)

    def _count(self, workload: Obj, sign: int) -> None:
        admission: Obj = (workload.get("status") or {}).get("admission") or {}
        for entry in admission.get("podSetAssignments") or []:
            for resource, amount in entry["resourceUsage"].items():
                cell = (admission["clusterQueue"], entry["flavors"][resource], resource)
                self._used[cell] = self._used.get(cell, 0) + sign * milli(amount)

    def queue_of(self, workload: Obj) -> Obj | None:
        local = self.store.get(LOCAL_QUEUES, (workload["metadata"]["namespace"], workload["spec"].get("queueName", "")))
        return self.store.get(QUEUES, ("", local["spec"]["clusterQueue"])) if local else None

    def closed(self, workload: Obj) -> str:
        """Why its queue takes nothing at all; empty if it does."""
        namespace, name = workload["metadata"]["namespace"], workload["spec"].get("queueName", "")
        local = self.store.get(LOCAL_QUEUES, (namespace, name))
        if local is None:
            return f"LocalQueue {name} doesn't exist"
        if local["spec"].get("stopPolicy", "None") != "None":
            return f"LocalQueue {name} is inactive"
        queue = self.queue_of(workload)
        if queue is None:
            return f"ClusterQueue {local['spec']['clusterQueue']} doesn't exist"
        if self.inactive(queue):
            return f"ClusterQueue {queue['metadata']['name']} is inactive"
        labels = (self.store.get(NAMESPACES, ("", namespace)) or {}).get("metadata", {}).get("labels") or {}
        if not by_selector(queue["spec"].get("namespaceSelector"))(labels):
            return "Workload namespace doesn't match ClusterQueue selector"
        return ""

    def inactive(self, queue: Obj) -> tuple[str, str] | None:
        """Reason and message."""
        if queue["spec"].get("stopPolicy", "None") != "None":
            return "Stopped", "Can't admit new workloads: is stopped."
        missing = [f for f in _flavors(queue) if self.store.get(FLAVORS, ("", f)) is None]
        if missing:
            return (
                "FlavorNotFound",
                f"Can't admit new workloads: references missing ResourceFlavor(s): {','.join(missing)}.",
            )
        return None

    def assign(self, queue: Obj, sets: Sets) -> tuple[list[dict[str, str]] | None, str]:
        """The flavor of each resource of each set; or None and why."""
        assigned: list[dict[str, str]] = []
        extra: dict[Cell, int] = {}
        for name, needs, spec, _ in sets:
            chosen: dict[str, str] = {}
            for resource in needs:
                if not needs[resource] and not _group(queue, resource):
                    continue
                if not _group(queue, resource):
                    return None, f"{name}: resource {resource} unavailable in ClusterQueue"
            for group in queue["spec"].get("resourceGroups") or []:
                wanted = {r: amount for r, amount in needs.items() if r in group["coveredResources"]}
                if not wanted:
                    continue
                flavor, why = self._flavor(queue, group, wanted, spec, extra)
                if flavor is None:
                    return None, f"{name}: {why}"
                for resource, amount in wanted.items():
                    chosen[resource] = flavor
                    cell = (queue["metadata"]["name"], flavor, resource)
                    extra[cell] = extra.get(cell, 0) + amount
            assigned.append(chosen)
        return assigned, ""

    def _flavor(
        self, queue: Obj, group: Obj, wanted: dict[str, int], spec: Obj, extra: dict[Cell, int]
    ) -> tuple[str | None, str]:
        reasons = []
        for entry in group["flavors"]:
            name = entry["name"]
            taints = ((self.store.get(FLAVORS, ("", name)) or {}).get("spec") or {}).get("nodeTaints") or []
            bad = [
                t
                for t in taints
                if t["effect"] != "PreferNoSchedule"
                and not any(tolerated(t, entry) for entry in spec.get("tolerations") or [])
            ]
            if bad:
                reasons.append(
                    f"untolerated taint {{{bad[0]['key']} {bad[0].get('value', '')} {bad[0]['effect']} <nil>}} in flavor {name}"
                )
                continue
            why = [text for r, amount in wanted.items() if (text := self._short(queue, name, r, amount, extra))]
            if not why:
                return name, ""
            reasons += why
        return None, ", ".join(reasons)

    def _short(self, queue: Obj, flavor: str, resource: str, amount: int, extra: dict[Cell, int]) -> str:
        most, free = self._room(queue, flavor, resource)
        more = extra.get((queue["metadata"]["name"], flavor, resource), 0)
        if more + amount > most:
            return (f"insufficient quota for {resource} in flavor {flavor}, previously considered podsets requests ({written(more)})"
                    f" + current podset request ({written(amount)}) > maximum capacity ({written(most)})")  # fmt: skip
        if more + amount > free:
            return f"insufficient unused quota for {resource} in flavor {flavor}, {written(more + amount - free)} more needed"
        return ""

    def _room(self, queue: Obj, flavor: str, resource: str) -> tuple[int, int]:
        """The most it could ever hold, and what is free for it now."""
        name = queue["metadata"]["name"]
        nominal, borrow, _ = _share(queue, flavor, resource)
        used = self._used.get((name, flavor, resource), 0)
        most = nominal
        free = nominal - used
        cohort = queue["spec"].get("cohortName")
        if cohort:
            lent = kept = 0
            for other in self.store.all(QUEUES):
                if (
                    other is not queue
                    and other["spec"].get("cohortName") == cohort
                    and other["metadata"]["name"] != name
                ):
                    theirs, _, lend = _share(other, flavor, resource)
                    lend = theirs if lend is None else min(lend, theirs)
                    lent += lend
                    kept += max(0, self._used.get((other["metadata"]["name"], flavor, resource), 0) - (theirs - lend))
            most, free = nominal + lent, nominal + lent - kept - used
            if borrow is not None:
                most, free = min(most, nominal + borrow), min(free, nominal + borrow - used)
        return most, free

    def take(self, queue: Obj, sets: Sets, assigned: list[dict[str, str]], workload: Obj) -> None:
        for (_, needs, _, _), flavors in zip(sets, assigned, strict=True):
            for resource, amount in needs.items():
                if resource in flavors:
                    cell = (queue["metadata"]["name"], flavors[resource], resource)
                    self._used[cell] = self._used.get(cell, 0) + amount
        self.workloads = [
            workload if w["metadata"]["uid"] == workload["metadata"]["uid"] else w for w in self.workloads
        ]

    def give_back(self, workload: Obj) -> None:
        self._count(workload, -1)
        left = {**workload, "status": {k: v for k, v in workload["status"].items() if k != "admission"}}
        self.workloads = [left if w["metadata"]["uid"] == workload["metadata"]["uid"] else w for w in self.workloads]

    def victims(self, queue: Obj, sets: Sets) -> list[Obj]:
        """Who borrowed what this queue is due, newest first and no more than are needed; none if that would not do."""
        if (queue["spec"].get("preemption") or {}).get("reclaimWithinCohort", "Never") == "Never":
            return []
        name, cohort = queue["metadata"]["name"], queue["spec"].get("cohortName")
        total: dict[str, int] = {}
        for _, needs, _, _ in sets:
            for resource, amount in needs.items():
                total[resource] = total.get(resource, 0) + amount
        for resource, amount in total.items():
            owed = max(
                (_share(queue, f, resource)[0] - self._used.get((name, f, resource), 0) for f in _flavors(queue)),
                default=0,
            )
            if amount > owed:
                return []
        found, backup = [], (dict(self._used), list(self.workloads))
        borrowers = [
            w
            for w in self.workloads
            if (w.get("status") or {}).get("admission") and cohort and self._borrows(w, cohort, name)
        ]
        for workload in sorted(borrowers, key=lambda w: -ms_of(w["metadata"]["creationTimestamp"])):
            if self._borrows(workload, cohort, name):
                found.append(workload)
                self.give_back(workload)
                if self.assign(queue, sets)[0] is not None:
                    break
        enough = self.assign(queue, sets)[0] is not None
        self._used, self.workloads = backup
        return found if enough else []

    def _borrows(self, workload: Obj, cohort: str, name: str) -> bool:
        admission = workload["status"]["admission"]
        queue = self.store.get(QUEUES, ("", admission["clusterQueue"]))
        if queue is None or queue["metadata"]["name"] == name or queue["spec"].get("cohortName") != cohort:
            return False
        return any(
            self._used.get((admission["clusterQueue"], flavor, resource), 0) > _share(queue, flavor, resource)[0]
            for entry in admission["podSetAssignments"] for resource, flavor in entry["flavors"].items()
        )  # fmt: skip

    def told(self, queue: Obj, now: str) -> Obj:
        """Its status."""
        status = {
            **(queue.get("status") or {}),
            "conditions": [dict(c) for c in (queue.get("status") or {}).get("conditions") or []],
        }
        shut = self.inactive(queue)
        said = ("False", *shut) if shut else ("True", "Ready", "Can admit new workloads")
        set_condition(
            status["conditions"], "Active", *said, now, observedGeneration=queue["metadata"].get("generation", 1)
        )
        name = queue["metadata"]["name"]
        usage = []
        for group in queue["spec"].get("resourceGroups") or []:
            for entry in group["flavors"]:
                cells = [
                    (r, self._used.get((name, entry["name"], r), 0), _share(queue, entry["name"], r)[0])
                    for r in group["coveredResources"]
                ]
                usage.append(
                    {
                        "name": entry["name"],
                        "resources": [
                            {"name": r, "total": written(u), "borrowed": written(max(0, u - n))} for r, u, n in cells
                        ],
                    }
                )
        mine = [
            w
            for w in self.workloads
            if (q := self.queue_of(w)) is not None and q["metadata"]["name"] == name and not is_true(w, "Finished")
        ]
        return {**status, **_counts(mine), "flavorsUsage": usage, "flavorsReservation": usage}

    def told_local(self, local: Obj, now: str) -> Obj:
        status = {
            **(local.get("status") or {}),
            "conditions": [dict(c) for c in (local.get("status") or {}).get("conditions") or []],
        }
        queue = self.store.get(QUEUES, ("", local["spec"]["clusterQueue"]))
        said = ("True", "Ready", "Can submit new workloads to localQueue")
        if queue is None:
            said = ("False", "ClusterQueueDoesNotExist", "Can't submit new workloads to clusterQueue")
        elif self.inactive(queue):
            said = ("False", "ClusterQueueIsInactive", "Can't submit new workloads to clusterQueue")
        elif local["spec"].get("stopPolicy", "None") != "None":
            said = ("False", "Stopped", "LocalQueue is stopped")
        set_condition(
            status["conditions"], "Active", *said, now, observedGeneration=local["metadata"].get("generation", 1)
        )
        namespace, name = local["metadata"]["namespace"], local["metadata"]["name"]
        mine = [
            w
            for w in self.workloads
            if (w["metadata"]["namespace"], w["spec"].get("queueName")) == (namespace, name)
            and not is_true(w, "Finished")
        ]
        return {**status, **_counts(mine)}


def _counts(workloads: list[Obj]) -> Obj:
    held = sum(1 for w in workloads if is_true(w, "QuotaReserved"))
    return {"admittedWorkloads": held, "reservingWorkloads": held, "pendingWorkloads": len(workloads) - held}


def _flavors(queue: Obj) -> list[str]:
    return [entry["name"] for group in queue["spec"].get("resourceGroups") or [] for entry in group["flavors"]]


def _group(queue: Obj, resource: str) -> bool:
    return any(resource in group["coveredResources"] for group in queue["spec"].get("resourceGroups") or [])


def _share(queue: Obj, flavor: str, resource: str) -> tuple[int, int | None, int | None]:
    """Nominal quota, limits of borrowing and of lending."""
    for group in queue["spec"].get("resourceGroups") or []:
        for entry in group["flavors"]:
            for cell in entry["resources"] if entry["name"] == flavor else ():
                if cell["name"] == resource:
                    borrow, lend = cell.get("borrowingLimit"), cell.get("lendingLimit")
                    return (
                        milli(cell["nominalQuota"]),
                        None if borrow is None else milli(borrow),
                        None if lend is None else milli(lend),
                    )
    return 0, None, None
