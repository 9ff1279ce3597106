"""The environment of a job's program: the same variables as the local driver gives it (``pod`` → here).

The job's own stands over the defaults, its secrets over that, and what the centre says over all.
"""

from typing import Any

from domain.fleet import CPU_FLAVOR
from domain.jobs import Launch
from k8s import names
from k8s.manifests.part import Part
from k8s.manifests.wrapper import literal

WORK = "/baray/work"
PORT = 29_500  # where ranks meet; pods have addresses of their own, so it is the same for all

# Told to a container runtime, each of these alone decides which GPUs of its node a container sees.
_VISIBLE = ("NVIDIA_VISIBLE_DEVICES", "AMD_VISIBLE_DEVICES")


def environment(launch: Launch, part: Part) -> list[dict[str, Any]]:
    secret = {name: _of_secret(part.name, name) for name in sorted(launch.secrets)}
    given = {
        **_texts(
            {
                "HOME": WORK,
                # The user of a pod has no name in its image, which some libraries ask for.
                "USER": "baray",
                "LOGNAME": "baray",
                "OMP_NUM_THREADS": str(launch.spec.resources.cpus),
                **part.env,
            }
        ),
        **secret,
    }
    for name in _VISIBLE:
        given.pop(name, None)
    given |= _of_the_centre(launch, part)
    return [{"name": name, **entry} for name, entry in given.items()]


def index_entry() -> dict[str, Any]:
    """The completion index of an Indexed Job's pod."""
    return _of_field(f"metadata.annotations['{names.COMPLETION_INDEX}']")


def _of_the_centre(launch: Launch, part: Part) -> dict[str, dict[str, Any]]:
    attempt, cpu_only = launch.attempt, launch.flavor == CPU_FLAVOR
    meeting = part.meeting or "127.0.0.1"
    told = {
        "BARAY_JOB": str(attempt.job),
        "BARAY_PROJECT": launch.spec.project,
        "BARAY_WORK_DIR": WORK,
        "BARAY_NODES": str(part.ranks),
        "BARAY_GPUS": "0" if cpu_only else str(launch.spec.resources.gpus),
        "BARAY_MASTER_ADDR": meeting,
        "BARAY_MASTER_PORT": str(PORT),
        # The same once more as torch.distributed reads it.
        "MASTER_ADDR": meeting,
        "MASTER_PORT": str(PORT),
        "WORLD_SIZE": str(part.ranks),
        "LOCAL_RANK": "0",
    }
    if not part.members:  # else the shell works them out
        told |= {"BARAY_TASK": "" if attempt.index is None else str(attempt.index), "BARAY_ATTEMPT": str(attempt)}
    if part.role:
        told["BARAY_ROLE"] = part.role
    if cpu_only:  # an image may ask for all GPUs, and would see those of others
        told |= {"CUDA_VISIBLE_DEVICES": "", **dict.fromkeys(_VISIBLE, "void")}
    entries = _texts(told)
    if part.indexed:
        entries["BARAY_INDEX"] = index_entry()
    rank = index_entry() if part.indexed and not part.members else {"value": "0"}
    return {**entries, "BARAY_NODE": _of_field("spec.nodeName"), "BARAY_RANK": rank, "RANK": rank}


def _texts(values: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {"value": literal(value)} for name, value in values.items()}


def _of_field(path: str) -> dict[str, Any]:
    return {"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _of_secret(secret: str, key: str) -> dict[str, Any]:
    return {"valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
