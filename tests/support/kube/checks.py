"""What a server refuses in an object whose fields and types are right: missing, unfit or unchangeable values."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.kube import schema
from tests.support.kube.failure import Cause, banned, required, unsupported, wrong
from tests.support.kube.quantities import milli
from tests.support.kube.table import (
    CLAIMS,
    CONFIGMAPS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_ENV = re.compile(r"[ -<>-~]+")
_LABEL_WHY = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_WHY = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_VALUE_WHY = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_WHY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_JOB_FIXED = ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "successPolicy", "managedBy")
_FIXED = "field is immutable"
Causes = Iterator[Cause]


def check(resource: Resource, obj: dict[str, Any], old: dict[str, Any] | None) -> list[Cause]:
    """All that is wrong with ``obj``, which replaces ``old`` (None: is new)."""
    causes = list(_metadata(resource, obj["metadata"], new=old is None))
    if resource.custom:
        causes += _custom(schema.definition(resource.schema), obj, "")
    elif resource in _CHECKS:
        causes += _CHECKS[resource](obj, old)
    return causes


def _metadata(resource: Resource, meta: dict[str, Any], *, new: bool) -> Causes:
    name = meta["name"]
    if new:
        short = resource in (SERVICES, NAMESPACES)
        pattern, longest, why = (_LABEL, 63, _LABEL_WHY) if short else (_SUBDOMAIN, 253, _SUBDOMAIN_WHY)
        if len(name) > longest:
            yield wrong("metadata.name", name, f"must be no more than {longest} characters")
        if not pattern.fullmatch(name) and not resource.group.startswith("rbac"):
            yield wrong("metadata.name", name, why)
    yield from labels(meta.get("labels"), "metadata.labels")
    size = sum(len(key) + len(str(value)) for key, value in (meta.get("annotations") or {}).items())
    if size > 256 * 1024:
        yield ("FieldValueTooLong", "Too long: may not be more than 262144 bytes", "metadata.annotations")
    for index, ref in enumerate(meta.get("ownerReferences") or []):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not ref.get(field):
                yield wrong(f"metadata.ownerReferences[{index}].{field}", "", "must not be empty")


def labels(found: dict[str, Any] | None, path: str) -> Causes:
    for key, value in (found or {}).items():
        prefix, _, plain = key.rpartition("/")
        if len(plain) > 63:
            yield wrong(path, key, "name part must be no more than 63 bytes")
        if not plain or not _VALUE.fullmatch(plain):
            yield wrong(path, key, _QUALIFIED_WHY)
        if prefix and not _SUBDOMAIN.fullmatch(prefix):
            yield wrong(path, key, f"prefix part {_SUBDOMAIN_WHY}")
        if len(value) > 63:
            yield wrong(path, value, "must be no more than 63 bytes")
        if not _VALUE.fullmatch(value):
            yield wrong(path, value, _VALUE_WHY)


def _custom(node: schema.Node, value: Any, path: str) -> Causes:
    if isinstance(value, dict) and "properties" in node:
        for name in node.get("required") or ():
            if name not in value:
                yield required(f"{path}.{name}" if path else name)
        for name, inner in node["properties"].items():
            if name in value and "$ref" not in inner:
                yield from _custom(inner, value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        if len(value) < node.get("minItems", 0):
            yield wrong(path, len(value), f"{path} in body should have at least {node['minItems']} items")
        if len(value) > node.get("maxItems", len(value)):
            yield ("FieldValueTooMany", f"Too many: {len(value)}: must have at most {node['maxItems']} items", path)
        for index, entry in enumerate(value):
            yield from _custom(node["items"], entry, f"{path}[{index}]")
    elif "enum" in node and value not in node["enum"]:
        yield unsupported(path, value, tuple(node["enum"]))


def _job(job: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    spec, template = job["spec"], job["spec"]["template"]
    for field in (
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ):
        if spec.get(field, 0) < 0:
            yield wrong(f"spec.{field}", spec[field], "must be greater than or equal to 0")
    if spec.get("completionMode") == "Indexed" and "completions" not in spec:
        yield required("spec.completions", "when completion mode is Indexed")
    if spec.get("completionMode") not in ("Indexed", "NonIndexed"):
        yield unsupported("spec.completionMode", spec.get("completionMode"), ("Indexed", "NonIndexed"))
    if "backoffLimitPerIndex" in spec and spec.get("completionMode") != "Indexed":
        yield wrong("spec.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    if spec.get("podReplacementPolicy") not in ("Failed", "TerminatingOrFailed"):
        yield unsupported(
            "spec.podReplacementPolicy", spec.get("podReplacementPolicy"), ("Failed", "TerminatingOrFailed")
        )
    yield from labels(template.get("metadata", {}).get("labels"), "spec.template.metadata.labels")
    if old is None or old["spec"]["template"] != template:
        yield from pod_spec(template["spec"], "spec.template.spec")
    if template["spec"].get("restartPolicy") == "Always":
        yield required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif template["spec"].get("restartPolicy") not in ("Never", "OnFailure"):
        yield unsupported(
            "spec.template.spec.restartPolicy", template["spec"].get("restartPolicy", ""), ("OnFailure", "Never")
        )
    if old is not None:
        yield from _job_change(job, old)


def _job_change(job: dict[str, Any], old: dict[str, Any]) -> Causes:
    spec, was = job["spec"], old["spec"]
    if spec.get("completions") != was.get("completions") and not (
        was.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    ):
        yield wrong("spec.completions", spec.get("completions"), _FIXED)
    for field in _JOB_FIXED:
        if spec.get(field) != was.get(field):
            yield wrong(f"spec.{field}", spec.get(field), _FIXED)
    if spec["template"] != was["template"]:
        free = was.get("suspend") and not old.get("status", {}).get("startTime")
        if not free or _frozen_part(spec["template"]) != _frozen_part(was["template"]):
            yield wrong("spec.template", "{...}", _FIXED)


def _frozen_part(template: dict[str, Any]) -> dict[str, Any]:
    """What of a template may not even change while its Job is suspended and was not started."""
    spec = {
        k: v
        for k, v in template["spec"].items()
        if k not in ("affinity", "nodeSelector", "tolerations", "schedulingGates")
    }
    for group in ("containers", "initContainers"):
        spec[group] = [{k: v for k, v in entry.items() if k != "resources"} for entry in spec.get(group, [])]
    return spec


def pod_spec(spec: dict[str, Any], path: str) -> Causes:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    if spec.get("restartPolicy") not in ("Always", "Never", "OnFailure"):
        known = ("Always", "Never", "OnFailure")
        yield (required(f"{path}.restartPolicy", 'valid values: "OnFailure", "Never"') if not spec.get("restartPolicy")
               else unsupported(f"{path}.restartPolicy", spec["restartPolicy"], known))  # fmt: skip
    volumes = {volume["name"] for volume in spec.get("volumes") or []}
    seen: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            where = f"{path}.{group}[{index}]"
            if container["name"] in seen:
                yield ("FieldValueDuplicate", f'Duplicate value: "{container["name"]}"', f"{where}.name")
            seen.add(container["name"])
            yield from _container(container, volumes, where)
    if spec.get("hostname") and (len(spec["hostname"]) > 63 or not _LABEL.fullmatch(spec["hostname"])):
        yield wrong(f"{path}.hostname", spec["hostname"], _LABEL_WHY)


def _container(container: dict[str, Any], volumes: set[str], where: str) -> Causes:
    if not _LABEL.fullmatch(container["name"]) or len(container["name"]) > 63:
        yield wrong(f"{where}.name", container["name"], _LABEL_WHY)
    if not container.get("image"):
        yield required(f"{where}.image")
    for index, entry in enumerate(container.get("env") or []):
        if not _ENV.fullmatch(entry["name"]):
            yield wrong(
                f"{where}.env[{index}].name",
                entry["name"],
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            )
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount["name"] not in volumes:
            yield ("FieldValueNotFound", f'Not found: "{mount["name"]}"', f"{where}.volumeMounts[{index}].name")
    yield from _amounts(container.get("resources") or {}, where)


def _amounts(resources: dict[str, Any], where: str) -> Causes:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in requests.items():
        extended = "/" in name
        if name in limits and milli(value) > milli(limits[name]):
            yield wrong(
                f"{where}.resources.requests", value, f"must be less than or equal to {name} limit of {limits[name]}"
            )
        if extended and name in limits and milli(value) != milli(limits[name]):
            yield wrong(f"{where}.resources.requests", value, f"must be equal to {name} limit of {limits[name]}")
        if extended and name not in limits:
            yield required(f"{where}.resources.limits", "Limit must be set for non overcommitable resources")
    for field, found in (("limits", limits), ("requests", requests)):
        for name, value in found.items():
            if milli(value) < 0:
                yield wrong(f"{where}.resources.{field}[{name}]", value, "must be greater than or equal to 0")
            if "/" in name and milli(value) % 1000:
                yield wrong(f"{where}.resources.{field}[{name}]", value, "must be an integer")


def _pod(pod: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    if old is None:
        yield from pod_spec(pod["spec"], "spec")
    elif _unfree(pod["spec"]) != _unfree(old["spec"]):
        yield banned("spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")  # fmt: skip


def _unfree(spec: dict[str, Any]) -> dict[str, Any]:
    left = {
        k: v
        for k, v in spec.items()
        if k not in ("activeDeadlineSeconds", "tolerations", "nodeName", "schedulingGates")
    }
    for group in ("containers", "initContainers"):
        left[group] = [{k: v for k, v in entry.items() if k != "image"} for entry in spec.get(group, [])]
    return left


def _secret(secret: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    for key in secret.get("data") or {}:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            yield wrong(f"data[{key}]", key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')")  # fmt: skip
    if sum(len(value) * 3 // 4 for value in (secret.get("data") or {}).values()) > 1 << 20:
        yield ("FieldValueTooLong", "Too long: may not be more than 1048576 bytes", "data")
    if old is not None and secret.get("type") != old.get("type"):
        yield wrong("type", secret.get("type"), _FIXED)
    if old is not None and old.get("immutable"):
        if not secret.get("immutable"):
            yield banned("immutable", "field is immutable when `immutable` is set")
        if secret.get("data") != old.get("data"):
            yield banned("data", "field is immutable when `immutable` is set")


def _quota(quota: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    for name, value in (quota.get("spec", {}).get("hard") or {}).items():
        if milli(value) < 0:
            yield wrong(f"spec.hard[{name}]", value, "must be greater than or equal to 0")


def _service(service: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    spec = service.get("spec", {})
    if not spec.get("ports") and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if old is not None and spec.get("clusterIP") != old["spec"].get("clusterIP"):
        yield wrong("spec.clusterIP", spec.get("clusterIP"), "may not change once set")


def _claim(claim: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    if not claim.get("spec", {}).get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")


def _nothing(obj: dict[str, Any], old: dict[str, Any] | None) -> Causes:
    yield from ()


_CHECKS: dict[Resource, Callable[[dict[str, Any], dict[str, Any] | None], Causes]] = {
    JOBS: _job,
    PODS: _pod,
    SECRETS: _secret,
    QUOTAS: _quota,
    SERVICES: _service,
    CLAIMS: _claim,
    CONFIGMAPS: _nothing,
    NODES: _nothing,
}
