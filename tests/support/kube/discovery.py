"""What a server says of itself: its version, groups, and resources."""

from typing import Any

from tests.support.kube.table import TABLE, Resource

Obj = dict[str, Any]


def version(minor: int) -> Obj:
    return {
        "major": "1",
        "minor": str(minor),
        "emulationMajor": "1",
        "emulationMinor": str(minor),
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": str(minor - 1),
        "gitVersion": f"v1.{minor}.3",
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "2026-06-01T00:00:00Z",
        "goVersion": "go1.26.0",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def served(absent: frozenset[str]) -> list[Resource]:
    return [entry for entry in TABLE if entry.group not in absent]


def answer(path: str, minor: int, absent: frozenset[str]) -> Obj | None:
    """What is said under ``path``; None if nothing is."""
    if path == "/version":
        return version(minor)
    if path == "/api":
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }
    groups = {entry.group: entry.version for entry in served(absent) if entry.group}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, v) for name, v in groups.items()]}
    parts = path.strip("/").split("/")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in groups:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1], groups[parts[1]])}
    found = [entry for entry in served(absent) if entry.root == path]
    if not found:
        return None
    return {"kind": "APIResourceList", **({"apiVersion": "v1"} if found[0].group else {}), "groupVersion": found[0].group_version,
            "resources": [line for entry in found for line in _lines(entry)]}  # fmt: skip


def _group(name: str, version_name: str) -> Obj:
    told = {"groupVersion": f"{name}/{version_name}", "version": version_name}
    return {"name": name, "versions": [told], "preferredVersion": told}


def _lines(entry: Resource) -> list[Obj]:
    first: Obj = {
        "name": entry.plural,
        "singularName": entry.kind.lower(),
        "namespaced": entry.namespaced,
        "kind": entry.kind,
        "verbs": list(entry.verbs),
    }
    if entry.short:
        first["shortNames"] = list(entry.short)
    lines = [first]
    if entry.status:
        lines.append(
            {
                "name": f"{entry.plural}/status",
                "singularName": "",
                "namespaced": entry.namespaced,
                "kind": entry.kind,
                "verbs": ["get", "patch", "update"],
            }
        )
    if entry.plural == "pods":
        lines += [
            {"name": f"pods/{name}", "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
            for name, kind, verbs in (("exec", "PodExecOptions", ["create", "get"]), ("log", "Pod", ["get"]),
                                      ("portforward", "PodPortForwardOptions", ["create", "get"]), ("eviction", "Eviction", ["create"]))
        ]  # fmt: skip
    return lines
