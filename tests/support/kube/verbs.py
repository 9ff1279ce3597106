"""Reads a request into what it asks for, and does it: paths, query parameters, content types, verbs."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from tests.support.kube import failure, patches, schema, selecting
from tests.support.kube.objects import Obj, Objects, read_body
from tests.support.kube.store import Key, Store, Version
from tests.support.kube.table import PODS, Resource
from tests.support.kube.watching import Tampering, Watch
from tests.support.kube.web import Reply, Request

_COMMON = {"pretty", "timeout"}
_WRITE = {"dryRun", "fieldManager", "fieldValidation"}
_LIST = {
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "timeoutSeconds",
}
_PARAMS = {
    "get": {"resourceVersion"},
    "list": _LIST,
    "watch": _LIST | {"watch", "allowWatchBookmarks", "sendInitialEvents"},
    "create": _WRITE,
    "update": _WRITE,
    "patch": _WRITE | {"force"},
    "delete": {"dryRun", "gracePeriodSeconds", "propagationPolicy", "orphanDependents"},
    "deletecollection": _LIST | {"dryRun", "gracePeriodSeconds", "propagationPolicy"},
}
_PATCHES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)
_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read. ``name`` is empty for a collection, ``part`` names a subresource."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    part: str
    query: dict[str, str]
    kind: str = ""  # of the body
    body: bytes = field(default=b"", repr=False)
    agent: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def manager(self) -> str:
        return self.query.get("fieldManager") or self.agent or "unknown"

    @property
    def dry(self) -> bool:
        return self.query.get("dryRun") == "All"


class Strange(Exception):
    """A request that the stand-in does not understand, though a real server may: for the test to see."""


def read(request: Request, resource: Resource, rest: list[str]) -> Asked:
    """``rest`` is the path after the group's version. Raises Failure, Strange."""
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    part = "/".join(rest[2:])
    watching = request.query.get("watch", "") in ("true", "1")
    verbs = {
        "GET": "watch" if watching and not name else "get" if name else "list",
        "POST": "create",
        "PUT": "update",
        "PATCH": "patch",
        "DELETE": "delete" if name else "deletecollection",
    }
    verb = verbs.get(request.method)
    if (
        verb is None
        or verb not in resource.verbs
        or (verb == "create" and bool(name) and not part)
        or (verb in ("update", "patch") and not name)
    ):
        raise failure.not_allowed()
    agent = request.headers.get("user-agent", "").partition("/")[0]
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    asked = Asked(
        verb, resource, namespace, name, part, request.query, kind, request.body, agent, request.pairs, request.headers
    )
    if part in ("", "status"):
        unknown = set(request.query) - _PARAMS[verb] - _COMMON
        if unknown:
            raise Strange(f"{verb} of {resource.plural} with parameter {', '.join(sorted(unknown))}")
        if verb == "patch" and kind not in _PATCHES:
            raise failure.Failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    return asked


class Verbs:
    """Does what is asked, on ``objects``. Bodies are read before the store is locked."""

    def __init__(self, objects: Objects, tampering: Tampering) -> None:
        self.objects, self.tampering = objects, tampering
        self.bookmark_s = 60.0
        self.alive = lambda: True

    @property
    def _store(self) -> Store:
        return self.objects.store

    def do(self, asked: Asked) -> Reply:
        if asked.verb in ("update", "patch") and asked.part not in ("", "status"):
            raise failure.no_resource()
        return {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }[asked.verb](asked)

    def _get(self, asked: Asked) -> Reply:
        with self._store.lock:
            version = self._store.version(asked.resource, asked.key)
        if version is None:
            raise failure.not_found(asked.resource, asked.name)
        return Reply(200, version.text)

    def _matching(self, asked: Asked) -> selecting.Match:
        labels = selecting.by_labels(asked.query.get("labelSelector", ""))
        fields = selecting.by_fields(asked.resource, asked.query.get("fieldSelector", ""))
        namespace = asked.namespace
        return lambda obj: (
            (not namespace or obj["metadata"].get("namespace") == namespace) and labels(obj) and fields(obj)
        )

    def _list(self, asked: Asked) -> Reply:
        query, match = asked.query, self._matching(asked)
        limit = int(query.get("limit") or 0)
        after: list[str] = []
        with self._store.lock:
            revision = self._store.revision
            if query.get("continue"):
                revision, after = _read_token(query["continue"])
                if revision < self._store.compacted:
                    raise failure.expired("The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.")  # fmt: skip
            elif query.get("resourceVersionMatch") == "Exact":
                revision = int(query["resourceVersion"])
                if revision < self._store.compacted:
                    raise failure.expired("The resourceVersion for the provided list is too old.")
            elif int(query.get("resourceVersion") or 0) > revision:
                raise failure.Failure(504, "Timeout", f"Too large resource version: {query['resourceVersion']}, current: {revision}", {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1})  # fmt: skip
            held = sorted(self._store.at(asked.resource, revision).items())
        found = [version for key, version in held if list(key) > after and match(version.obj)]
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if limit and len(found) > limit:
            last = found[limit - 1].obj["metadata"]
            meta["continue"] = _token(revision, [last.get("namespace", ""), last["name"]])
            if not (query.get("labelSelector") or query.get("fieldSelector")):
                meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return Reply(200, _listing(asked.resource, meta, found))

    def _watch(self, asked: Asked) -> Reply:
        query, match = asked.query, self._matching(asked)
        with self._store.lock:
            given = query.get("resourceVersion", "")
            initial: list[Version] | None = None
            if query.get("sendInitialEvents") == "true" and query.get("resourceVersionMatch") != "NotOlderThan":
                why = "resourceVersionMatch: Required value: resourceVersionMatch is required for sendInitialEvents unless unset"
                raise failure.Failure(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {why}', {})
            if given in ("", "0") or query.get("sendInitialEvents") == "true":
                held = sorted(self._store.at(asked.resource, self._store.revision).items())
                initial = [version for _, version in held if match(version.obj)]
            after = self._store.revision if initial is not None else int(given)
        bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        seconds = float(query.get("timeoutSeconds") or _TIMEOUT_S)
        watch = Watch(
            self._store, asked.resource, asked.namespace, match, after, seconds, bookmarks,
            initial, self.bookmark_s, self.tampering, self.alive,
        )  # fmt: skip
        if query.get("sendInitialEvents") != "true" and initial is not None:
            watch.marks_initial = False
        return Reply(200, stream=watch.events())

    def _body(self, asked: Asked, body: Any) -> tuple[Obj, dict[str, str]]:
        """The body in its shape, with headers that warn of what was dropped."""
        read_in, unknown = read_body(asked.resource, body)
        if unknown and asked.query.get("fieldValidation") == "Strict":
            told = ", ".join(f'unknown field "{name}"' for name in unknown)
            how = (
                ""
                if asked.resource.custom
                else f'{asked.resource.kind} in version "{asked.resource.version}" cannot be handled as a {asked.resource.kind}: '
            )
            raise failure.bad(f"{how}strict decoding error: {told}")
        warned = ", ".join(f'299 - "unknown field \\"{name}\\""' for name in unknown)
        return read_in, {"Warning": warned} if warned and asked.query.get("fieldValidation") != "Ignore" else {}

    def _placed(self, asked: Asked, body: Obj, *, named: bool) -> None:
        meta = body["metadata"]
        if asked.resource.namespaced:
            if meta.setdefault("namespace", asked.namespace) != asked.namespace:
                raise failure.bad(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            meta.pop("namespace", None)
        if named and meta.setdefault("name", asked.name) != asked.name:
            raise failure.bad(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({asked.name})"
            )

    def _create(self, asked: Asked) -> Reply:
        body, headers = self._body(asked, _json(asked))
        self._placed(asked, body, named=False)
        with self._store.lock:
            made = self.objects.create(asked.resource, body, manager=asked.manager, dry=asked.dry)
        return Reply(201, json.dumps(made).encode(), headers=headers)

    def _update(self, asked: Asked) -> Reply:
        body, headers = self._body(asked, _json(asked))
        self._placed(asked, body, named=True)
        with self._store.lock:
            made = self.objects.update(
                asked.resource, asked.key, body, part=asked.part, manager=asked.manager, dry=asked.dry
            )
        return Reply(200, json.dumps(made).encode(), headers=headers)

    def _patch(self, asked: Asked) -> Reply:
        if asked.kind == patches.APPLY:
            return self._apply(asked)
        patch = _json(asked)
        with self._store.lock:
            old = self._store.get(asked.resource, asked.key)
            if old is None:
                raise failure.not_found(asked.resource, asked.name)
            if asked.kind == patches.JSON:
                new = patches.json_patch(old, patch)
            elif asked.kind == patches.MERGE:
                new = patches.merge(old, patch)
            elif asked.resource.custom:
                raise failure.Failure(
                    415, "UnsupportedMediaType", "the body of the request was in an unknown format", {}
                )
            else:
                new = patches.strategic(schema.definition(asked.resource.schema), old, patch)
            body, headers = self._body(asked, new)
            self._placed(asked, body, named=True)
            made = self.objects.update(
                asked.resource, asked.key, body, part=asked.part, manager=asked.manager, dry=asked.dry
            )
        return Reply(200, json.dumps(made).encode(), headers=headers)

    def _apply(self, asked: Asked) -> Reply:
        if not asked.query.get("fieldManager"):
            cause = failure.required("fieldManager", "is required for apply patch")
            raise failure.Failure(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {cause[2]}: {cause[1]}', {"group": "meta.k8s.io", "kind": "PatchOptions", "causes": [{"reason": cause[0], "message": cause[1], "field": cause[2]}]})  # fmt: skip
        body, headers = self._body(asked, _json(asked))
        self._placed(asked, body, named=True)
        if "managedFields" in body["metadata"]:
            raise failure.bad("metadata.managedFields must be nil")
        force = asked.query.get("force") in ("true", "1")
        with self._store.lock:
            live = self._store.get(asked.resource, asked.key)
            if live is None and asked.part:
                raise failure.not_found(asked.resource, asked.name)
            if (
                live is not None
                and body["metadata"].get("resourceVersion", live["metadata"]["resourceVersion"])
                != live["metadata"]["resourceVersion"]
            ):
                raise failure.conflict(asked.resource, asked.name)
            merged, managed = self.objects.ownership.apply(
                asked.resource,
                body,
                live,
                asked.query["fieldManager"],
                force=force,
                now=self.objects.now(),
                part=asked.part,
            )
            if live is None:
                made = self.objects.create(asked.resource, merged, dry=asked.dry, applied=managed)
            else:
                made = self.objects.update(
                    asked.resource, asked.key, merged, part=asked.part, applied=managed, dry=asked.dry
                )
        return Reply(201 if live is None else 200, json.dumps(made).encode(), headers=headers)

    def _delete(self, asked: Asked) -> Reply:
        with self._store.lock:
            obj, gone = self.objects.delete(asked.resource, asked.key, **_deletion(asked))
        if gone and asked.resource is not PODS:
            details = {"name": asked.name, **({"group": asked.resource.group} if asked.resource.group else {})}
            details |= {"kind": asked.resource.plural, "uid": obj["metadata"]["uid"]}
            status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
            return Reply(200, json.dumps(status).encode())
        return Reply(200, json.dumps(obj).encode())

    def _delete_all(self, asked: Asked) -> Reply:
        match = self._matching(asked)
        options = _deletion(asked)
        with self._store.lock:
            found = [v for _, v in sorted(self._store.at(asked.resource, self._store.revision).items()) if match(v.obj)]
            for version in found:
                meta = version.obj["metadata"]
                self.objects.delete(asked.resource, (meta.get("namespace", ""), meta["name"]), **options)
            text = _listing(asked.resource, {"resourceVersion": str(self._store.revision)}, found)
        return Reply(200, text)


def _deletion(asked: Asked) -> dict[str, Any]:
    options = _json(asked) if asked.body.strip() else {}
    if not isinstance(options, dict):
        raise failure.bad("DeleteOptions must be an object")
    known = {
        "apiVersion",
        "kind",
        "gracePeriodSeconds",
        "preconditions",
        "propagationPolicy",
        "orphanDependents",
        "dryRun",
        "metadata",
    }
    if set(options) - known:
        raise Strange(f"DeleteOptions with {', '.join(sorted(set(options) - known))}")
    policy = options.get("propagationPolicy") or asked.query.get("propagationPolicy")
    if policy not in (None, "Background", "Foreground", "Orphan"):
        raise failure.Failure(
            422,
            "Invalid",
            f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{policy}"',
            {},
        )
    grace = options.get("gracePeriodSeconds")
    if grace is None and "gracePeriodSeconds" in asked.query:
        grace = int(asked.query["gracePeriodSeconds"])
    conditions = options.get("preconditions") or {}
    return {
        "policy": policy,
        "grace": grace,
        "uid": conditions.get("uid"),
        "version": conditions.get("resourceVersion"),
        "dry": asked.dry or bool(options.get("dryRun")),
    }


def _json(asked: Asked) -> Any:
    try:
        return json.loads(asked.body)
    except ValueError as error:
        raise failure.bad(
            f"the object provided is unrecognized (must be of type {asked.resource.kind}): {error}"
        ) from error


def _listing(resource: Resource, meta: dict[str, Any], versions: list[Version]) -> bytes:
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version, "metadata": meta}
    start = (
        json.dumps({"kind": resource.kind, "apiVersion": resource.group_version}, separators=(",", ":")).encode()[:-1]
        + b","
    )
    # As a real server's, the items of built-in kinds do not say what they are.
    items = b",".join(
        v.text if resource.custom else b"{" + v.text.removeprefix(start).removeprefix(b"{") for v in versions
    )
    return json.dumps(head).encode()[:-1] + b',"items":[' + items + b"]}"


def _token(revision: int, key: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, key]).encode()).decode()


def _read_token(text: str) -> tuple[int, list[str]]:
    try:
        revision, key = json.loads(base64.urlsafe_b64decode(text))
    except ValueError as error:
        raise failure.bad(f"invalid continue token: continue key is not valid: {error}") from error
    return revision, key
