"""The containers beside a job's own: one brings its source before it starts, one collects its outputs after it ended.

Both run the agent (``k8s/pod/agent.py``), whose text is their argument: so there is no image of ours to be built, kept
and pulled, and no further object. It is packed, since the cluster keeps it once for every job that lives. They see the
working directory and the pass, and nothing of the job's secrets.
"""

import zlib
from base64 import b64encode
from functools import cache
from typing import Any

from domain.jobs import JobSpec, Launch
from domain.quantities import MINUTE_MS
from k8s import names
from k8s.manifests.environment import WORK, index_entry
from k8s.manifests.part import Part
from k8s.manifests.site import Site
from k8s.manifests.wrapper import literal, seconds
from k8s.pod import agent_text

COLLECT_S = 5 * MINUTE_MS // 1_000  # for outputs to be collected after the job's own end
PASS = "baray.pass"  # noqa: S105 - a key of the Secret; no name of an environment variable has a dot
_PASSES = "/baray/passes"
_READY = "/dev/shm/baray-ready"  # noqa: S108 - in a container of its own


@cache
def _agent() -> str:
    """A program that unpacks and runs the agent."""
    packed = b64encode(zlib.compress(agent_text().encode(), 9)).decode()
    return f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{packed}')))"


def errands(launch: Launch, part: Part, site: Site, security: dict[str, Any]) -> list[dict[str, Any]]:
    """The init containers, in order."""
    spec, found = launch.spec, []
    if not has_errands(spec):
        return []
    common = {
        "image": site.config.helper_image,
        "workingDir": WORK,
        "securityContext": security,
        "volumeMounts": [{"name": "work", "mountPath": WORK}, *_pass_mount(part)],
    }
    if spec.source is not None:
        env = [*_env(part, site), {"name": "BARAY_SOURCE", "value": spec.source}]
        # It is over before the job's own container starts, and may have all that was booked for that.
        own = {"cpu": str(spec.resources.cpus), "memory": str(spec.resources.memory_bytes)}
        found.append({"name": names.FETCH, "env": env, "resources": {"requests": own, "limits": own}, **common})
        found[-1] |= _command("fetch")
    if spec.outputs:
        env = [
            *_env(part, site),
            {"name": "BARAY_OUTPUTS", "value": literal("\n".join(spec.outputs))},
            {"name": "BARAY_READY", "value": _READY},
        ]
        # Started before the job's own container and told to end after it, since it is restarted for ever (a sidecar).
        # It asks for nothing: what was booked for the job is all that the planner knows of, and a full node is full.
        resources = {
            "requests": {"cpu": "0", "memory": "0"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        }
        found.append({"name": names.COLLECT, "env": env, "resources": resources, "restartPolicy": "Always", **common})
        found[-1] |= _command("collect")
        # The job's container waits for it: told to end before it listens, the collector would not hear it.
        found[-1]["startupProbe"] = {
            "exec": {"command": ["test", "-e", _READY]},
            "periodSeconds": 1,
            "failureThreshold": 120,
        }
    return found


def has_errands(spec: JobSpec) -> bool:
    return spec.source is not None or bool(spec.outputs)


def grace_s(spec: JobSpec) -> int:
    """What a pod has from being told to end: the job's grace, and time for its outputs."""
    return seconds(spec.grace_ms) + (COLLECT_S if spec.outputs else 0)


def pass_volume(part: Part) -> list[dict[str, Any]]:
    """Of a bundle: a file for each index, of which a pod mounts its own."""
    if not part.members:
        return []
    items = [{"key": f"{PASS}.{index}", "path": str(index)} for index in range(len(part.members))]
    return [{"name": "passes", "secret": {"secretName": part.name, "items": items, "defaultMode": 0o440}}]


def _pass_mount(part: Part) -> list[dict[str, Any]]:
    if not part.members:
        return []
    return [{"name": "passes", "mountPath": _PASSES, "readOnly": True}]


def _env(part: Part, site: Site) -> list[dict[str, Any]]:
    env: list[dict[str, Any]] = [{"name": "BARAY_CENTRE_URL", "value": literal(site.config.centre_url)}]
    if site.config.centre_ca:
        env.append({"name": "BARAY_CENTRE_CA", "value": literal(site.config.centre_ca)})
    if part.indexed:
        env.append({"name": "BARAY_INDEX", **index_entry()})
    if part.offset:
        env.append({"name": "BARAY_OFFSET", "value": str(part.offset)})
    if part.members:  # after the index, which it takes up
        env.append({"name": "BARAY_PASS_FILE", "value": f"{_PASSES}/$(BARAY_INDEX)"})
    else:
        key = {"secretKeyRef": {"name": part.name, "key": PASS}}
        env.append({"name": "BARAY_PASS", "valueFrom": key})
    return env


def _command(task: str) -> dict[str, Any]:
    # Isolated: else a file of the job's in the working directory, such as its random.py, would be imported instead of
    # Python's own, and would run beside the pass.
    return {"command": ["python3", "-I", "-c", literal(_agent())], "args": [task]}
