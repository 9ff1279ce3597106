"""Clusters that are reached over a network: how the centre deals with one, what it finds there, what it keeps there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.accounts import Quota
from domain.fleet import Inventory

SCRATCH = "scratch"  # the volume that every cluster has: empty, and gone with its attempt


@dataclass(frozen=True, slots=True)
class FlavorRule:
    """An administrator's word on what a device of a resource is called, over what would be derived from its node's labels.

    ``label`` and ``value`` limit it to nodes that have them; both empty: all nodes.
    """

    resource: str  # such as nvidia.com/gpu or nvidia.com/mig-1g.10gb
    flavor: str
    label: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How the centre deals with a cluster, as an administrator set it.

    - ``prefix``: what the names of the projects' namespaces begin with.
    - ``flavors``: names for devices, over the derived ones; the first that fits counts.
    - ``registries``: where images may come from, such as ``registry.centre.example/``; empty: anywhere.
      ``digest_only``: only images that are named by digest. ``image``: of jobs that name none; empty: such jobs do not go there.
    - ``helper_image``: of the steps that bring sources and collect outputs (a Python 3.8 or newer, nothing else).
    - ``centre_url``: where pods reach the centre; empty: jobs with sources or outputs do not go there. ``centre_ca``: the certificates
      (PEM) that pods know it by, beside those that the helper image trusts.
    - ``pull_secret``: a Docker config in JSON, given to every project's room. A secret: never shown.
    - ``volumes``: the claim (PVC) in each project's namespace behind each volume's name.
    - ``egress``: blocks of addresses, CIDR or CIDR:port, that jobs may reach beside each other and DNS.
    - ``tolerations``: taints that jobs put up with, ``key``, ``key=value`` or ``key:Effect``.
    - ``priority_class``: of the pods; empty: none. ``runtime_class``: likewise.
    - ``kueue``: mirror quotas to Kueue where it is found. ``exec``: people may open shells in their jobs.
    - ``exec_plugin``: a kubeconfig may start a program of this machine to log in.
    - ``lost_after_ms``: silence after which its attempts are lost; ``give_up_ms``: from then on until those that are
      restartable are given up, and run elsewhere.
    """

    prefix: str = "baray-"
    flavors: tuple[FlavorRule, ...] = ()
    registries: tuple[str, ...] = ()
    digest_only: bool = False
    image: str = ""
    helper_image: str = "docker.io/library/python:3.13-slim"
    centre_url: str = ""
    centre_ca: str = ""
    pull_secret: str = field(default="", repr=False)
    volumes: Mapping[str, str] = field(default_factory=dict)
    egress: tuple[str, ...] = ()
    tolerations: tuple[str, ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    kueue: bool = True
    exec: bool = True
    exec_plugin: bool = False
    lost_after_ms: int = 60_000
    give_up_ms: int = 15 * 60_000


@dataclass(frozen=True, slots=True)
class FoundFlavor:
    """Devices of one kind that were found: the flavor they will be, and where."""

    flavor: str
    resource: str
    product: str  # as the node's label calls it; empty: unlabelled
    milli: int  # thousandths of a GPU that one device is
    nodes: int
    devices: int
    derived: bool  # from labels; False: by a rule of the administrator's


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found of a cluster. It may be added if there is nothing in ``problems``; ``notes`` are worth reading."""

    version: str = ""
    uid: str = ""  # of the cluster itself: one is never added twice
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # permissions, such as ``create jobs.batch``
    skew_ms: int | None = None
    flavors: tuple[FoundFlavor, ...] = ()
    inventory: Inventory = field(default_factory=lambda: Inventory(()))
    kueue: str | None = None  # the served version
    jobset: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster must know of a project to keep a place for it. ``ceilings`` limits devices of a flavor, in milli."""

    project_id: int
    project: str
    tenant: str
    active: bool = True
    ceilings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """All that a cluster mirrors of the centre: the projects' rooms, and the tenants' quotas by (tenant, flavor)."""

    rooms: tuple[Room, ...] = ()
    quotas: Mapping[tuple[str, str], Quota] = field(default_factory=dict)
    millis: Mapping[str, int] = field(default_factory=dict)  # thousandths of a GPU that a device of a flavor is
