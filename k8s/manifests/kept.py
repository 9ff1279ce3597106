"""What marks the objects of the tenancy, which are kept as they should be (``rooms``, ``admission``, ``kueue`` → here)."""

import hashlib
import json
from typing import Any

from k8s import names

Object = dict[str, Any]

PART = "baray.io/part"  # label: which part of the tenancy an object is; the objects of jobs have none
ROOM, RULES, QUEUES = "room", "rules", "queues"
TENANT = "baray.io/tenant"  # label of a namespace
KEPT = "baray.io/kept"  # annotation: the checksum of what we last made of the object
KEEPS = "baray.io/keeps"  # annotation of a namespace: what we made in it


def part_labels(origin: str, part: str) -> dict[str, str]:
    return {names.MANAGED_BY: names.MANAGER, names.ORIGIN: origin, PART: part}


def stamped(one: Object) -> Object:
    """The object with the checksum of what it says, so that a change of ours is told from one of others'."""
    text = json.dumps(one, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    metadata = one["metadata"]
    return {**one, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), KEPT: digest}}}
