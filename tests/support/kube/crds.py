"""The shapes of Kueue's and JobSet's objects, as far as they matter, in the form of ``schema``."""

from typing import Any

Node = dict[str, Any]

TEXT: Node = {"type": "string"}
NUMBER: Node = {"type": "integer"}
TRUTH: Node = {"type": "boolean"}
QUANTITY: Node = {"x-kubernetes-int-or-string": True}


def _ref(name: str) -> Node:
    return {"$ref": f"#/$defs/io.k8s.{name}"}


def _of(*required: str, **fields: Node) -> Node:
    return {"type": "object", "properties": fields, "required": list(required)}


def _map(value: Node) -> Node:
    return {"type": "object", "additionalProperties": value}


def _list(entry: Node, *keys: str, **more: int) -> Node:
    if keys:
        return {
            "type": "array",
            "items": entry,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(keys),
            **more,
        }
    return {"type": "array", "items": entry, **more}


def _one(*choices: str, default: str | None = None) -> Node:
    return {"type": "string", "enum": list(choices), **({"default": default} if default else {})}


def _kind(spec: Node, status: Node | None = None) -> Node:
    fields = {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": _ref("apimachinery.pkg.apis.meta.v1.ObjectMeta"),
        "spec": spec,
    }
    return {"type": "object", "properties": {**fields, **({"status": status} if status else {})}}


LABELS = _map(TEXT)
SELECTOR = _ref("apimachinery.pkg.apis.meta.v1.LabelSelector")
CONDITIONS = _list(
    _of("lastTransitionTime", "message", "reason", "status", "type",
        lastTransitionTime=TEXT, message=TEXT, observedGeneration=NUMBER, reason={"type": "string", "minLength": 1},
        status=_one("True", "False", "Unknown"), type=TEXT),
    "type",
)  # fmt: skip
_SHARING = _of(weight={**QUANTITY, "default": 1})
_NOMINAL = _of("name", "nominalQuota", name=TEXT, nominalQuota=QUANTITY, borrowingLimit=QUANTITY, lendingLimit=QUANTITY)
_GROUPS = _list(
    _of("coveredResources", "flavors",
        coveredResources=_list(TEXT, minItems=1, maxItems=64),
        flavors=_list(_of("name", "resources", name=TEXT, resources=_list(_NOMINAL, "name", minItems=1, maxItems=64)),
                      "name", minItems=1, maxItems=64)),
    maxItems=16,
)  # fmt: skip
_USED = _of("name", name=TEXT, total=QUANTITY, borrowed=QUANTITY)
_USAGE = _list(_of("name", "resources", name=TEXT, resources=_list(_USED, "name")), "name")
_QUEUE_STATUS = {
    "admittedWorkloads": NUMBER,
    "conditions": CONDITIONS,
    "flavorsReservation": _USAGE,
    "flavorsUsage": _USAGE,
    "pendingWorkloads": NUMBER,
    "reservingWorkloads": NUMBER,
}

_CLUSTER_QUEUE = _kind(
    _of(
        admissionChecksStrategy={"type": "object", "additionalProperties": {}},
        cohortName=TEXT,
        fairSharing=_SHARING,
        flavorFungibility={
            **_of(
                preference=_one("BorrowingOverPreemption", "PreemptionOverBorrowing"),
                whenCanBorrow=_one("MayStopSearch", "TryNextFlavor", default="MayStopSearch"),
                whenCanPreempt=_one("MayStopSearch", "TryNextFlavor", default="TryNextFlavor"),
            ),
            "default": {},
        },
        namespaceSelector=SELECTOR,
        preemption={
            **_of(
                borrowWithinCohort={
                    **_of(maxPriorityThreshold=NUMBER, policy=_one("Never", "LowerPriority", default="Never")),
                    "default": {},
                },
                reclaimWithinCohort=_one("Never", "LowerPriority", "Any", default="Never"),
                withinClusterQueue=_one("Never", "LowerPriority", "LowerOrNewerEqualPriority", default="Never"),
            ),
            "default": {},
        },
        queueingStrategy=_one("StrictFIFO", "BestEffortFIFO", default="BestEffortFIFO"),
        resourceGroups=_GROUPS,
        stopPolicy=_one("None", "Hold", "HoldAndDrain", default="None"),
    ),
    _of(**_QUEUE_STATUS, fairSharing={"type": "object", "additionalProperties": {}}),
)
_LOCAL_QUEUE = _kind(
    _of(clusterQueue=TEXT, fairSharing=_SHARING, stopPolicy=_one("None", "Hold", "HoldAndDrain", default="None")),
    _of(**_QUEUE_STATUS, fairSharing={"type": "object", "additionalProperties": {}}),
)
_FLAVOR = _kind(
    _of(
        nodeLabels=LABELS,
        nodeTaints=_list(_ref("api.core.v1.Taint"), maxItems=8),
        tolerations=_list(_ref("api.core.v1.Toleration"), maxItems=8),
        topologyName=TEXT,
    )
)
_COHORT = _kind(
    _of(fairSharing=_SHARING, parentName=TEXT, resourceGroups=_GROUPS),
    _of(fairSharing={"type": "object", "additionalProperties": {}}),
)
_ASSIGNMENT = _of("name", name=TEXT, count=NUMBER, flavors=LABELS, resourceUsage=_map(QUANTITY))
_WORKLOAD = _kind(
    _of(
        active={"type": "boolean", "default": True},
        maximumExecutionTimeSeconds=NUMBER,
        podSets=_list(
            _of(
                "count",
                "template",
                count=NUMBER,
                minCount=NUMBER,
                name={"type": "string", "default": "main"},
                template=_ref("api.core.v1.PodTemplateSpec"),
                topologyRequest={"type": "object", "additionalProperties": {}},
            ),
            "name",
            maxItems=8,
        ),
        priority=NUMBER,
        priorityClassRef=_of(group=TEXT, kind=TEXT, name=TEXT),
        queueName=TEXT,
    ),
    _of(
        accumulatedPastExecutionTimeSeconds=NUMBER,
        admission=_of(
            "clusterQueue", "podSetAssignments", clusterQueue=TEXT, podSetAssignments=_list(_ASSIGNMENT, "name")
        ),
        admissionChecks=_list({"type": "object", "additionalProperties": {}}),
        conditions=CONDITIONS,
        reclaimablePods=_list(_of("count", "name", count=NUMBER, name=TEXT), "name"),
        requeueState=_of(count=NUMBER, requeueAt=TEXT),
        resourceRequests=_list({"type": "object", "additionalProperties": {}}),
        schedulingStats={"type": "object", "additionalProperties": {}},
    ),
)

_COORDINATOR = _of("replicatedJob", replicatedJob=TEXT, jobIndex=NUMBER, podIndex=NUMBER)
_RULE = _of("action", "name", name=TEXT, action=_one("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts", "RecreateJob"),
            onJobFailureReasons=_list(TEXT), onJobFailureMessagePatterns=_list(TEXT), targetReplicatedJobs=_list(TEXT))  # fmt: skip
_REPLICATED = _of(
    "name", "template",
    name=TEXT, groupName={"type": "string", "default": "default"}, replicas={"type": "integer", "default": 1, "minimum": 0},
    template=_ref("api.batch.v1.JobTemplateSpec"),
    dependsOn=_list(_of("name", "status", name=TEXT, status=_one("Ready", "Complete")), "name"),
)  # fmt: skip
_COUNTS = ("active", "failed", "ready", "succeeded", "suspended")
_JOBSET = _kind(
    _of(
        coordinator=_COORDINATOR,
        failurePolicy=_of(
            maxRestarts={"type": "integer", "default": 0},
            restartStrategy=_one("Recreate", "BlockingRecreate", default="Recreate"),
            rules=_list(_RULE, "name", maxItems=20),
        ),
        managedBy=TEXT,
        network=_of(enableDNSHostnames=TRUTH, publishNotReadyAddresses=TRUTH, subdomain=TEXT),
        replicatedJobs=_list(_REPLICATED, "name"),
        startupPolicy=_of("startupPolicyOrder", startupPolicyOrder=_one("AnyOrder", "InOrder")),
        successPolicy={**_of("operator", operator=_one("All", "Any"), targetReplicatedJobs=_list(TEXT))},
        suspend=TRUTH,
        ttlSecondsAfterFinished={"type": "integer", "minimum": 0},
    ),
    _of(
        conditions=CONDITIONS,
        replicatedJobsStatus=_list(_of("name", *_COUNTS, name=TEXT, **dict.fromkeys(_COUNTS, NUMBER)), "name"),
        restarts=NUMBER,
        restartsCountTowardsMax=NUMBER,
        terminalState=TEXT,
    ),
)

DEFINITIONS: dict[str, Node] = {
    "kueue.ClusterQueue": _CLUSTER_QUEUE,
    "kueue.LocalQueue": _LOCAL_QUEUE,
    "kueue.ResourceFlavor": _FLAVOR,
    "kueue.Cohort": _COHORT,
    "kueue.Workload": _WORKLOAD,
    "jobset.JobSet": _JOBSET,
}


def fill(node: Node, value: Any) -> Any:
    """``value`` with the defaults of the shape; it is changed in place. References are left alone."""
    if isinstance(value, dict):
        for name, inner in (node.get("properties") or {}).items():
            if name not in value and "default" in inner:
                value[name] = {} if inner["default"] == {} else inner["default"]
            if name in value:
                fill(inner, value[name])
    elif isinstance(value, list) and "items" in node:
        for entry in value:
            fill(node["items"], entry)
    return value
