"""Kueue and JobSet beside the control plane: their definitions, and their webhooks on loopback instead of in a Service."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.rig.calls import Calls, Object
from tests.cluster.rig.processes import BUILT

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"

# Webhooks of kinds that are not here would refuse what is none of theirs: they fail closed.
KUEUE_HOOKS = ("clusterqueue", "cohort", "job", "jobset", "resourceflavor", "workload")
JOBSET_HOOKS = ("jobset", "pod")
_IN_JOBSET = "jobset.sigs.k8s.io/jobset-name"  # JobSet's own installation selects its pods so


def _documents(name: str) -> Iterator[Object]:
    for path in sorted((BUILT / "manifests" / name).glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if document and "kind" in document and document["kind"] != "Kustomization":
                yield document


def define(calls: Calls, name: str, convert: tuple[str, bytes] | None = None) -> list[str]:
    """Create the definitions; with ``convert`` (address, authority) by a webhook between versions. Answers their names."""
    made = []
    for document in _documents(name):
        if document["kind"] != "CustomResourceDefinition":
            continue
        if convert is not None and len(document["spec"]["versions"]) > 1:
            hook = {"clientConfig": _client(*convert, "/convert"), "conversionReviewVersions": ["v1"]}
            document["spec"]["conversion"] = {"strategy": "Webhook", "webhook": hook}
        document.pop("status", None)
        calls.create(_CRDS, document)
        made.append(document["metadata"]["name"])
    return made


def established(calls: Calls, names: Sequence[str]) -> bool:
    served = {
        one["metadata"]["name"]
        for one in calls.items(_CRDS)
        for condition in one.get("status", {}).get("conditions") or ()
        if condition["type"] == "Established" and condition["status"] == "True"
    }
    return served.issuperset(names)


def hook(calls: Calls, name: str, prefix: str, address: str, authority: bytes, kinds: Sequence[str]) -> None:
    """Create the webhook configurations of ``kinds``, to be called at ``address``; never for the system's own namespaces."""
    for document in _documents(name):
        resource = {
            "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
            "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
        }.get(document["kind"])
        if resource is None:
            continue
        kept = [one for one in document["webhooks"] if one["name"][1:].removesuffix(".kb.io") in kinds]
        for one in kept:
            one["clientConfig"] = _client(address, authority, one["clientConfig"]["service"]["path"])
            if "pod" in one["name"]:
                one["objectSelector"] = {"matchExpressions": [{"key": _IN_JOBSET, "operator": "Exists"}]}
        document["webhooks"] = kept
        document["metadata"] = {"name": f"{prefix}-{document['metadata']['name']}"}
        calls.create(f"{_WEBHOOKS}/{resource}", document)


def _client(address: str, authority: bytes, path: str) -> Object:
    return {"url": address + path, "caBundle": base64.b64encode(authority).decode()}


def kueue_configuration(root: Path, webhook: int, health: int) -> Path:
    return _write(root / "kueue.yaml", {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration", "namespace": "kueue-system",
        **_common(root / "kueue-certs", webhook, health),
        "clientConnection": {"qps": 500, "burst": 1000},
        "integrations": {"frameworks": ["batch/job", "jobset.x-k8s.io/jobset"]},
        "featureGates": {"VisibilityOnDemand": False},
    })  # fmt: skip


def jobset_configuration(root: Path, webhook: int, health: int) -> Path:
    return _write(root / "jobset.yaml", {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration",
        **_common(root / "jobset-certs", webhook, health),
        "clientConnection": {"qps": 500, "burst": 1000},
    })  # fmt: skip


def _common(certificates: Path, webhook: int, health: int) -> Object:
    return {
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": webhook, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
    }


def _write(path: Path, content: Any) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path
