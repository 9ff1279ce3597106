"""Who may do what: tokens, and roles as they are kept in the store."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from tests.support.kube import failure
from tests.support.kube.store import Store
from tests.support.kube.table import BINDINGS, CLUSTERBINDINGS, CLUSTERROLES, ROLES, Resource

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()


ANYONE = "system:authenticated"


class Access:
    """``tokens`` are the users that there are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tokens: dict[str, User] = {}

    def user(self, header: str) -> User:
        """Raises Failure for whom nobody knows."""
        kind, _, token = header.partition(" ")
        found = self.tokens.get(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            raise failure.Failure(401, "Unauthorized", "Unauthorized")
        return found

    def may(self, user: User, verb: str, group: str, resource: str, namespace: str, name: str = "") -> bool:
        if MASTERS in user.groups:
            return True
        return any(_covers(rule, verb, group, resource, name) for rule in self._rules(user, namespace))

    def ask(self, user: User, verb: str, resource: Resource, namespace: str, name: str, part: str) -> None:
        """Raises Failure unless the user may."""
        title = f"{resource.plural}/{part}" if part else resource.plural
        if self.may(user, verb, resource.group, title, namespace, name):
            return
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot {verb} resource "{title}" in API group "{resource.group}" {where}'
        raise failure.forbidden(resource, name, why)

    def review(self, user: User, body: dict[str, Any], manager: str) -> dict[str, Any]:
        """The answer to a SelfSubjectAccessReview."""
        asked = body.get("spec", {}).get("resourceAttributes")
        if asked is None:
            allowed = MASTERS in user.groups
        else:
            title = asked.get("resource", "") + (f"/{asked['subresource']}" if asked.get("subresource") else "")
            allowed = self.may(
                user,
                asked.get("verb", ""),
                asked.get("group", ""),
                title,
                asked.get("namespace", ""),
                asked.get("name", ""),
            )
        owner = {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}
        return {**body, "metadata": {"managedFields": [owner]}, "status": {"allowed": allowed}}

    def whoami(self, user: User, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a SelfSubjectReview."""
        return {**body, "status": {"userInfo": {"username": user.name, "groups": [*user.groups, ANYONE]}}}

    def _rules(self, user: User, namespace: str) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = []
        bindings = [(binding, "") for binding in self._store.all(CLUSTERBINDINGS)]
        if namespace:
            bindings += [(binding, namespace) for binding in self._store.all(BINDINGS, namespace)]
        for binding, place in bindings:
            if any(_is(subject, user) for subject in binding.get("subjects") or []):
                ref = binding["roleRef"]
                role = (
                    self._store.get(CLUSTERROLES, ("", ref["name"]))
                    if ref["kind"] == "ClusterRole"
                    else self._store.get(ROLES, (place, ref["name"]))
                )
                rules += (role or {}).get("rules") or []
        return rules


def _is(subject: dict[str, Any], user: User) -> bool:
    if subject["kind"] == "Group":
        return subject["name"] in (*user.groups, ANYONE)
    if subject["kind"] == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace', '')}:{subject['name']}"
    return bool(subject["name"] == user.name)


def _covers(rule: dict[str, Any], verb: str, group: str, resource: str, name: str) -> bool:
    names = rule.get("resourceNames")
    return (
        any(entry in ("*", verb) for entry in rule.get("verbs", ()))
        and any(entry in ("*", group) for entry in rule.get("apiGroups", ()))
        and any(entry in ("*", resource) for entry in rule.get("resources", ()))
        and (not names or name in names)
    )


def kubeconfig(url: str, token: str, ca: str = "") -> str:
    """A kubeconfig as JSON, which is YAML too."""
    cluster = {"server": url, **({"certificate-authority-data": base64.b64encode(ca.encode()).decode()} if ca else {})}
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "stand-in", "preferences": {},
        "clusters": [{"name": "stand-in", "cluster": cluster}],
        "users": [{"name": "tester", "user": {"token": token}}],
        "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "tester"}}],
    })  # fmt: skip
