"""What the objects of a job must know of the cluster they are for, and what ``build`` answers (driver → here)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.clusters import ClusterConfig
from domain.ids import AttemptId
from k8s.names import SPEC


class Unstartable(Exception):
    """The attempt can never start here. Never leaves this room: the message becomes the attempt's result."""


@dataclass(frozen=True, slots=True)
class Site:
    """- ``origin``: the centre's short id. ``namespace``: of the project.
    - ``resources``: what the flavor's devices are called on each node, such as ``nvidia.com/gpu``; empty for ``cpu``.
    - ``queue``: the LocalQueue that Kueue admits by; None: there is none, and the job starts at once.
    - ``jobset``: whether JobSet is there.
    - ``passes``: by which the pods of each attempt speak to the centre: of the launch's own, or of every member of its
      bundle. Needed where there is a source or outputs. They get into a Secret and nowhere else.
    """

    origin: str
    namespace: str
    config: ClusterConfig
    resources: Mapping[str, str] = field(default_factory=dict)
    queue: str | None = None
    jobset: bool = False
    passes: Mapping[AttemptId, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """The object that runs a launch, and its satellites: to be created after it, as owned by it (see ``owned_by``)."""

    kind: str  # Job or JobSet
    body: dict[str, Any]
    satellites: tuple[dict[str, Any], ...]

    @property
    def name(self) -> str:
        name: str = self.body["metadata"]["name"]
        return name

    @property
    def spec_hash(self) -> str:
        """To be compared with the annotation of an object that has the name already."""
        found: str = self.body["metadata"]["annotations"][SPEC]
        return found


def owned_by(satellite: dict[str, Any], owner: Mapping[str, Any]) -> dict[str, Any]:
    """The satellite as a part of the created ``owner``, with which it goes."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": False,
        "blockOwnerDeletion": False,
    }
    return {**satellite, "metadata": {**satellite["metadata"], "ownerReferences": [reference]}}
