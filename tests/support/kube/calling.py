"""How tests of the stand-in speak to it, and what they ask for."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.support.kube.server import ADMIN, KubeServer
from tests.support.kube.table import JOBS, PODS

JOBS_PATH = "/apis/batch/v1/namespaces/default/jobs"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
GPU = "nvidia.com/gpu"


def job(name: str = "a", *command: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "x", "command": list(command) or ["true"]}
    template = {
        "metadata": {"annotations": spec.pop("annotations", {})},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    defaults = {"backoffLimit": 0, "podReplacementPolicy": "Failed", "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**defaults, **spec}}


class Caller:
    def __init__(self, server: KubeServer, token: str = ADMIN) -> None:
        self.server, self.token = server, token

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.server.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text, code = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            text, code = error.read(), error.code
            error.close()
        return code, json.loads(text) if text.startswith(b"{") else text.decode()


def until(look: Any, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)
    return answer


def condition(server: KubeServer, name: str, kind: str) -> dict[str, Any] | None:
    found = server.get(JOBS, name, "default")
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pods(server: KubeServer, name: str) -> list[dict[str, Any]]:
    return [pod for pod in server.all(PODS) if pod["metadata"]["labels"].get("job-name") == name]
