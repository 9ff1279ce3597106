"""Kueue in miniature: Jobs and JobSets with a queue's name wait until their ClusterQueue has room for all their pods.

It lends within a cohort, takes back what was lent where a queue says so, and tells by conditions of the Workload.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from tests.support.kube.controllers import quota
from tests.support.kube.controllers.base import (
    Controller,
    World,
    controller_of,
    is_true,
    key_of,
    ms_of,
    owned_by,
    set_condition,
)
from tests.support.kube.controllers.scheduling import requests
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import written
from tests.support.kube.store import Change, Key
from tests.support.kube.table import FLAVORS, JOBS, JOBSETS, LOCAL_QUEUES, QUEUES, WORKLOADS, Resource

QUEUE = "kueue.x-k8s.io/queue-name"
_NO = "The workload has no reservation"


@dataclass(frozen=True, slots=True)
class _Owner:
    """A Job or JobSet that Kueue manages."""

    resource: Resource
    obj: Obj

    def pod_sets(self) -> list[tuple[str, int, Obj]]:
        """Name, number of pods, template."""
        spec = self.obj["spec"]
        if self.resource is JOBS:
            return [("main", spec.get("parallelism", 1), spec["template"])]
        return [
            (
                role["name"],
                role.get("replicas", 1) * role["template"]["spec"].get("parallelism", 1),
                role["template"]["spec"]["template"],
            )
            for role in spec["replicatedJobs"]
        ]

    @property
    def ended(self) -> tuple[str, str] | None:
        for kind, reason in (("Complete", "Succeeded"), ("Completed", "Succeeded"), ("Failed", "Failed")):
            for entry in self.obj.get("status", {}).get("conditions") or []:
                if entry["type"] == kind and entry["status"] == "True":
                    return reason, entry.get("message", "")
        return None

    @property
    def ready(self) -> bool:
        status = self.obj.get("status") or {}
        if self.resource is JOBS:
            return bool(status.get("ready", 0) + status.get("succeeded", 0) >= self.obj["spec"].get("parallelism", 1))
        return all(
            entry["ready"] + entry["succeeded"] >= 1
            for entry in status.get("replicatedJobsStatus") or [{"ready": 0, "succeeded": 0}]
        )


class Kueue(Controller):
    """Looks at everything whenever anything changes: it is small."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._before: dict[str, list[Obj]] = {}  # pods' specs of a Workload's owner as they were given, by uid

    def noticed(self, change: Change) -> None:
        if change.resource in (JOBS, JOBSETS, WORKLOADS, QUEUES, LOCAL_QUEUES, FLAVORS):
            self.enqueue("all")

    def sync(self, key: Any) -> None:
        for owner in self._owners():
            self._keep(owner)
        self._admit()
        for owner in self._owners():
            self._enact(owner)
        self._tell()

    def mutate(self, resource: Resource, new: Obj, old: Obj | None) -> None:
        """Its webhook: what waits in a queue is suspended from the first."""
        if old is None and resource in (JOBS, JOBSETS) and _managed(new):
            new["spec"]["suspend"] = True

    def _owners(self) -> list[_Owner]:
        found = [_Owner(resource, obj) for resource in (JOBS, JOBSETS) for obj in self.store.all(resource)]
        return [owner for owner in found if _managed(owner.obj)]

    def _workload(self, owner: _Owner) -> Obj | None:
        return self.store.get(WORKLOADS, (owner.obj["metadata"]["namespace"], _name(owner)))

    def _keep(self, owner: _Owner) -> None:
        """Its Workload is there, and knows if it is over."""
        meta = owner.obj["metadata"]
        found = self._workload(owner)
        if found is None:
            if owner.ended or "deletionTimestamp" in meta:
                return
            sets = [{"name": name, "count": count, "template": template} for name, count, template in owner.pod_sets()]
            body = {
                "metadata": {"name": _name(owner), "namespace": meta["namespace"], "labels": {"kueue.x-k8s.io/job-uid": meta["uid"]},
                             "ownerReferences": [owned_by(owner.resource, owner.obj, owner.obj["kind"])]},
                "spec": {"active": True, "podSets": sets, "priority": 0, "queueName": meta["labels"][QUEUE]},
            }  # fmt: skip
            self.objects.create(WORKLOADS, body)
            return
        if found["spec"].get("queueName") != meta["labels"][QUEUE] and not is_true(found, "QuotaReserved"):
            self.objects.change(
                WORKLOADS, key_of(found), lambda new: new["spec"].update(queueName=meta["labels"][QUEUE])
            )
        if owner.ended:
            self._mark(key_of(found), ("Finished", "True", *owner.ended))
            return
        ready = ("True", "Started", "All pods reached readiness and the workload is running")
        waits = ("False", "WaitForStart", "Not all pods are ready or succeeded")
        self._mark(key_of(found), ("PodsReady", *(ready if owner.ready and is_true(found, "Admitted") else waits)))

    def _admit(self) -> None:
        state = quota.Ledger(self.store)
        for workload in state.workloads:
            if is_true(workload, "Finished") or not is_true(workload, "QuotaReserved"):
                continue
            queue = state.queue_of(workload)
            if not workload["spec"].get("active", True):
                self._evict(state, workload, "Deactivated", "The workload is deactivated")
            elif queue is not None and queue["spec"].get("stopPolicy") == "HoldAndDrain":
                self._evict(state, workload, "ClusterQueueStopped", "The ClusterQueue is stopped")
        waiting = [w for w in state.workloads if not (is_true(w, "Finished") or is_true(w, "QuotaReserved"))]
        for workload in sorted(
            waiting,
            key=lambda w: (
                -w["spec"].get("priority", 0),
                ms_of(w["metadata"]["creationTimestamp"]),
                w["metadata"]["name"],
            ),
        ):
            self._consider(state, workload)

    def _consider(self, state: "quota.Ledger", workload: Obj) -> None:
        key = key_of(workload)
        if not workload["spec"].get("active", True):
            self._mark(key, ("QuotaReserved", "False", "Pending", "The workload is deactivated"))
            return
        if why := state.closed(workload):
            self._mark(key, ("QuotaReserved", "False", "Inadmissible", why))
            return
        queue = state.queue_of(workload)
        assert queue is not None
        sets = [
            (entry["name"], _needs(entry), entry["template"]["spec"], entry["count"])
            for entry in workload["spec"]["podSets"]
        ]
        assigned, why = state.assign(queue, sets)
        if assigned is None:
            victims = state.victims(queue, sets)
            if not victims:
                self._mark(key, ("QuotaReserved", "False", "Pending", f"couldn't assign flavors to pod set {why}"))
                return
            owner = workload["metadata"]["labels"]["kueue.x-k8s.io/job-uid"]
            told = f"Preempted to accommodate a workload (UID: {workload['metadata']['uid']}, JobUID: {owner}) due to reclamation within the cohort"
            for victim in victims:
                self._evict(state, victim, "Preempted", told)
                self._mark(key_of(victim), ("Preempted", "True", "InCohortReclamation", told))
            assigned, why = state.assign(queue, sets)
            assert assigned is not None, why
        name = queue["metadata"]["name"]
        admission = {"clusterQueue": name, "podSetAssignments": [
            {"name": title, "count": count, "flavors": flavors, "resourceUsage": {r: written(amount) for r, amount in needs.items()}}
            for (title, needs, _, count), flavors in zip(sets, assigned, strict=True)
        ]}  # fmt: skip
        self.objects.change(WORKLOADS, key, lambda new: new.setdefault("status", {}).update(admission=admission))
        for kind in ("Evicted", "Preempted"):
            was = next(
                (
                    c
                    for c in (workload.get("status") or {}).get("conditions") or []
                    if c["type"] == kind and c["status"] == "True"
                ),
                None,
            )
            if was is not None:
                self._mark(key, (kind, "False", "QuotaReserved", f"Previously: {was['message']}"))
        self._mark(
            key,
            ("QuotaReserved", "True", "QuotaReserved", f"Quota reserved in ClusterQueue {name}"),
            ("Admitted", "True", "Admitted", "The workload is admitted"),
        )
        state.take(queue, sets, assigned, self.store.get(WORKLOADS, key) or workload)

    def _evict(self, state: "quota.Ledger", workload: Obj, reason: str, message: str) -> None:
        """Its room is free at once, as the stand-in's Kueue does not wait for its pods."""
        key = key_of(workload)
        state.give_back(workload)
        self._mark(key, ("QuotaReserved", "False", "Pending", message), ("Evicted", "True", reason, message), ("Admitted", "False", "NoReservation", _NO),
                   ("Requeued", "True" if reason == "Preempted" else "False", reason, message))  # fmt: skip
        self.objects.change(WORKLOADS, key, lambda new: new["status"].pop("admission", None))

    def _mark(self, key: Key, *conditions: tuple[str, str, str, str]) -> None:
        def edit(new: Obj) -> None:
            found = new.setdefault("status", {}).setdefault("conditions", [])
            for kind, status, reason, message in conditions:
                set_condition(
                    found,
                    kind,
                    status,
                    reason,
                    message,
                    self.world.now(),
                    observedGeneration=new["metadata"].get("generation", 1),
                )

        self.objects.change(WORKLOADS, key, edit)

    def _enact(self, owner: _Owner) -> None:
        """Start what was admitted, whoever suspended it; stop what was not, whoever resumed it."""
        found = self._workload(owner)
        if found is None or owner.ended or "deletionTimestamp" in owner.obj["metadata"]:
            return
        admission = (found.get("status") or {}).get("admission")
        suspended = bool(owner.obj["spec"].get("suspend"))
        if admission and is_true(found, "Admitted") and suspended:
            self._before.setdefault(
                found["metadata"]["uid"], [dict(template["spec"]) for _, _, template in owner.pod_sets()]
            )
            self.objects.change(
                owner.resource, key_of(owner.obj), lambda new: self._start(owner.resource, new, admission)
            )
        elif not admission and not suspended:
            self.objects.change(owner.resource, key_of(owner.obj), lambda new: new["spec"].update(suspend=True))
        elif (
            not admission
            and suspended
            and found["metadata"]["uid"] in self._before
            and "startTime" not in (owner.obj.get("status") or {})
        ):
            before = self._before.pop(found["metadata"]["uid"])
            self.objects.change(owner.resource, key_of(owner.obj), lambda new: _restore(owner.resource, new, before))

    def _start(self, resource: Resource, new: Obj, admission: Obj) -> None:
        for (_, _, template), assigned in zip(
            _Owner(resource, new).pod_sets(), admission["podSetAssignments"], strict=True
        ):
            spec = template["spec"]
            for name in dict.fromkeys(assigned["flavors"].values()):
                flavor = (self.store.get(FLAVORS, ("", name)) or {}).get("spec") or {}
                if flavor.get("nodeLabels"):
                    spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **flavor["nodeLabels"]}
                spec["tolerations"] = [
                    *(spec.get("tolerations") or []),
                    *(t for t in flavor.get("tolerations") or [] if t not in (spec.get("tolerations") or [])),
                ]
                if not spec["tolerations"]:
                    del spec["tolerations"]
        new["spec"]["suspend"] = False

    def _tell(self) -> None:
        state = quota.Ledger(self.store)
        for queue in self.store.all(QUEUES):
            status = state.told(queue, self.world.now())
            self.objects.change(QUEUES, key_of(queue), lambda new, status=status: new.update(status=status))  # type: ignore[misc]
        for local in self.store.all(LOCAL_QUEUES):
            status = state.told_local(local, self.world.now())
            self.objects.change(LOCAL_QUEUES, key_of(local), lambda new, status=status: new.update(status=status))  # type: ignore[misc]


def _managed(obj: Obj) -> bool:
    owner = controller_of(obj)
    return bool((obj["metadata"].get("labels") or {}).get(QUEUE)) and (owner is None or owner["kind"] != "JobSet")


def _name(owner: _Owner) -> str:
    meta = owner.obj["metadata"]
    short = hashlib.sha1(f"{owner.obj['kind']}/{meta['name']}/{meta['uid']}".encode()).hexdigest()[:5]
    return f"{owner.obj['kind'].lower()}-{meta['name']}-{short}"[:63]


def _needs(pod_set: Obj) -> dict[str, int]:
    """Of all pods of a set, in thousandths."""
    return {
        name: amount * pod_set["count"]
        for name, amount in requests(pod_set["template"]["spec"]).items()
        if name != "pods"
    }


def _restore(resource: Resource, new: Obj, before: list[Obj]) -> None:
    for (_, _, template), spec in zip(_Owner(resource, new).pod_sets(), before, strict=True):
        template["spec"] = spec
