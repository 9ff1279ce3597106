"""What things are called on a cluster: keys of labels and annotations, names of objects, and the way back from them.

Pure. Every module of this room asks here, so that what one writes another finds again. A name follows from what it
names alone: whoever asks again, after whatever crash, gets the same.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from domain.errors import Invalid
from domain.ids import AttemptId, parse_attempt
from domain.jobs import Launch, Placement

# Labels. Values are at most 63 characters of a small alphabet: ``label_value`` makes them so.
ORIGIN = "baray.io/origin"  # the centre that made an object: nothing without it is ever touched
JOB = "baray.io/job"
ATTEMPT = "baray.io/attempt"  # of what runs one attempt alone; a bundle has MEMBERS instead
PROJECT = "baray.io/project"
ROLE = "baray.io/role"
FORGOTTEN = "baray.io/forgotten"  # "true": its result is committed, and it stays only so that its name is taken
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "baray"

# Annotations
SPEC = "baray.io/spec"  # what ``spec_hash`` says of its launch
MEMBERS = "baray.io/members"  # of a bundle: the attempt of each index, in order
STOP = "baray.io/stop"  # that it was told to stop, and why: so a driver that comes later knows
WALLTIME = "baray.io/walltime-ms"  # what the watchdog goes by
GRACE = "baray.io/grace-ms"

FINALIZER = "baray.io/result"

# What every project's room has under these names (see ``manifests.rooms``).
SERVICE_ACCOUNT = "baray-job"
PULL_SECRET = "baray-pull"  # noqa: S105 - its name
LOCAL_QUEUE = "baray"

MAIN, FETCH, COLLECT = "main", "fetch", "collect"  # the containers of a pod

# Keys of others that we write or read.
QUEUE_NAME = "kueue.x-k8s.io/queue-name"
JOB_NAME = "batch.kubernetes.io/job-name"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
JOBSET_NAME = "jobset.sigs.k8s.io/jobset-name"
HOSTNAME = "kubernetes.io/hostname"

LONGEST = 63  # characters of a DNS label and of a label's value
_DIGITS = 10  # of the hash that tells apart what would be called alike
SHORTEST = _DIGITS + 2  # characters that ``dns_label`` can do with

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HASHED = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")


def object_name(attempt: AttemptId, *, bundle: bool = False) -> str:
    """``j-1842-a1``, ``j-1842-7-a2``; of a bundle by its first member, ``b-1842-7-a2``. Never longer than 42 characters."""
    index = "" if attempt.index is None else f"-{attempt.index}"
    return f"{'b' if bundle else 'j'}-{attempt.job}{index}-a{attempt.number}"


def namespace(prefix: str, project: str) -> str:
    """The namespace of a project: its name behind the prefix, if that is one; else as near as may be, and a hash.

    A name that ends like a hash gets one too, so that no project can be called what another one's namespace is called.
    """
    return dns_label(f"{prefix}{project}")


def dns_label(text: str, longest: int = LONGEST) -> str:
    """The text if it is a DNS label of that length, else its slug and a hash. Different texts are different labels."""
    if len(text) <= longest and _LABEL.fullmatch(text) and not _HASHED.search(text):
        return text
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return _with_hash(slug, text, longest)


def label_value(text: str) -> str:
    """The text if a label may have it as a value, else as near as may be, and a hash."""
    if len(text) <= LONGEST and (not text or (_VALUE.fullmatch(text) and not _HASHED.search(text))):
        return text
    return _with_hash(re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-_."), text, LONGEST)


def _with_hash(slug: str, text: str, longest: int) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    kept = slug[: longest - _DIGITS - 1].rstrip("-_.")
    return f"{kept}-{digest}" if kept else f"x-{digest}"


def write_members(members: Iterable[AttemptId]) -> str:
    """The attempts of a bundle, all tasks of one array, as its annotation says them: ``7.1 8.1``."""
    return " ".join(f"{member.index}.{member.number}" for member in members)


def attempts_of(metadata: Mapping[str, Any]) -> tuple[AttemptId, ...]:
    """The attempts that an object stands for, in order of their completion index; none for what is not ours."""
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    try:
        if MEMBERS in annotations:
            return tuple(parse_attempt(f"{labels[JOB]}_{one}") for one in annotations[MEMBERS].split())
        return (parse_attempt(labels[ATTEMPT]),)
    except (Invalid, KeyError):
        return ()


def spec_hash(launch: Launch) -> str:
    """What an object is made for, as a checksum: objects of the same one are the same start, asked twice.

    It is of the launch and not of the object, so that a start repeated by a newer Baray, or after the cluster was set up
    anew, still finds its own. What may differ between two such is left out: the walltime, which may have been extended,
    the members told to stop meanwhile, and secrets. A part of the specification counts only if it is not its default.
    """
    spec = _telling(launch.spec)
    spec["resources"].pop("walltime_ms", None)
    bundle = None if launch.bundle is None else [(str(member), _places(p)) for member, p in launch.bundle.members]
    alone = None if bundle else (str(launch.attempt), _places(launch.placements))
    text = json.dumps([spec, launch.flavor, launch.project_id, alone, bundle], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _places(placements: Iterable[Placement]) -> list[tuple[str, tuple[int, ...]]]:
    return [(placement.node, placement.devices) for placement in placements]


def _telling(value: Any) -> Any:
    """The value without what it has by default, so that a field that comes later changes no checksum of before."""
    if is_dataclass(value):
        parts = {field.name: (field, getattr(value, field.name)) for field in fields(value)}
        return {name: _telling(part) for name, (field, part) in parts.items() if part != _default(field)}
    if isinstance(value, tuple | list):
        return [_telling(one) for one in value]
    return value


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
