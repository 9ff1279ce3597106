"""Keeps what the centre has on a cluster beside jobs as it should be: rooms, rules, and Kueue's queues (driver → here).

All of it is listed by the centre's label and compared with what ``manifests`` says; only what differs is written, by
server-side apply. What others altered is mended and told. No namespace is ever deleted, and none is taken over that is
somebody else's.
"""

from collections.abc import Iterable
from threading import Lock

from domain.clusters import ClusterConfig, Room, Tenancy
from domain.errors import Unavailable
from k8s import names
from k8s.client import FIELD_MANAGER, Client
from k8s.drift import changer, correction, differences
from k8s.errors import ClusterError, Denied, Exists, Missing, Outdated, Unprocessable
from k8s.manifests import kueue
from k8s.manifests.admission import rules
from k8s.manifests.kept import KEEPS, KEPT, PART, QUEUES, ROOM, RULES, Object
from k8s.manifests.rooms import closed, room
from k8s.nodes import NOTHING, Fleet

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ResourceQuota": "/api/v1/resourcequotas",
    "LimitRange": "/api/v1/limitranges",
    "ServiceAccount": "/api/v1/serviceaccounts",
    "Secret": "/api/v1/secrets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "ResourceFlavor": f"/apis/{kueue.VERSION}/resourceflavors",
    "ClusterQueue": f"/apis/{kueue.VERSION}/clusterqueues",
    "LocalQueue": f"/apis/{kueue.VERSION}/localqueues",
}
_IN_ROOMS = ("ResourceQuota", "LimitRange", "ServiceAccount", "Secret", "NetworkPolicy")
_WORDS = {
    "Namespace": "namespace",
    "ResourceQuota": "quota",
    "LimitRange": "limits",
    "ServiceAccount": "service account",
    "Secret": "pull secret",
    "NetworkPolicy": "network policy",
    "ValidatingAdmissionPolicy": "admission policy",
    "ValidatingAdmissionPolicyBinding": "binding of the admission policy",
    "ResourceFlavor": "resource flavor",
    "ClusterQueue": "cluster queue",
    "LocalQueue": "local queue",
}
_WRITES_MOST = 500  # in one round; the next goes on from there
_USER = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

Live = dict[tuple[str, str, str], Object]  # by kind, namespace and name


class Housekeeper:
    """One for each cluster; its calls may come from several threads."""

    def __init__(self, *, client: Client, config: ClusterConfig, origin: str) -> None:
        self._client = client
        self._config = config
        self._origin = origin
        self._lock = Lock()
        self._tenancy = Tenancy()
        self._fleet: Fleet = NOTHING
        self._maker = ""
        self._kueue = False
        self._looked = self._ruled = False
        self._ready: set[str] = set()  # projects whose rooms were seen to be there
        self._made: set[tuple[str, str]] = set()  # rules and queues that were there
        self._standing: set[str] = set()  # what was said already, and still is so
        self._writes = 0

    @property
    def queue(self) -> str | None:
        """The LocalQueue of jobs, if Kueue guards the cluster. Known once ``ensure`` or ``tend`` was through."""
        return names.LOCAL_QUEUE if self._kueue else None

    def ensure(self, project_id: int, project: str) -> None:
        """The project has a room, before its first job. Free once it was seen. Raises Unavailable."""
        if project in self._ready:
            return
        with self._lock:
            try:
                self._look()
                if not self._ruled:
                    self._keep_rules()
                known = (one for one in self._tenancy.rooms if one.project == project)
                self._open(next(known, Room(project_id, project, "")))
            except ClusterError as error:
                raise _unavailable(error) from error

    def doubt(self, project: str) -> None:
        """Its room may be gone: it was not found."""
        self._ready.discard(project)

    def tend(self, tenancy: Tenancy, fleet: Fleet) -> tuple[str, ...]:
        """All of it as it should be, as far as one round goes; what others altered, in sentences. Raises Unavailable."""
        with self._lock:
            if fleet.supplies:
                self._fleet = fleet
            elif not self._fleet.supplies:  # or quotas would forget their devices for a while
                raise Unavailable("The cluster's nodes are not known yet.")
            self._tenancy, self._writes, self._looked = tenancy, 0, False
            standing: set[str] = set()
            try:
                self._look()
                said = [*self._keep_rules(standing), *self._keep_queues(standing), *self._keep_rooms(standing)]
            except ClusterError as error:
                raise _unavailable(error) from error
            new = sorted(standing - self._standing)
            self._standing = standing
            return (*said, *new)

    # What the cluster is.

    def _look(self) -> None:
        if self._looked:
            return
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        found = self._client.create(_USER, review)
        self._maker = str(found.get("status", {}).get("userInfo", {}).get("username", ""))
        self._kueue = self._config.kueue and self._client.get(f"/apis/{kueue.VERSION}") is not None
        self._looked = True

    # Rules and queues: of the cluster as a whole.

    def _keep_rules(self, standing: set[str] | None = None) -> list[str]:
        wanted = rules(self._origin, self._config, self._maker)
        live = self._list(("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"), RULES)
        said = self._keep_all(wanted, live, standing if standing is not None else set())
        self._ruled = True
        return said

    def _keep_queues(self, standing: set[str]) -> list[str]:
        if not self._kueue or not self._fleet.supplies:
            return []
        tenancy = self._tenancy
        wanted = kueue.queues(tenancy.rooms, tenancy.quotas, tenancy.millis, self._fleet.supplies, self._origin)
        live = self._list(("ResourceFlavor", "ClusterQueue"), QUEUES)
        said = self._keep_all(wanted, live, standing)
        for kind, _, name in sorted(live.keys() - {_key(one) for one in wanted}):  # ClusterQueues before flavors
            if not live[kind, "", name]["metadata"].get("deletionTimestamp"):
                self._delete(kind, "", name)
            self._made.discard((kind, name))
        return said

    def _keep_all(self, wanted: Iterable[Object], live: Live, standing: set[str]) -> list[str]:
        said = []
        for want in wanted:
            key = want["kind"], want["metadata"]["name"]
            said += self._settle(want, live.get(_key(want)), key in self._made, standing)
            self._made.add(key)
        return said

    # Rooms.

    def _keep_rooms(self, standing: set[str]) -> list[str]:
        live = self._list(("Namespace", *_IN_ROOMS, *(("LocalQueue",) if self._kueue else ())), ROOM)
        there = {name for kind, _, name in live if kind == "Namespace"}
        kept: set[str] = set()
        said: list[str] = []
        inside: dict[str, Live] = {}
        for key, found in live.items():
            inside.setdefault(key[1] or key[2], {})[key] = found
        for one in self._tenancy.rooms:
            name = names.namespace(self._config.prefix, one.project)
            kept.add(name)
            if self._writes < _WRITES_MOST:
                said += self._keep_room(one, inside.get(name, {}), standing)
        if self._tenancy.rooms:
            for name in sorted(there - kept):
                said += self._close(live["Namespace", "", name], live, standing)
        return said

    def _keep_room(self, one: Room, live: Live, standing: set[str]) -> list[str]:
        first, *others = self._wanted(one)
        namespace, said = live.get(_key(first)), []
        if namespace is None:
            if gone := one.project in self._ready:
                said.append(f"The {_what(first)} was deleted by somebody: made again.")
            self._ready.discard(one.project)
            namespace, created = self._claim(first)
            said = said if created and gone else []
        if obstacle := self._obstacle(namespace):
            standing.add(obstacle)
            self._ready.discard(one.project)
            return []
        made = _annotation(namespace, KEEPS).split()
        wanted = {_key(want) for want in others}
        for want in others:
            known = f"{want['kind'].lower()}/{want['metadata']['name']}" in made
            said += self._settle(want, live.get(_key(want)), known, standing)
        for kind, inside, name in sorted(live.keys() - wanted - {_key(first)}):
            self._delete(kind, inside, name)  # such as a way out that is no longer allowed
        said += self._settle(first, namespace, False, standing)
        self._ready.add(one.project)
        return said

    def _open(self, one: Room) -> None:
        """A room that is needed now. What is inside of one that was there is looked at in the next round."""
        if self._kueue and not one.tenant and one.project not in {known.project for known in self._tenancy.rooms}:
            raise Unavailable(f"The cluster was not told yet whose project {one.project[:80]} is.")
        first, *others = self._wanted(one)
        namespace = self._client.get(_path(first))
        if namespace is None:
            namespace, _ = self._claim(first)
        if obstacle := self._obstacle(namespace):
            raise Unavailable(obstacle)
        settled = _annotation(namespace, KEPT) == _annotation(first, KEPT)
        if not settled and (one.tenant or not _annotation(namespace, KEEPS)):
            standing: set[str] = set()
            for want in (*others, first):
                self._settle(want, None if want is not first else namespace, False, standing)
            if standing:
                raise Unavailable(min(standing))
        self._ready.add(one.project)

    def _wanted(self, one: Room) -> tuple[Object, ...]:
        queue = kueue.local_queue(one, self._origin) if self._kueue and one.tenant else None
        return room(one, self._config, self._origin, self._fleet.supplies, self._tenancy.millis, queue)

    def _claim(self, first: Object) -> tuple[Object, bool]:
        """The namespace as it is, or made, and whether it was. What it keeps is noted on it once that is there."""
        there = self._client.get(_path(first))
        if there is not None:
            return there, False
        metadata = {**first["metadata"], "annotations": {names.ORIGIN: self._origin}}
        self._writes += 1
        try:
            return self._client.create(
                _PATHS["Namespace"], {**first, "metadata": metadata}, fieldManager=FIELD_MANAGER
            ), True
        except Exists:
            return self._client.get(_path(first)) or first, False

    def _obstacle(self, namespace: Object) -> str:
        """Why a namespace cannot be a room; empty if it can."""
        metadata = namespace["metadata"]
        name = metadata["name"]
        if self._origin not in (_annotation(namespace, names.ORIGIN), (metadata.get("labels") or {}).get(names.ORIGIN)):
            return (
                f"There is a namespace {name} on the cluster that this centre did not make, so its project has no room: "
                "remove it, or give the cluster another prefix."
            )
        if metadata.get("deletionTimestamp"):
            return f"Somebody deleted the namespace {name}: its room is made again when it is gone."
        return ""

    def _close(self, namespace: Object, live: Live, standing: set[str]) -> list[str]:
        """A room of no project that the centre knows takes nothing more. It is left to people to remove it."""
        if namespace["metadata"].get("deletionTimestamp"):
            return []
        label = (namespace["metadata"].get("labels") or {}).get(names.PROJECT, "")
        want = closed(namespace["metadata"]["name"], label, self._origin, self._fleet.supplies)
        return self._settle(want, live.get(_key(want)), False, standing)

    # Reading and writing.

    def _list(self, kinds: Iterable[str], part: str) -> Live:
        selector = f"{names.ORIGIN}={self._origin},{PART}={part}"
        live: Live = {}
        for kind in kinds:
            # Of Secrets we may see those of one name, and have no business with others.
            name = {"fieldSelector": f"metadata.name={names.PULL_SECRET}"} if kind == "Secret" else {}
            for one in self._client.list(_PATHS[kind], labelSelector=selector, **name).items:
                live[kind, one["metadata"].get("namespace", ""), one["metadata"]["name"]] = one
        return live

    def _settle(self, want: Object, have: Object | None, known: bool, standing: set[str]) -> list[str]:
        """Bring one object to be as it should; a sentence if it was altered by others, and not by us."""
        wrong = differences(want, have) if have is not None else []
        if have is not None and not wrong:
            return []
        what = _what(want)
        try:
            now = self._write(want, have)
        except ClusterError as error:
            if not isinstance(error, _ITS_OWN) and error.code != 500:  # a webhook of others' is away
                raise
            standing.add(f"The {what} is not as it should be, and cannot be made so: {error.message}")
            return []
        if left := differences(want, now):
            standing.add(f"The {what} does not stay as it should be: {'.'.join(left[0])} is set by others.")
            return []
        if have is None:
            return [f"The {what} was deleted by somebody: made again."] if known else []
        ours = _annotation(have, KEPT) == _annotation(want, KEPT)
        return [f"The {what} was changed by {changer(have, wrong)}: mended."] if ours else []

    def _write(self, want: Object, have: Object | None) -> Object:
        self._writes += 1
        path = _path(want)
        if want["kind"] == "LocalQueue" and ("spec", "clusterQueue") in differences(want, have or want):
            self._client.delete(path)  # where it leads to can never be changed
        now = self._client.apply(path, want)
        if patch := correction(want, now):
            now = self._client.merge(path, patch, fieldManager=FIELD_MANAGER)
        return now

    def _delete(self, kind: str, namespace: str, name: str) -> None:
        self._writes += 1
        self._client.delete(_where(kind, namespace, name))


_ITS_OWN = (Denied, Exists, Missing, Outdated, Unprocessable)  # errors that are about one object


def _key(one: Object) -> tuple[str, str, str]:
    return one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]


def _path(one: Object) -> str:
    return _where(*_key(one))


def _where(kind: str, namespace: str, name: str) -> str:
    root, _, plural = _PATHS[kind].rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}/{name}" if namespace else f"{root}/{plural}/{name}"


def _what(one: Object) -> str:
    kind, namespace, name = _key(one)
    if not namespace:
        return f"{_WORDS[kind]} {name}"
    called = f" {name}" if kind in {"NetworkPolicy", "ServiceAccount"} else ""
    return f"{_WORDS[kind]}{called} of namespace {namespace}"


def _annotation(one: Object, key: str) -> str:
    return str((one["metadata"].get("annotations") or {}).get(key, ""))


def _unavailable(error: ClusterError) -> Unavailable:
    return Unavailable(f"The cluster cannot keep what projects need: {error.message}")
