"""What the centre may do on a cluster: one table, to be asked after, and to be made a ClusterRole of (probe → here)."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from domain.clusters import ClusterConfig
from k8s import names

_MAKE = ("get", "list", "create", "patch")
_KEEP = (*_MAKE, "delete")
_RUN = ("get", "list", "watch", "create", "patch", "delete")
_KUEUE, _JOBSET = "kueue.x-k8s.io", "jobset.x-k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
EXEC = "exec"  # needed where people may open shells


@dataclass(frozen=True, slots=True)
class Need:
    """Verbs on a resource. ``name`` limits them to objects of that name; ``when`` is the group or feature they are for."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    name: str = ""
    when: str = ""

    def said(self, verb: str) -> str:
        title = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{verb} {title}" + (f" named {self.name}" if self.name else "")


NEEDED = (
    Need("", "namespaces", _MAKE),
    Need("", "nodes", ("list", "watch")),
    Need("", "pods", ("get", "list", "watch", "delete", "deletecollection")),
    Need("", "pods/log", ("get",)),
    Need("", "pods/exec", ("get", "create"), when=EXEC),
    Need("", "pods/portforward", ("get", "create"), when=EXEC),
    Need("", "events", ("list", "watch")),
    Need("", "services", ("create",)),
    Need("", "secrets", ("create",)),  # to look into no other than the one that we make in each room
    Need("", "secrets", ("get", "list", "patch", "delete"), name=names.PULL_SECRET),
    Need("", "serviceaccounts", _MAKE),
    Need("", "resourcequotas", _MAKE),
    Need("", "limitranges", _MAKE),
    Need("batch", "jobs", _RUN),
    Need("networking.k8s.io", "networkpolicies", _KEEP),
    Need(_ADMISSION, "validatingadmissionpolicies", _MAKE),
    Need(_ADMISSION, "validatingadmissionpolicybindings", _MAKE),
    Need(_JOBSET, "jobsets", _RUN, when=_JOBSET),
    Need(_KUEUE, "clusterqueues", _KEEP, when=_KUEUE),
    Need(_KUEUE, "resourceflavors", _KEEP, when=_KUEUE),
    Need(_KUEUE, "localqueues", _KEEP, when=_KUEUE),
    Need(_KUEUE, "workloads", ("get", "list", "watch"), when=_KUEUE),
)


def needed(config: ClusterConfig, served: Iterable[str]) -> list[Need]:
    """What is needed on a cluster that serves these API groups."""
    there = {*served, *([EXEC] if config.exec else [])} - (set() if config.kueue else {_KUEUE})
    return [need for need in NEEDED if not need.when or need.when in there]


def review(need: Need, verb: str) -> dict[str, Any]:
    """A question to the cluster: may we?"""
    resource, _, part = need.resource.partition("/")
    asked = {"verb": verb, "group": need.group, "resource": resource}
    asked |= {key: value for key, value in (("subresource", part), ("name", need.name)) if value}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }


def cluster_role(name: str = "baray") -> dict[str, Any]:
    """The ClusterRole that allows all of it, whatever is installed."""
    rules = [
        {
            "apiGroups": [need.group],
            "resources": [need.resource],
            **({"resourceNames": [need.name]} if need.name else {}),
            "verbs": list(need.verbs),
        }
        for need in NEEDED
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }


def cluster_role_yaml(name: str = "baray") -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - for a page of the docs

    text = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(cluster_role(name), text)
    return text.getvalue()
