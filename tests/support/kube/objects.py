"""Writes: every object that is made, changed or deleted goes through here, whoever asks.

What a server does with a request once it knows who asks and what for: names, namespaces, defaults, checks, conflicts,
finalizers. Callers hold the store's lock.
"""

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lifecycle.ports import Clock
from tests.support.kube import checks, defaults, failure, schema
from tests.support.kube.fields import Ownership
from tests.support.kube.store import Key, Store
from tests.support.kube.table import ADMISSIONS, JOBS, NAMESPACES, PODS, QUOTAS, SERVICES, Resource

Obj = dict[str, Any]
Admission = Callable[[Resource, Obj, Obj | None], None]

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LARGEST = 1_500_000  # bytes of one object that etcd takes
FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def copied(value: Any) -> Any:
    """As ``copy.deepcopy``, of what JSON can say, and much faster."""
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    return value


def stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """``mutations`` may change an object before it is looked at; ``admissions`` may refuse one that is right in itself."""

    def __init__(self, store: Store, clock: Clock, seed: int = 0) -> None:
        self.store, self.clock = store, clock
        self.mutations: list[Admission] = []
        self.admissions: list[Admission] = []
        self.ownership = Ownership()
        self._random = random.Random(seed)

    def now(self) -> str:
        return stamp(self.clock.now_ms())

    def suffix(self) -> str:
        return "".join(self._random.choice(_LETTERS) for _ in range(5))

    def uid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def create(
        self, resource: Resource, body: Obj, *, manager: str = "", applied: list[Obj] | None = None, dry: bool = False
    ) -> Obj:
        """``body`` was read into its shape and has its namespace; it becomes the object."""
        meta = body["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise failure.invalid(
                    resource, "", [failure.required("metadata.name", "name or generateName is required")]
                )
            meta["name"] = meta["generateName"][:58] + self.suffix()
        if meta.get("resourceVersion"):
            raise failure.Failure(500, "", "resourceVersion should not be set on objects to be created")
        key = (meta.get("namespace", ""), meta["name"])
        self._room(resource, key)
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"):
            meta.pop(field, None)
        meta |= {"uid": self.uid(), "creationTimestamp": self.now()}
        if resource.generation:
            meta["generation"] = 1
        if resource.status:
            body.pop("status", None)
        self._fill(resource, body)
        for mutate in self.mutations:
            mutate(resource, body, None)
        if causes := checks.check(resource, body, None):
            raise failure.invalid(resource, meta["name"], causes)
        for admit in self.admissions:
            admit(resource, body, None)
        if self.store.get(resource, key) is not None:
            raise failure.exists(resource, meta["name"])
        if applied is not None:
            meta["managedFields"] = applied
        elif manager:
            self.ownership.updated(resource, body, None, manager, "", self.now())
        return self._keep(resource, body, dry=dry)

    def _fill(self, resource: Resource, body: Obj) -> None:
        body["apiVersion"], body["kind"] = resource.group_version, resource.kind
        defaults.fill(resource, body)
        if resource in (JOBS, QUOTAS, ADMISSIONS):
            body["status"] = {}
        if resource is SERVICES and "clusterIP" not in body["spec"]:
            body["spec"]["clusterIP"] = f"10.0.0.{self._random.randint(2, 254)}"
        if resource is SERVICES:
            body["spec"]["clusterIPs"] = [body["spec"]["clusterIP"]]

    def _room(self, resource: Resource, key: Key) -> None:
        """Raise Failure unless the namespace takes new objects."""
        if not resource.namespaced:
            return
        namespace = self.store.get(NAMESPACES, ("", key[0]))
        if namespace is None:
            raise failure.not_found(NAMESPACES, key[0])
        if "deletionTimestamp" in namespace["metadata"]:
            why = f"unable to create new content in namespace {key[0]} because it is being terminated"
            message = f"namespace {key[0]} is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
            raise failure.forbidden(resource, key[1], why, [cause])

    def update(
        self,
        resource: Resource,
        key: Key,
        body: Obj,
        *,
        part: str = "",
        manager: str = "",
        applied: list[Obj] | None = None,
        dry: bool = False,
    ) -> Obj:
        """Put ``body`` in the place of the object. ``part`` is ``status`` for that subresource.

        ``applied``: managedFields that server-side apply worked out, instead of those of a plain update.
        """
        old = self.store.get(resource, key)
        if old is None:
            raise failure.not_found(resource, key[1])
        new = self._merged(resource, old, body, part)
        if not part:
            self._fill_changed(resource, new)
        if part != "status":
            for mutate in self.mutations:
                mutate(resource, new, old)
            if causes := [*checks.check(resource, new, old), *_gone_finalizers(new, old)]:
                raise failure.invalid(resource, key[1], causes)
            for admit in self.admissions:
                admit(resource, new, old)
        if resource.generation and not part and _without(new) != _without(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        if applied is not None:
            new["metadata"]["managedFields"] = applied
        elif manager:
            self.ownership.updated(resource, new, old, manager, part, self.now())
        if _same(new, old):
            return old
        return self._keep(resource, new, dry=dry)

    def _merged(self, resource: Resource, old: Obj, body: Obj, part: str) -> Obj:
        """``body`` with what it may not change taken from the old object. Raises Failure for stale versions."""
        given, was = body["metadata"], old["metadata"]
        name = was["name"]
        if given.get("uid", was["uid"]) != was["uid"]:
            path = "/".join(part for part in (resource.plural, was.get("namespace", ""), name) if part)
            why = f"StorageError: invalid object, Code: 4, Key: /registry/{path}, ResourceVersion: 0, AdditionalErrorMsg: "
            why += f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {was['uid']}"
            raise failure.conflict(resource, name, why)
        if given.get("resourceVersion") not in (None, "", "0", was["resourceVersion"]):
            raise failure.conflict(resource, name)
        new = copied(body)
        new["apiVersion"], new["kind"] = resource.group_version, resource.kind
        kept = (
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "namespace",
            "name",
            "generateName",
            "resourceVersion",
        )
        new["metadata"] = {k: v for k, v in new["metadata"].items() if k not in kept or k == "generateName"}
        new["metadata"] |= {k: was[k] for k in kept if k in was}
        if "managedFields" not in new["metadata"] and "managedFields" in was:
            new["metadata"]["managedFields"] = was["managedFields"]
        if part == "status":
            if resource is PODS:
                defaults.pod_status(new.get("status", {}))
            return {
                **old,
                "status": new.get("status", {}),
                "metadata": {**was, "managedFields": was.get("managedFields", [])},
            }
        if resource.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        return new

    def _fill_changed(self, resource: Resource, new: Obj) -> None:
        if resource in (PODS, JOBS, SERVICES, NAMESPACES):
            status = new.get("status")
            defaults.fill(resource, new)
            if status is not None:
                new["status"] = status
            return
        defaults.fill(resource, new)

    def _keep(self, resource: Resource, obj: Obj, *, dry: bool, bounded: bool = True) -> Obj:
        meta = obj["metadata"]
        for field in [k for k, v in meta.items() if v in (None, "", {}, [])]:
            del meta[field]
        obj = {"kind": obj.pop("kind"), "apiVersion": obj.pop("apiVersion"), **obj}
        if dry:
            return obj
        if bounded and _size(obj) > _LARGEST:
            raise failure.Failure(500, "", "etcdserver: request is too large")
        if "deletionTimestamp" in meta and not meta.get("finalizers") and not self._lingers(resource, obj):
            key = (meta.get("namespace", ""), meta["name"])
            return self.store.remove(resource, key, obj).obj
        return self.store.put(resource, obj).obj

    def _lingers(self, resource: Resource, obj: Obj) -> bool:
        """Whether it stays although it is being deleted and has no finalizers: a pod whose kubelet was not done."""
        if resource is NAMESPACES:
            return bool(obj.get("spec", {}).get("finalizers"))
        return resource is PODS and obj["metadata"].get("deletionGracePeriodSeconds", 0) > 0

    def change(self, resource: Resource, key: Key, edit: Callable[[Obj], None]) -> Obj | None:
        """For controllers: edit a copy, status and all, without checks. None: it is not there."""
        old = self.store.get(resource, key)
        if old is None:
            return None
        new = copied(old)
        edit(new)
        if _same(new, old):
            return old
        if resource.generation and _without(new) != _without(old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        return self._keep(resource, new, dry=False, bounded=False)

    def delete(
        self, resource: Resource, key: Key, *, policy: str | None = None, grace: int | None = None,
        uid: str | None = None, version: str | None = None, dry: bool = False,
    ) -> tuple[Obj, bool]:  # fmt: skip
        """The object as it is now, and whether it is gone."""
        old = self.store.get(resource, key)
        if old is None:
            raise failure.not_found(resource, key[1])
        meta = old["metadata"]
        if uid is not None and uid != meta["uid"]:
            why = f"the UID in the precondition ({uid}) does not match the UID in record ({meta['uid']}). The object might have been deleted and then recreated"
            raise failure.conflict(resource, key[1], why, kind=resource.kind)
        if version is not None and version != meta["resourceVersion"]:
            why = f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({meta['resourceVersion']}). The object might have been modified"
            raise failure.conflict(resource, key[1], why, kind=resource.kind)
        if dry:
            return old, False
        new = copied(old)
        self._mark(resource, new, policy, grace)
        stays = new["metadata"].get("finalizers") or self._lingers(resource, new)
        if not stays:
            return self.store.remove(resource, key, new).obj, True
        if _same(new, old):
            return old, False
        return self.store.put(resource, new).obj, False

    def _mark(self, resource: Resource, new: Obj, policy: str | None, grace: int | None) -> None:
        meta = new["metadata"]
        finalizers = list(meta.get("finalizers", []))
        if policy is None and resource is JOBS and not {FOREGROUND, ORPHAN} & set(finalizers):
            policy = "Orphan"  # Jobs, alone among what is here, leave their pods behind unless told otherwise
        if policy is not None:
            finalizers = [name for name in finalizers if name not in (FOREGROUND, ORPHAN)]
        if policy in ("Foreground", "Orphan"):
            finalizers.append(FOREGROUND if policy == "Foreground" else ORPHAN)
        meta["finalizers"] = finalizers
        if not finalizers:
            del meta["finalizers"]
        seconds = 0
        if resource is PODS:
            wanted = new["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
            unstarted = not new["spec"].get("nodeName") or new["status"].get("phase") in ("Succeeded", "Failed")
            seconds = 0 if unstarted else max(0, wanted)
        if "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = stamp(self.clock.now_ms() + seconds * 1000)
            if resource is not NAMESPACES:
                meta["deletionGracePeriodSeconds"] = seconds
            if resource.generation:
                meta["generation"] = meta.get("generation", 1) + 1
        elif seconds < meta.get("deletionGracePeriodSeconds", 0):
            meta["deletionTimestamp"] = stamp(self.clock.now_ms() + seconds * 1000)
            meta["deletionGracePeriodSeconds"] = seconds
        if resource is NAMESPACES:
            new["status"] = {**new.get("status", {}), "phase": "Terminating"}


def _gone_finalizers(new: Obj, old: Obj) -> list[failure.Cause]:
    if "deletionTimestamp" not in old["metadata"]:
        return []
    added = set(new["metadata"].get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
    if not added:
        return []
    listed = ", ".join(f'"{name}"' for name in sorted(added))
    why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
    return [failure.banned("metadata.finalizers", why)] * 2  # a real server looks twice


def _without(obj: Obj) -> Obj:
    return {k: v for k, v in obj.items() if k not in ("metadata", "status")}


def _same(new: Obj, old: Obj) -> bool:
    """But for times in managedFields."""
    return _bare(new) == _bare(old)


def _bare(obj: Obj) -> Obj:
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields" and v not in (None, {}, [])}
    entries = [{k: v for k, v in entry.items() if k != "time"} for entry in obj["metadata"].get("managedFields") or []]
    return {**obj, "metadata": {**meta, "managedFields": entries}}


def _size(obj: Any) -> int:
    """About what its JSON takes."""
    if isinstance(obj, dict):
        return sum(len(key) + 4 + _size(value) for key, value in obj.items())
    if isinstance(obj, list):
        return sum(1 + _size(value) for value in obj)
    return len(obj) + 2 if isinstance(obj, str) else 5


def read_body(resource: Resource, body: Any) -> tuple[Obj, list[str]]:
    """The body in its shape, and fields nobody knows. Raises Failure."""
    if not isinstance(body, dict):
        raise failure.bad("the request body is not an object")
    given = body.get("apiVersion", resource.group_version), body.get("kind", resource.kind)
    if given != (resource.group_version, resource.kind):
        raise failure.bad(
            f'{given[1]} in version "{given[0]}" cannot be handled as a {resource.kind}: '
            f"converting ({given[0]}.{given[1]}) to (core.{resource.kind}): unknown conversion"
        )
    reader = schema.Reader(custom=resource.custom)
    try:
        read = reader.read(schema.definition(resource.schema), body)
    except schema.Mismatch as error:
        message = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        path = re.sub(r"\.\w+$", "", error.path) if error.inside_map else error.path
        more = (
            f"json: cannot unmarshal {error.found} into Go struct field {resource.kind}.{path} of type {error.wanted}"
        )
        if error.wanted == "base64":
            more = "illegal base64 data at input byte 0"
        raise failure.bad(message + more) from error
    read.setdefault("metadata", {})
    return read, reader.unknown
