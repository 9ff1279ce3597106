"""What stands for attempts on a cluster, put together: a Job or JobSet, its pods, and Kueue's word on it.

Pure. ``k8s.eyes`` gathers units from what is followed; ``k8s.status`` says what one means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from domain.ids import AttemptId
from k8s import names
from k8s.trim import UID_OF_JOB, condition, stamp

Object = dict[str, Any]

_ROLE_OF_POD = "jobset.sigs.k8s.io/replicatedjob-name"
_AT_WORK = frozenset({"Pending", "Running", "Unknown"})


@dataclass(frozen=True)
class Unit:
    """``pods`` may hold some that are gone, in their last state: ``gone`` has their uids.

    ``said`` are sentences of the cluster's events.
    """

    owner: Object
    pods: tuple[Object, ...] = ()
    gone: frozenset[str] = frozenset()
    workload: Object | None = None
    said: tuple[str, ...] = ()

    @cached_property
    def attempts(self) -> tuple[AttemptId, ...]:
        return names.attempts_of(self.owner["metadata"])

    @property
    def uid(self) -> str:
        return str(self.owner["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.owner["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.owner["metadata"]["namespace"])

    @property
    def path(self) -> str:
        return path_of(self.owner)

    @property
    def bundled(self) -> bool:
        return names.MEMBERS in (self.owner["metadata"].get("annotations") or {})

    @property
    def deleted(self) -> bool:
        return self.owner["metadata"].get("deletionTimestamp") is not None

    @cached_property
    def by_rank(self) -> dict[int, Object]:
        """The newest pod of each rank; of a bundle, of each index."""
        found: dict[int, Object] = {}
        for pod in sorted(self.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", ""))):
            found[self._rank(pod)] = pod
        return dict(sorted(found.items()))

    @property
    def width(self) -> int:
        """How many pods it has when all are there."""
        spec = self.owner["spec"]
        if "roles" in spec:
            return sum(int(role["pods"]) for role in spec["roles"])
        return int(spec.get("completions") or spec.get("parallelism") or 1)

    @property
    def remade(self) -> bool:
        """Whether a rank of a JobSet had another pod before: a Job of a JobSet that somebody deletes comes up again."""
        return "roles" in self.owner["spec"] and len(self.pods) > len(self.by_rank)

    def ranks(self, position: int) -> dict[int, Object]:
        """The pods of the attempt at this position, by its own ranks."""
        if not self.bundled:
            return self.by_rank
        return {0: self.by_rank[position]} if position in self.by_rank else {}

    def width_of(self, position: int) -> int:  # noqa: ARG002 - an index of a bundle is one pod, whichever
        return 1 if self.bundled else self.width

    def alive(self, pods: Mapping[int, Object]) -> bool:
        """Whether one of these is on the cluster still and has not ended."""
        return any(self.here(pod) and at_work(pod) for pod in pods.values())

    def dying(self) -> set[int]:
        """The positions of attempts with pods that were told to end, and have not yet."""
        found = {rank for rank, pod in self.by_rank.items() if pod["metadata"].get("deletionTimestamp")}
        found = {rank for rank in found if self.alive({0: self.by_rank[rank]})}
        return found if self.bundled else {0} if found else set()

    def here(self, pod: Object) -> bool:
        return pod["metadata"]["uid"] not in self.gone

    @property
    def active(self) -> bool:
        """Whether the cluster counts pods that have not ended, of which we may not have heard."""
        return any(self.owner["status"].get(key) for key in ("active", "terminating"))

    def _rank(self, pod: Object) -> int:
        about = pod["metadata"]
        labels = about.get("labels") or {}
        text = str(about.get("index", labels.get(names.COMPLETION_INDEX, "0")))
        rank = int(text) if text.isdecimal() else 0
        for role in self.owner["spec"].get("roles") or ():
            if role["name"] == labels.get(_ROLE_OF_POD):
                break
            rank += int(role["pods"])
        return rank


def path_of(owner: Mapping[str, Any]) -> str:
    """Where a Job or JobSet is found."""
    about = owner["metadata"]
    kind = "jobsets" if owner.get("kind") == "JobSet" else "jobs"
    return f"{paths(kind, about['namespace'])}/{about['name']}"


def paths(kind: str, namespace: str | None = None) -> str:
    """Where objects of a kind are found: of one namespace, or of all."""
    root = {
        "jobs": "/apis/batch/v1",
        "jobsets": "/apis/jobset.x-k8s.io/v1alpha2",
        "workloads": "/apis/kueue.x-k8s.io/v1beta2",
    }.get(kind, "/api/v1")
    return f"{root}/namespaces/{namespace}/{kind}" if namespace else f"{root}/{kind}"


def home_of(pod: Object) -> str:
    """What a pod is found by: the uid of its Job, or the name of its JobSet, whose Jobs are not followed."""
    about = pod["metadata"]
    labels = about.get("labels") or {}
    if names.JOBSET_NAME in labels:
        return f"{about.get('namespace')}/{labels[names.JOBSET_NAME]}"
    return str(labels.get(UID_OF_JOB, ""))


def pods_of(owner: Object) -> str:
    """The selector of an owner's pods."""
    if owner["kind"] == "JobSet":
        return f"{names.JOBSET_NAME}={owner['metadata']['name']}"
    return f"{UID_OF_JOB}={owner['metadata']['uid']}"


def home(owner: Object) -> str:
    """What the pods of an owner are found by."""
    about = owner["metadata"]
    return f"{about['namespace']}/{about['name']}" if owner["kind"] == "JobSet" else str(about["uid"])


def at_work(pod: Object) -> bool:
    return pod["status"].get("phase", "Pending") in _AT_WORK


def main_state(pod: Object) -> dict[str, Object]:
    """The state of the user's container: ``waiting``, ``running`` or ``terminated``, and what is told of it."""
    for run in pod["status"].get("containerStatuses") or ():
        if run["name"] == names.MAIN:
            found: dict[str, Object] = run["state"]
            return found
    return {}


def began(pod: Object) -> int | None:
    """When the user's container started, by the cluster's clock."""
    state = main_state(pod)
    return stamp((state.get("running") or state.get("terminated") or {}).get("startedAt"))


def finished(pod: Object) -> int | None:
    return stamp((main_state(pod).get("terminated") or {}).get("finishedAt"))


def verdict(owner: Object) -> Object | None:
    """The condition by which the cluster says for good that it is over."""
    for kind in ("Complete", "Completed", "Failed"):
        found = condition(owner, kind)
        if found is not None:
            return dict(found)
    return None
