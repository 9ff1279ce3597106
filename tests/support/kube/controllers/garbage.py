"""The garbage collector, and namespaces: what is made when one comes and what goes with it."""

from tests.support.kube.controllers.base import Controller, World, key_of, set_condition
from tests.support.kube.objects import FOREGROUND, ORPHAN, Obj
from tests.support.kube.store import Change, Key
from tests.support.kube.table import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS, TABLE, Resource, by_kind

Place = tuple[Resource, Key]


class Garbage(Controller):
    """Deletes what has lost all its owners; before their owner what blocks it; lets go of orphans."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._places: dict[str, Place] = {}  # by uid, of all there is
        self._dependents: dict[str, dict[Place, None]] = {}

    def noticed(self, change: Change) -> None:
        place = (change.resource, change.key)
        meta = change.last.obj["metadata"]
        for ref in (change.old.obj["metadata"].get("ownerReferences") or []) if change.old else []:
            self._dependents.get(ref["uid"], {}).pop(place, None)
        if change.new is None:
            self._places.pop(meta["uid"], None)
            for dependent in self._dependents.pop(meta["uid"], {}):
                self.enqueue(dependent)
            for ref in meta.get("ownerReferences") or []:
                if ref["uid"] in self._places:
                    self.enqueue(self._places[ref["uid"]])
            return
        self._places[meta["uid"]] = place
        refs = meta.get("ownerReferences") or []
        for ref in refs:
            self._dependents.setdefault(ref["uid"], {})[place] = None
        if refs or "deletionTimestamp" in meta:
            self.enqueue(place)

    def sync(self, key: Place) -> None:
        resource, where = key
        obj = self.store.get(resource, where)
        if obj is None:
            return
        meta = obj["metadata"]
        refs = meta.get("ownerReferences") or []
        if refs and "deletionTimestamp" not in meta:
            left = [ref for ref in refs if self._there(ref)]
            if not left:
                self.objects.delete(resource, where, policy="Background")
                return
            if len(left) < len(refs):
                self.objects.change(resource, where, lambda new: new["metadata"].update(ownerReferences=left))
        finalizers = meta.get("finalizers") or []
        if "deletionTimestamp" in meta and FOREGROUND in finalizers:
            self._foreground(resource, obj)
        elif "deletionTimestamp" in meta and ORPHAN in finalizers:
            self._orphan(resource, obj)

    def _there(self, ref: Obj) -> bool:
        place = self._places.get(ref["uid"])
        found = by_kind(ref["apiVersion"], ref["kind"])
        return (place is not None and place[1][1] == ref["name"]) or found is None

    def _foreground(self, resource: Resource, obj: Obj) -> None:
        blocked = False
        for place in list(self._dependents.get(obj["metadata"]["uid"], {})):
            dependent = self.store.get(*place)
            if dependent is None:
                continue
            ref = next(r for r in dependent["metadata"]["ownerReferences"] if r["uid"] == obj["metadata"]["uid"])
            others = [r for r in dependent["metadata"]["ownerReferences"] if r is not ref and self._there(r)]
            if others:
                continue
            blocked = blocked or bool(ref.get("blockOwnerDeletion"))
            if "deletionTimestamp" not in dependent["metadata"]:
                deep = bool(self._dependents.get(dependent["metadata"]["uid"]))
                self.objects.delete(*place, policy="Foreground" if deep else "Background")
        if not blocked or not any(self.store.get(*place) for place in self._dependents.get(obj["metadata"]["uid"], {})):
            self._release(resource, obj, FOREGROUND)

    def _orphan(self, resource: Resource, obj: Obj) -> None:
        uid = obj["metadata"]["uid"]

        def edit(new: Obj) -> None:
            new["metadata"]["ownerReferences"] = [
                ref for ref in new["metadata"]["ownerReferences"] if ref["uid"] != uid
            ]

        for place in list(self._dependents.get(uid, {})):
            self.objects.change(*place, edit)
        self._release(resource, obj, ORPHAN)

    def _release(self, resource: Resource, obj: Obj, name: str) -> None:
        def edit(new: Obj) -> None:
            new["metadata"]["finalizers"] = [entry for entry in new["metadata"].get("finalizers", []) if entry != name]

        self.objects.change(resource, key_of(obj), edit)


class Namespaces(Controller):
    """Gives each its default service account; empties and ends those that are deleted."""

    def noticed(self, change: Change) -> None:
        if change.resource is NAMESPACES:
            self.enqueue(change.key[1])
        elif change.new is None and change.key[0]:
            self.enqueue(change.key[0])

    def sync(self, key: str) -> None:
        namespace = self.store.get(NAMESPACES, ("", key))
        if namespace is None:
            return
        if "deletionTimestamp" not in namespace["metadata"]:
            self._furnish(key)
            return
        held = [(entry, obj) for entry in TABLE if entry.namespaced for obj in self.store.all(entry, key)]
        for entry, obj in held:
            if "deletionTimestamp" not in obj["metadata"]:
                self.objects.delete(entry, key_of(obj), policy="Background")
        left = [(entry, obj) for entry in TABLE if entry.namespaced for obj in self.store.all(entry, key)]
        if not left:
            self.objects.change(NAMESPACES, ("", key), lambda new: new["spec"].update(finalizers=[]))
            return
        told = ", ".join(
            sorted(
                {f"{entry.title} has {sum(1 for e, _ in left if e is entry)} resource instances" for entry, _ in left}
            )
        )
        message = f"Some resources are remaining: {told}"

        def edit(new: Obj) -> None:
            conditions = new["status"].setdefault("conditions", [])
            set_condition(
                conditions, "NamespaceContentRemaining", "True", "SomeResourcesRemain", message, self.world.now()
            )

        self.objects.change(NAMESPACES, ("", key), edit)

    def _furnish(self, name: str) -> None:
        if self.store.get(SERVICEACCOUNTS, (name, "default")) is None:
            self.objects.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": name}})
        if self.store.get(CONFIGMAPS, (name, "kube-root-ca.crt")) is None:
            text = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"
            self.objects.create(
                CONFIGMAPS, {"metadata": {"name": "kube-root-ca.crt", "namespace": name}, "data": {"ca.crt": text}}
            )
