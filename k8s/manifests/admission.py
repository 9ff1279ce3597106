"""Rules of admission for all rooms of this centre (tenancy → here).

Only the centre makes anything to run in them: a user's rights on the cluster, whatever they are, do not lead around the
queue. And pods obey what the *restricted* profile of Pod Security leaves open. That one forbids privileged containers,
the host's namespaces, ports and paths, but says nothing of where images come from, nor of tokens. ``images`` decides
before anything is made what may run; this holds against everybody else.
"""

import json
from collections.abc import Iterable

from domain.clusters import ClusterConfig
from domain.images import in_full
from k8s import names
from k8s.manifests.kept import PART, ROOM, RULES, Object, part_labels, stamped

# What runs pods or opens ways to them, by API group. Only makers create it.
_GUARDED = {
    "": ["pods", "podtemplates", "replicationcontrollers", "services", "resourcequotas", "limitranges"],
    "apps": ["*"],
    "batch": ["jobs", "cronjobs"],
    "jobset.x-k8s.io": ["jobsets"],
    "networking.k8s.io": ["networkpolicies", "ingresses"],
    "rbac.authorization.k8s.io": ["roles", "rolebindings"],
}
# Who makes pods of our Jobs, and Jobs of our JobSets.
_CONTROLLERS = (
    "system:serviceaccount:kube-system:job-controller",
    "system:kube-controller-manager",
    "system:serviceaccount:jobset-system:jobset-controller-manager",
)

_ALL = "({0}.spec.containers + (has({0}.spec.initContainers) ? {0}.spec.initContainers : []))"
_IMAGES = f"{_ALL}.map(c, c.image)"
# What runs was looked at when it came: a rule that is new since must not keep the cluster from noting its end.
_NEW_IMAGES = f"request.operation == 'CREATE' || {_IMAGES.format('object')} != {_IMAGES.format('oldObject')}"
_TOKENS = (
    "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.projected) || !has(v.projected.sources) ||"
    " v.projected.sources.all(s, !has(s.serviceAccountToken)))"
)
# The registry that is meant where none is written.
_FULL = (
    "(i.contains('/') && (i.split('/')[0].contains('.') || i.split('/')[0].contains(':') ||"
    " i.split('/')[0] == 'localhost')) ?"
    " (i.startsWith('index.docker.io/') ? i.replace('index.docker.io/', 'docker.io/', 1) : i) :"
    " (i.contains('/') ? 'docker.io/' + i : 'docker.io/library/' + i)"
)


def rules(origin: str, config: ClusterConfig, maker: str) -> tuple[Object, ...]:
    """Admission rules for all rooms of this centre. ``maker`` is the user that the centre is on the cluster."""
    guarded = [_rule(group, kinds, ["CREATE"]) for group, kinds in _GUARDED.items()]
    guarded.append(_rule("", ["pods/ephemeralcontainers"], ["UPDATE"]))
    makers = [
        {
            "expression": f"request.userInfo.username in {json.dumps([maker, *_CONTROLLERS], ensure_ascii=False)}",
            "message": "Only Baray makes workloads in this namespace: submit a job instead.",
        }
    ]
    pods = [_rule("", ["pods"], ["CREATE", "UPDATE"])]
    return tuple(
        stamped(one)
        for one in (
            *_admission(f"baray-{origin}-makers", origin, guarded, makers),
            *_admission(f"baray-{origin}-pods", origin, pods, _pod_rules(config), _NEW_IMAGES),
        )
    )


def _pod_rules(config: ClusterConfig) -> list[Object]:
    found = [{"expression": _TOKENS, "message": "Pods here have no token of the cluster's."}]
    helper = json.dumps(config.helper_image)
    images = f"{_IMAGES.format('object')}.filter(i, i != {helper})"
    if config.registries:
        allowed = " || ".join(_within(registry) for registry in config.registries)
        found.append(
            {
                "expression": f"{images}.map(i, {_FULL}).all(i, {allowed})",
                "message": f"Images come from {', '.join(config.registries)} here."[:1000],
            }
        )
    if config.digest_only:
        found.append(
            {
                "expression": f"{images}.all(i, i.matches('@[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-fA-F]{{32,}}$'))",
                "message": "Images are named by digest here: @sha256:...",
            }
        )
    return found


def _within(registry: str) -> str:
    """Whether the image ``i``, in full, is below this registry or path, or is that very repository."""
    base = in_full(f"{registry.rstrip('/')}/").rstrip("/")
    ways = [f"i.startsWith({json.dumps(base + '/')})"]
    if "/" in base:  # behind a host, a colon would be a port: of another registry
        ways += [f"i == {json.dumps(base)}", *(f"i.startsWith({json.dumps(base + sign)})" for sign in ":@")]
    return " || ".join(ways)


def _rule(group: str, resources: Iterable[str], operations: list[str]) -> Object:
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": operations,
        "resources": list(resources),
        "scope": "Namespaced",
    }


def _admission(
    name: str, origin: str, matching: list[Object], validations: list[Object], only_if: str = ""
) -> tuple[Object, Object]:
    """A policy, and what binds it to the rooms of this centre and no other namespace."""
    group = "admissionregistration.k8s.io/v1"
    metadata = {"name": names.dns_label(name), "labels": part_labels(origin, RULES)}
    rooms = {"matchLabels": {names.ORIGIN: origin, PART: ROOM}}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "namespaceSelector": rooms,
            "objectSelector": {},
            "resourceRules": matching,
        },
        "matchConditions": [{"name": "new", "expression": only_if}] if only_if else [],
        "validations": [{"reason": "Forbidden", **one} for one in validations],
    }
    bound = {"policyName": metadata["name"], "validationActions": ["Deny"]}
    return (
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": metadata, "spec": spec},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": dict(metadata), "spec": bound},
    )
