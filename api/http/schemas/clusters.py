"""Shapes of clusters: how one is dealt with, what was found of it, its nodes."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Name, Plain, Shape, Title, Whole
from domain.clusters import ClusterConfig

_USUAL = ClusterConfig()
_MOST = 1_000  # of anything that is listed; the rules say fewer, in better words
KUBECONFIG_CHARACTERS = 2**18

Texts = Annotated[list[Plain], Field(max_length=_MOST)]
Count = Annotated[StrictInt, Field(ge=0, le=2**53)]
Kubeconfig = Annotated[
    Whole,
    Field(
        min_length=1, max_length=KUBECONFIG_CHARACTERS, json_schema_extra={"writeOnly": True},
        description="YAML or JSON with everything in it, no names of files",
    ),
]  # fmt: skip
PullSecret = Annotated[
    Whole,
    Field(
        max_length=65_536, json_schema_extra={"writeOnly": True},
        description="a Docker config in JSON, given to every project's namespace; empty: none",
    ),
]  # fmt: skip


class FlavorRuleShape(Body):
    """What a device of a resource is called; with a label only on nodes that have it."""

    resource: Plain = Field(examples=["nvidia.com/gpu"])
    flavor: Plain = Field(examples=["h100-80gb"])
    label: Plain = ""
    value: Plain = ""


class ConfigShape(Body):
    """How the centre deals with a cluster. What is not named has its default, or stays as it is in a change."""

    prefix: Plain = Field(default=_USUAL.prefix, description="what the names of the projects' namespaces begin with")
    flavors: Annotated[list[FlavorRuleShape], Field(max_length=_MOST)] = Field(
        default_factory=list, description="names of devices over the derived ones; the first that fits counts"
    )
    registries: Texts = Field(
        default_factory=list, description="where images may come from; none: anywhere", examples=[["registry.example/"]]
    )
    digest_only: StrictBool = Field(default=_USUAL.digest_only, description="only images that are named by digest")
    image: Plain = Field(default=_USUAL.image, description="of jobs that name none; empty: such jobs do not go there")
    helper_image: Plain = Field(
        default=_USUAL.helper_image, description="of the steps that bring sources and collect outputs"
    )
    centre_url: Plain = Field(
        default=_USUAL.centre_url, description="where pods reach the centre; empty: no sources and outputs"
    )
    centre_ca: Annotated[str, Field(max_length=1 << 16)] = Field(
        default=_USUAL.centre_ca, description="certificates (PEM) that pods know it by, beside the usual ones"
    )
    volumes: Annotated[dict[Plain, Plain], Field(max_length=_MOST)] = Field(
        default_factory=dict, description="the claim in each project's namespace behind each volume's name"
    )
    egress: Texts = Field(default_factory=list, description="what jobs may reach", examples=[["10.1.0.0/16:443"]])
    tolerations: Texts = Field(default_factory=list, description="taints that jobs put up with", examples=[["gpu"]])
    priority_class: Plain = Field(default=_USUAL.priority_class, description="of the pods; empty: none")
    runtime_class: Plain = Field(default=_USUAL.runtime_class, description="of the pods; empty: none")
    kueue: StrictBool = Field(default=_USUAL.kueue, description="mirror quotas to Kueue where it is found")
    exec: StrictBool = Field(default=_USUAL.exec, description="people may open shells in their jobs")
    exec_plugin: StrictBool = Field(
        default=_USUAL.exec_plugin, description="the kubeconfig may start a program, if the service allows that at all"
    )
    lost_after_ms: Count = Field(
        default=_USUAL.lost_after_ms, description="silence after which what runs there is lost"
    )
    give_up_ms: Count = Field(default=_USUAL.give_up_ms, description="and then until restartable jobs run elsewhere")


class LookIn(Body):
    """A cluster to look at: its kubeconfig, or the service account of the pod that the centre runs in."""

    kubeconfig: Kubeconfig | None = Field(default=None, json_schema_extra={"writeOnly": True})
    context: Annotated[Plain, Field(max_length=500)] | None = Field(
        default=None, description="the kubeconfig's context; else its current one"
    )
    in_cluster: StrictBool = False


class CheckIn(LookIn):
    config: ConfigShape = Field(default_factory=ConfigShape)


class ClusterIn(CheckIn):
    name: Name
    pull_secret: PullSecret = Field(default="", json_schema_extra={"writeOnly": True})


class ClusterPatch(Body):
    state: Plain | None = Field(default=None, examples=["draining"])
    labels: Annotated[dict[Plain, Plain | None], Field(max_length=64)] | None = Field(
        default=None, description="labels to set, null to take away", examples=[{"clearance": "confidential"}]
    )
    config: ConfigShape | None = Field(default=None, description="what is to be dealt with otherwise from now on")
    pull_secret: PullSecret | None = Field(default=None, json_schema_extra={"writeOnly": True})


class AbandonIn(Body):
    reason: Title = Field(examples=["the hall burnt down"])


class AbandonedOut(Shape):
    attempts: int


class NodePatch(Body):
    state: Plain = Field(examples=["drained"])
    reason: Title | None = Field(default=None, description="why it is drained", examples=["fan 3 is broken"])


class FoundFlavorOut(Shape):
    """Devices that were found. ``new``: nobody has named the flavor yet; without a rate, jobs that ask for it are refused."""

    flavor: str
    resource: str
    product: str
    milli: int
    nodes: int
    devices: int
    derived: bool
    new: bool
    rate_su_per_hour: str | None


class ExaminationOut(Shape):
    """What was found of a cluster. It may be used if there are no problems."""

    version: str
    uid: str
    problems: list[str]
    missing: list[str]
    skew_ms: int | None
    nodes: int
    flavors: list[FoundFlavorOut]
    kueue: str | None
    jobset: str | None
    notes: list[str]


class ContactOut(Shape):
    """What it said of itself when it was last examined, since when it does not answer, and what was mended there of late."""

    version: str
    kueue: str | None
    jobset: str | None
    silent_since_ms: int | None
    trouble: str
    drift: list[str]


class NodeOut(Shape):
    name: str
    devices: dict[str, int]
    free: dict[str, int]
    cpus: int
    cpus_free: int
    memory: str
    memory_free: str
    state: str
    reason: str | None
    labels: dict[str, str]


class ClusterOut(Shape):
    """A cluster. ``contact`` is of one that is reached over a network; ``config`` is for those who may change it."""

    name: str
    driver: str
    state: str
    notes: list[str]
    labels: dict[str, str]
    nodes: list[NodeOut]
    version: int
    contact: ContactOut | None
    config: ConfigShape | None
    pull_secret: bool


class AddedOut(Shape):
    """A cluster that was added; the flavors in ``without_rate`` carry no jobs until they have one."""

    cluster: ClusterOut
    examination: ExaminationOut
    without_rate: list[str]
