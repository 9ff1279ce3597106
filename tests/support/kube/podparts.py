"""Subresources of pods: log, eviction; ``exec`` and ``portforward`` are in ``sockets``."""

import json
from typing import Any

from tests.support.kube import failure
from tests.support.kube.controllers.base import ms_of
from tests.support.kube.controllers.kubelet import Kubelet
from tests.support.kube.objects import Obj, Objects
from tests.support.kube.sockets import Sockets
from tests.support.kube.table import PODS
from tests.support.kube.verbs import Asked, Strange
from tests.support.kube.web import Reply

_LOG = {
    "container",
    "follow",
    "timestamps",
    "sinceTime",
    "sinceSeconds",
    "tailLines",
    "limitBytes",
    "previous",
    "pretty",
    "insecureSkipTLSVerifyBackend",
}


class PodParts:
    def __init__(self, objects: Objects, kubelet: Kubelet) -> None:
        self._objects, self._kubelet = objects, kubelet
        self._sockets = Sockets(objects.store, kubelet)

    def do(self, asked: Asked) -> Reply:
        with self._objects.store.lock:
            pod = self._objects.store.get(PODS, asked.key)
        if pod is None:
            raise failure.not_found(PODS, asked.name)
        if asked.part == "log" and asked.verb == "get":
            return self._log(asked, pod)
        if asked.part == "eviction" and asked.verb == "create":
            return self._evict(asked)
        if asked.part in ("exec", "portforward") and asked.verb in ("get", "create"):
            return self._sockets.do(asked, pod)
        raise failure.no_resource()

    def _log(self, asked: Asked, pod: Obj) -> Reply:
        query = asked.query
        if unknown := set(query) - _LOG:
            raise Strange(f"log with parameter {', '.join(sorted(unknown))}")
        name = self._chosen(query.get("container", ""), pod)
        with self._objects.store.lock:
            if pod["spec"].get("nodeName", "") in self._kubelet.frozen:
                raise failure.Failure(
                    500,
                    "InternalError",
                    f'Get "https://{pod["spec"]["nodeName"]}:10250/containerLogs": dial tcp: connect: no route to host',
                )
            output = self._kubelet.outputs.get((pod["metadata"]["uid"], name))
        if output is None:
            why = f'container "{name}" in pod "{asked.name}" is waiting to start: ContainerCreating'
            raise failure.bad(why)
        since = ms_of(query.get("sinceTime"))
        if "sinceSeconds" in query:
            since = self._objects.clock.now_ms() - 1000 * int(query["sinceSeconds"])
        lines = output.read(
            follow=query.get("follow") in ("true", "1"),
            timestamps=query.get("timestamps") in ("true", "1"),
            since_ms=since,
            tail=int(query["tailLines"]) if "tailLines" in query else None,
            limit=int(query["limitBytes"]) if "limitBytes" in query else None,
        )
        return Reply(200, kind="text/plain", stream=lines)

    def _chosen(self, given: str, pod: Obj) -> str:
        spec = pod["spec"]
        names = [entry["name"] for entry in spec["containers"]]
        initial = [entry["name"] for entry in spec.get("initContainers") or []]
        if not given:
            if len(names) > 1 or initial:
                listed = f"choose one of: [{' '.join(names)}]" + (
                    f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
                )
                if len(names) > 1:
                    raise failure.bad(f"a container name must be specified for pod {pod['metadata']['name']}, {listed}")
            return str(names[0])
        if given not in (*names, *initial):
            raise failure.bad(f"container {given} is not valid for pod {pod['metadata']['name']}")
        return given

    def _evict(self, asked: Asked) -> Reply:
        body: Any = json.loads(asked.body or b"{}")
        grace = (body.get("deleteOptions") or {}).get("gracePeriodSeconds")

        def mark(pod: Obj) -> None:
            now = self._objects.now()
            conditions = pod["status"].setdefault("conditions", [])
            message = "Eviction API: evicting"
            conditions.append({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": message, "lastProbeTime": None, "lastTransitionTime": now})  # fmt: skip

        with self._objects.store.lock:
            self._objects.change(PODS, asked.key, mark)
            self._objects.delete(PODS, asked.key, grace=grace)
        return Reply(
            201,
            json.dumps(
                {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
            ).encode(),
        )
