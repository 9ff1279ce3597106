"""The steps of the script (see there): what Baray relies on, and what a stand-in is likely to get wrong."""

from typing import Any

from tests.support.kube.patches import APPLY, JSON, MERGE, STRATEGIC
from tests.support.kube.script import NODE, RUNNING, Step, config, pod
from tests.support.kube.steps_of_jobs import INDEXED, MAPS, PODS, RUNS

SECRETS = "/api/v1/namespaces/{ns}/secrets"
_STRICT = "?fieldValidation=Strict"
_FINALIZER = "baray.io/result"


def _named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}}


def _bare(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod(**spec)}


SETTING = [
    Step("a namespace", "POST", "/api/v1/namespaces", {**_named("{ns}"), "kind": "Namespace", "apiVersion": "v1"}),
    Step("the same again", "POST", "/api/v1/namespaces", _named("{ns}")),
    Step(
        "its account comes", "GET", "/api/v1/namespaces/{ns}/serviceaccounts/default", until={"kind": "ServiceAccount"}
    ),
    Step("a node", "POST", "/api/v1/nodes", {"kind": "Node", "apiVersion": "v1", **_named(NODE, labels={"a": "b"})}),
]

OBJECTS = [
    Step(
        "a config map",
        "POST",
        f"{MAPS}?fieldManager=maker",
        config("a", x="1", y="2"),
        keep={"v1": "metadata.resourceVersion", "uid": "metadata.uid"},
    ),
    Step("once more", "POST", MAPS, config("a")),
    Step("without a name", "POST", MAPS, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {}}),
    Step("with a bad name", "POST", MAPS, config("Not_Good")),
    Step("with a long name", "POST", MAPS, config("a" * 254)),
    Step("with a bad label", "POST", MAPS, {**config("b"), "metadata": {"name": "b", "labels": {"bad key": "x"}}}),
    Step("with a long label", "POST", MAPS, {**config("b"), "metadata": {"name": "b", "labels": {"k": "v" * 64}}}),
    Step("of another namespace", "POST", MAPS, {**config("b"), "metadata": {"name": "b", "namespace": "other"}}),
    Step("in no namespace", "POST", "/api/v1/namespaces/none-such/configmaps", config("b")),
    Step("of another kind", "POST", MAPS, {**config("b"), "kind": "Secret"}),
    Step("with a wrong type", "POST", MAPS, {**config("b"), "data": {"x": 1}}),
    Step("with an unknown field", "POST", MAPS, {**config("b"), "dta": {}}),
    Step("the same, strictly", "POST", MAPS + _STRICT, {**config("c"), "dta": {}}),
    Step("as a rehearsal", "POST", MAPS + "?dryRun=All", config("dry")),
    Step("which left nothing", "GET", f"{MAPS}/dry"),
    Step("with a generated name", "POST", MAPS, {"metadata": {"generateName": "generated-"}}),
    Step("read", "GET", f"{MAPS}/a"),
    Step("nothing there", "GET", f"{MAPS}/none"),
    Step("an unknown resource", "GET", "/api/v1/namespaces/{ns}/wonders"),
    Step("an unknown group", "GET", "/apis/wonders.example/v1/wonders"),
    Step("a method it does not have", "POST", f"{MAPS}/a", config("a")),
    Step(
        "replaced",
        "PUT",
        f"{MAPS}/a?fieldManager=putter",
        {**config("a", x="1", y="3"), "metadata": {"name": "a", "resourceVersion": "{v1}"}},
    ),
    Step(
        "replaced by who is late",
        "PUT",
        f"{MAPS}/a",
        {**config("a", x="9"), "metadata": {"name": "a", "resourceVersion": "{v1}"}},
    ),
    Step("replaced under another name", "PUT", f"{MAPS}/a", config("other")),
    Step("replaced though absent", "PUT", f"{MAPS}/none", config("none")),
    Step(
        "replaced under another uid",
        "PUT",
        f"{MAPS}/a",
        {**config("a"), "metadata": {"name": "a", "uid": "00000000-0000-4000-8000-000000000000"}},
    ),
    Step(
        "merged",
        "PATCH",
        f"{MAPS}/a?fieldManager=merger",
        {"data": {"x": None, "z": "5"}, "metadata": {"labels": {"l": "1"}}},
        MERGE,
    ),
    Step("merged without change", "PATCH", f"{MAPS}/a?fieldManager=merger", {"data": {"z": "5"}}, MERGE),
    Step(
        "by JSON patch",
        "PATCH",
        f"{MAPS}/a",
        [{"op": "test", "path": "/data/z", "value": "5"}, {"op": "replace", "path": "/data/z", "value": "6"}],
        JSON,
    ),
    Step(
        "by JSON patch that fails its test",
        "PATCH",
        f"{MAPS}/a",
        [{"op": "test", "path": "/data/z", "value": "5"}],
        JSON,
    ),
    Step("by a patch of no known kind", "PATCH", f"{MAPS}/a", {}, "text/plain"),
    Step("a patch of what is absent", "PATCH", f"{MAPS}/none", {"data": {}}, MERGE),
    Step(
        "deleted under another uid",
        "DELETE",
        f"{MAPS}/a",
        {"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}},
    ),
    Step("deleted", "DELETE", f"{MAPS}/a", {"preconditions": {"uid": "{uid}"}}),
    Step("deleted again", "DELETE", f"{MAPS}/a"),
    Step("with a finalizer", "POST", MAPS, {**config("f"), "metadata": {"name": "f", "finalizers": [_FINALIZER]}}),
    Step("deleted, it stays", "DELETE", f"{MAPS}/f"),
    Step(
        "another finalizer is refused",
        "PATCH",
        f"{MAPS}/f",
        {"metadata": {"finalizers": [_FINALIZER, "x.io/y"]}},
        MERGE,
    ),
    Step("let go", "PATCH", f"{MAPS}/f", {"metadata": {"finalizers": None}}, MERGE),
    Step("it is gone", "GET", f"{MAPS}/f"),
    Step(
        "a secret that is fixed",
        "POST",
        SECRETS,
        {"kind": "Secret", "apiVersion": "v1", **_named("s"), "immutable": True, "stringData": {"k": "v"}},
    ),
    Step("is not changed", "PATCH", f"{SECRETS}/s", {"stringData": {"k": "w"}}, MERGE),
    Step("nor its type", "PATCH", f"{SECRETS}/s", {"type": "other"}, MERGE),
    Step("a secret that is no base64", "POST", SECRETS, {**_named("t"), "data": {"k": "!"}}),
    Step("a secret with a bad key", "POST", SECRETS, {**_named("t"), "stringData": {"a b": "v"}}),
]

APPLYING = [
    Step("applied", "PATCH", f"{MAPS}/sa?fieldManager=baray&force=true", config("sa", a="1", b="2"), APPLY),
    Step("applied without a manager", "PATCH", f"{MAPS}/sa", config("sa", a="1"), APPLY),
    Step("applied again", "PATCH", f"{MAPS}/sa?fieldManager=baray&force=true", config("sa", a="1", b="2"), APPLY),
    Step("another edits", "PATCH", f"{MAPS}/sa?fieldManager=other", {"data": {"a": "9", "c": "3"}}, MERGE),
    Step("applied, a conflict", "PATCH", f"{MAPS}/sa?fieldManager=baray", config("sa", a="1", b="2"), APPLY),
    Step("applied, two conflicts", "PATCH", f"{MAPS}/sa?fieldManager=third", config("sa", a="7", b="7"), APPLY),
    Step("applied by force", "PATCH", f"{MAPS}/sa?fieldManager=baray&force=true", config("sa", a="1", b="2"), APPLY),
    Step("applied with less", "PATCH", f"{MAPS}/sa?fieldManager=baray&force=true", config("sa", a="1"), APPLY),
    Step("applied under another name", "PATCH", f"{MAPS}/sa?fieldManager=baray", config("sb"), APPLY),
    Step(
        "a quota applied",
        "PATCH",
        "/api/v1/namespaces/{ns}/resourcequotas/q?fieldManager=baray",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            **_named("q"),
            "spec": {"hard": {"pods": "50", "requests.nvidia.com/gpu": "4"}},
        },
        APPLY,
    ),
    Step(
        "a policy applied",
        "PATCH",
        "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies/n?fieldManager=baray",
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            **_named("n"),
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
            },
        },
        APPLY,
    ),
    Step(
        "a limit range applied",
        "PATCH",
        "/api/v1/namespaces/{ns}/limitranges/l?fieldManager=baray",
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            **_named("l"),
            "spec": {"limits": [{"type": "Container", "max": {"cpu": "64"}}]},
        },
        APPLY,
    ),
    Step("away with it", "DELETE", "/api/v1/namespaces/{ns}/limitranges/l"),
    Step(
        "a role applied",
        "PATCH",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles/r?fieldManager=baray",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            **_named("r"),
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        },
        APPLY,
    ),
    Step(
        "a binding applied",
        "PATCH",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings/r?fieldManager=baray",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            **_named("r"),
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "someone"}],
        },
        APPLY,
    ),
    Step(
        "labels of the namespace applied",
        "PATCH",
        "/api/v1/namespaces/{ns}?fieldManager=baray",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "{ns}", "labels": {"team": "x"}}},
        APPLY,
    ),
    Step(
        "a headless service",
        "POST",
        "/api/v1/namespaces/{ns}/services?fieldManager=baray",
        {
            "kind": "Service",
            "apiVersion": "v1",
            **_named("svc"),
            "spec": {"clusterIP": "None", "selector": {"a": "b"}, "publishNotReadyAddresses": True},
        },
    ),
]

LISTS = [
    *(
        Step(
            f"map {n}",
            "POST",
            MAPS,
            {**config(f"list-{n}"), "metadata": {"name": f"list-{n}", "labels": {"set": "s", "n": str(n)}}},
        )
        for n in range(3)
    ),
    Step("by label", "GET", MAPS + "?labelSelector=set%3Ds,n!%3D1"),
    Step("by set", "GET", MAPS + "?labelSelector=n+in+(0,2),set"),
    Step("by what is absent", "GET", MAPS + "?labelSelector=set,!other,n+notin+(0,1)"),
    Step("by a selector of no sense", "GET", MAPS + "?labelSelector=a%3D%3D%3Db"),
    Step("by name", "GET", MAPS + "?fieldSelector=metadata.name%3Dlist-1"),
    Step("by an unknown field", "GET", MAPS + "?fieldSelector=spec.x%3D1"),
    Step(
        "a page",
        "GET",
        MAPS + "?labelSelector=set&limit=2",
        keep={"next": "metadata.continue", "at": "metadata.resourceVersion"},
    ),
    Step(
        "something new meanwhile",
        "POST",
        MAPS,
        {**config("list-9"), "metadata": {"name": "list-9", "labels": {"set": "s"}}},
    ),
    Step("the page after it is of the same moment", "GET", MAPS + "?labelSelector=set&limit=2&continue={next}"),
    Step("a page of nothing that was told", "GET", MAPS + "?limit=2&continue=rubbish"),
    Step("as it was", "GET", MAPS + "?labelSelector=set&resourceVersion={at}&resourceVersionMatch=Exact"),
    Step("all at once away", "DELETE", MAPS + "?labelSelector=set"),
    Step("none is left", "GET", MAPS + "?labelSelector=set"),
]

BARE = [
    Step(
        "a pod",
        "POST",
        PODS,
        _bare(
            container={
                "env": [
                    {"name": "A", "value": ""},
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": 1}},
            },
            volumes=[{"name": "v"}, {"name": "w", "secret": {"secretName": "s"}}],
        ),
    ),
    Step(
        "a pod beyond the quota",
        "POST",
        PODS,
        {**_bare(container={"resources": {"limits": {"nvidia.com/gpu": "4"}}}), "metadata": {"name": "q"}},
    ),
    Step("a pod without containers", "POST", PODS, {**_named("r"), "spec": {"containers": []}}),
    Step(
        "a pod with a mount of nothing",
        "POST",
        PODS,
        {**_named("r"), "spec": pod(container={"volumeMounts": [{"name": "none", "mountPath": "/x"}]})},
    ),
    Step(
        "a pod with half a GPU",
        "POST",
        PODS,
        {**_named("r"), "spec": pod(container={"resources": {"limits": {"nvidia.com/gpu": "500m"}}})},
    ),
    Step("a pod of no such priority", "POST", PODS, {**_named("r"), "spec": pod(priorityClassName="none-such")}),
    Step("a pod of no such account", "POST", PODS, {**_named("r"), "spec": pod(serviceAccountName="none-such")}),
    Step("its quota says so", "GET", "/api/v1/namespaces/{ns}/resourcequotas/q", until={"status.used.pods": "1"}),
    Step("its status is its own", "PATCH", f"{PODS}/p/status", RUNNING, STRATEGIC),
    Step(
        "and not another's",
        "PATCH",
        f"{PODS}/p",
        {"status": {"phase": "Failed"}, "metadata": {"labels": {"x": "y"}}},
        MERGE,
    ),
    Step("its node is fixed", "PATCH", f"{PODS}/p", {"spec": {"hostname": "x"}}, MERGE),
    Step("deleted, it stays for its grace", "DELETE", f"{PODS}/p", {"gracePeriodSeconds": 20}),
    Step("deleted with less patience", "DELETE", f"{PODS}/p?gracePeriodSeconds=5"),
    Step("deleted at once", "DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0}),
    Step("the pod is away", "GET", f"{PODS}/p"),
]

END = [
    Step(
        "may it?",
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": {
                "resourceAttributes": {"verb": "create", "group": "batch", "resource": "jobs", "namespace": "{ns}"}
            },
        },
    ),
    Step("held up", "POST", MAPS, {**config("hold"), "metadata": {"name": "hold", "finalizers": [_FINALIZER]}}),
    Step("the namespace is deleted", "DELETE", "/api/v1/namespaces/{ns}"),
    Step("nothing new in it", "POST", MAPS, config("late")),
    Step("its last is let go", "PATCH", f"{MAPS}/hold", {"metadata": {"finalizers": None}}, MERGE, mute=True),
    Step("the namespace is away", "GET", "/api/v1/namespaces/{ns}", until={"code": 404}),
    Step("the node is taken away", "DELETE", f"/api/v1/nodes/{NODE}"),
]

STEPS = [*SETTING, *OBJECTS, *APPLYING, *LISTS, *BARE, *RUNS, *INDEXED, *END]
