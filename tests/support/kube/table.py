"""Every resource the stand-in serves, as a table: what it is called, where it lives, what shape it has."""

from dataclasses import dataclass

_ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """``schema`` names the definition of its shape. ``status``: the subresource exists, and plain writes leave it alone."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    schema: str = ""
    status: bool = False
    generation: bool = False  # counts changes of the spec
    custom: bool = False  # of a custom resource definition, which may be absent
    short: tuple[str, ...] = ()
    verbs: tuple[str, ...] = _ALL

    @property
    def group_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def title(self) -> str:
        """As messages name it: ``jobs.batch``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def kind_title(self) -> str:
        """As messages of invalid objects name it: ``Job.batch``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind


_CORE = "io.k8s.api.core.v1."
_KUEUE = "kueue.x-k8s.io"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"


def _core(plural: str, kind: str, **more: object) -> Resource:
    return Resource("", "v1", plural, kind, schema=_CORE + kind, **more)  # type: ignore[arg-type]


def _kueue(plural: str, kind: str, **more: object) -> Resource:
    more = {"status": True, **more}
    return Resource(_KUEUE, "v1beta2", plural, kind, schema=f"kueue.{kind}", generation=True, custom=True, **more)  # type: ignore[arg-type]


NAMESPACES = _core("namespaces", "Namespace", namespaced=False, status=True, short=("ns",))
NODES = _core("nodes", "Node", namespaced=False, status=True, short=("no",))
PODS = _core("pods", "Pod", status=True, short=("po",), generation=True)
SERVICES = _core("services", "Service", status=True, short=("svc",))
SECRETS = _core("secrets", "Secret")
CONFIGMAPS = _core("configmaps", "ConfigMap", short=("cm",))
SERVICEACCOUNTS = _core("serviceaccounts", "ServiceAccount", short=("sa",))
EVENTS = _core("events", "Event", short=("ev",))
QUOTAS = _core("resourcequotas", "ResourceQuota", status=True, short=("quota",))
LIMITS = _core("limitranges", "LimitRange", short=("limits",))
CLAIMS = _core("persistentvolumeclaims", "PersistentVolumeClaim", status=True, short=("pvc",))
JOBS = Resource("batch", "v1", "jobs", "Job", schema="io.k8s.api.batch.v1.Job", status=True, generation=True)
POLICIES = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", schema="io.k8s.api.networking.v1.NetworkPolicy",
    generation=True, short=("netpol",),
)  # fmt: skip
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", schema="io.k8s.api.coordination.v1.Lease")
ROLES = Resource(_RBAC, "v1", "roles", "Role", schema="io.k8s.api.rbac.v1.Role")
BINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding", schema="io.k8s.api.rbac.v1.RoleBinding")
CLUSTERROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", False, "io.k8s.api.rbac.v1.ClusterRole")
CLUSTERBINDINGS = Resource(
    _RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False, "io.k8s.api.rbac.v1.ClusterRoleBinding"
)
ADMISSIONS = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", False,
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy", status=True, generation=True,
)  # fmt: skip
ADMISSION_BINDINGS = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", False,
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding", generation=True,
)  # fmt: skip
RUNTIMECLASSES = Resource(
    "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False, "io.k8s.api.node.v1.RuntimeClass"
)
PRIORITIES = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, "io.k8s.api.scheduling.v1.PriorityClass",
    generation=True, short=("pc",),
)  # fmt: skip
REVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False,
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview", verbs=("create",),
)  # fmt: skip
WHOAMI = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False,
    "io.k8s.api.authentication.v1.SelfSubjectReview", verbs=("create",),
)  # fmt: skip
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition", status=True, generation=True,
    short=("crd", "crds"),
)  # fmt: skip
QUEUES = _kueue("clusterqueues", "ClusterQueue", namespaced=False, short=("cq",))
LOCAL_QUEUES = _kueue("localqueues", "LocalQueue", short=("lq",))
FLAVORS = _kueue("resourceflavors", "ResourceFlavor", namespaced=False, status=False, short=("flavor", "flavors", "rf"))
COHORTS = _kueue("cohorts", "Cohort", namespaced=False)
WORKLOADS = _kueue("workloads", "Workload", short=("kwl",))
JOBSETS = Resource(
    "jobset.x-k8s.io",
    "v1alpha2",
    "jobsets",
    "JobSet",
    schema="jobset.JobSet",
    status=True,
    generation=True,
    custom=True,
)

TABLE = (
    NAMESPACES, NODES, PODS, SERVICES, SECRETS, CONFIGMAPS, SERVICEACCOUNTS, EVENTS, QUOTAS, LIMITS, CLAIMS, JOBS,
    POLICIES, LEASES, ROLES, BINDINGS, CLUSTERROLES, CLUSTERBINDINGS, ADMISSIONS, ADMISSION_BINDINGS, RUNTIMECLASSES,
    PRIORITIES, REVIEWS, WHOAMI, CRDS, QUEUES, LOCAL_QUEUES, FLAVORS, COHORTS, WORKLOADS, JOBSETS,
)  # fmt: skip

_BY_PATH = {(entry.group, entry.version, entry.plural): entry for entry in TABLE}
_BY_KIND = {(entry.group, entry.kind): entry for entry in TABLE}


def by_path(group: str, version: str, plural: str) -> Resource | None:
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """Of the group of ``api_version``, whatever its version."""
    return _BY_KIND.get((api_version.rpartition("/")[0], kind))
