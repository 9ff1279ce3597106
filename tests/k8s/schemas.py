"""Kubernetes' own schemas, JobSet's and Kueue's, to hold what we make against."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
import referencing.jsonschema
import yaml
from kubernetes_validate import utils

MODULE = Path(__file__).parents[1] / "cluster"
JOBSET, KUEUE = "sigs.k8s.io/jobset", "sigs.k8s.io/kueue"
OFFLINE = {**os.environ, "GOPROXY": "off", "GOFLAGS": "-mod=readonly"}


@cache
def _schema(version: str, kind: str, api: str) -> Any:
    """The strict one, which knows no field but Kubernetes' own. Read once: ``kubernetes_validate`` would each time."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    group, _, rest = api.rpartition("/")
    name = f"{group.split('.')[0]}-{rest}" if group else rest
    schema = utils.schema_contents(f"{folder}/{kind.lower()}-{name}.json", version)
    definitions = utils.schema_contents(f"{folder}/_definitions.json", version)
    registry: Any = referencing.Registry()
    registry = referencing.Resource.from_contents(definitions) @ registry
    return jsonschema.Draft202012Validator(schema, registry=registry)


def check(body: dict[str, Any], version: str) -> None:
    """Raises ValidationError unless that version of Kubernetes takes it, to the last field."""
    _schema(version, body["kind"], body["apiVersion"]).validate(json.loads(json.dumps(body)))


@cache
def _custom(module: str, file: str, version: str) -> Any:
    """The schema of a custom resource from a Go module that the tests of real clusters pin; skips where it is not."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"no Go toolchain, which has the definitions of {module}")
    command = [go, "list", "-m", "-f", "{{.Dir}}", module]
    found = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False, env=OFFLINE).stdout.strip()
    path = Path(found) / "config/components/crd/bases" / file
    if not found or not path.exists():
        pytest.skip(f"the Go module {module} is not on this machine: make cluster brings it")
    definition = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (served,) = [one for one in definition["spec"]["versions"] if one["name"] == version]
    return jsonschema.Draft202012Validator(_closed(served["schema"]["openAPIV3Schema"]))


def check_jobset(body: dict[str, Any]) -> None:
    _custom(JOBSET, "jobset.x-k8s.io_jobsets.yaml", "v1alpha2").validate(json.loads(json.dumps(body)))


def check_kueue(body: dict[str, Any]) -> None:
    file = f"kueue.x-k8s.io_{body['kind'].lower()}s.yaml"
    _custom(KUEUE, file, body["apiVersion"].partition("/")[2]).validate(json.loads(json.dumps(body)))


def _closed(schema: Any) -> Any:
    """The schema such that an object has no field that it does not name, as the server's strict mode has it."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(value) for key, value in schema.items() if key != "properties"}
    if "properties" in schema:
        found["properties"] = {key: _closed(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("anyOf", None)
        found["type"] = ["integer", "string"]
    return found
