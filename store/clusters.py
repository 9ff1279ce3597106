"""Clusters that are reached over a network: how each is dealt with, its sealed access, and what it said of itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from domain.clusters import ClusterConfig, FlavorRule
from lifecycle.ports import ClusterRecord
from lifecycle.reach import REMOVED, Contact
from store.inventory import put_away
from store.stamps import directory_changed
from store.tables.fleet import ClusterRow
from store.tables.jobs import IS_LIVE, AttemptRow

_PULL_SECRET = "pull_secret"  # noqa: S105 - a field's name
_FIELDS = frozenset(field.name for field in fields(ClusterConfig)) - {_PULL_SECRET}
_TOLD = frozenset(field.name for field in fields(Contact))
_LIVE = select(func.count()).select_from(AttemptRow).where(IS_LIVE, AttemptRow.cluster == bindparam("name"))
_PROJECTS = select(AttemptRow.project_id).where(IS_LIVE, AttemptRow.cluster == bindparam("name")).distinct()


@dataclass(slots=True)
class Clusters:
    """See ``lifecycle.reach.Clusters``."""

    connection: Connection

    def add(self, name: str, driver: str, uid: str, config: ClusterConfig, access: bytes) -> None:
        self.connection.execute(  # the same cluster under another name: that one is another from now on
            update(ClusterRow).where(ClusterRow.uid == uid, ClusterRow.state == REMOVED).values(uid=None)
        )
        values: dict[str, Any] = {
            "driver": driver, "state": "active", "notes": [], "uid": uid, "config": encode_config(config),
            "access": access, "found": None,
        }  # fmt: skip
        again = update(ClusterRow).where(ClusterRow.name == name).values(version=ClusterRow.version + 1, **values)
        if not self.connection.execute(again).rowcount:
            self.connection.execute(insert(ClusterRow).values(name=name, version=1, **values))
        directory_changed(self.connection)

    def holder(self, uid: str) -> tuple[str, str] | None:
        row = self.connection.execute(select(ClusterRow.name, ClusterRow.state).where(ClusterRow.uid == uid)).first()
        return None if row is None else (row.name, row.state)

    def removed(self, name: str) -> tuple[str | None] | None:
        where = (ClusterRow.name == name, ClusterRow.state == REMOVED)
        row = self.connection.execute(select(ClusterRow.uid).where(*where)).first()
        return None if row is None else (row.uid,)

    def access(self, name: str) -> bytes | None:
        return self.connection.scalar(select(ClusterRow.access).where(ClusterRow.name == name))

    def set_access(self, name: str, access: bytes) -> None:
        self._set(name, access=access, version=ClusterRow.version + 1)

    def set_config(self, name: str, config: ClusterConfig) -> None:
        self._set(name, config=encode_config(config), version=ClusterRow.version + 1)

    def set_contact(self, name: str, contact: Contact) -> None:
        self._set(name, found={**asdict(contact), "drift": list(contact.drift)})

    def remove(self, name: str) -> None:
        cluster_id = self.connection.scalar(select(ClusterRow.id).where(ClusterRow.name == name))
        if cluster_id is not None:
            put_away(self.connection, cluster_id)
            self._set(name, state=REMOVED, access=None, found=None, notes=[], version=ClusterRow.version + 1)

    def live(self, name: str) -> int:
        return self.connection.scalar(_LIVE, {"name": name}) or 0

    def projects(self, name: str) -> frozenset[int]:
        return frozenset(self.connection.scalars(_PROJECTS, {"name": name}))

    def _set(self, name: str, **values: Any) -> None:
        self.connection.execute(update(ClusterRow).where(ClusterRow.name == name).values(values))
        directory_changed(self.connection)


def to_record(row: Any) -> ClusterRecord:
    """A cluster's row as the directory has it: without anything that opens it."""
    contact = _decode_contact(row.found)
    return ClusterRecord(
        row.name,
        row.driver,
        row.state,
        (*row.notes, *contact.notes),
        row.version,
        dict(row.labels or {}),
        None if row.config is None else decode_config(row.config),
        "" if row.access is None else hashlib.sha256(row.access).hexdigest()[:16],
        contact,
        row.uid,
        bool((row.config or {}).get(_PULL_SECRET)),
    )


def encode_config(config: ClusterConfig) -> dict[str, Any]:
    """As JSON. Of the pull secret it only says whether there is one: the secret itself is sealed with the access."""
    data = {name: getattr(config, name) for name in _FIELDS}
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in data.items()},
        "flavors": [[rule.resource, rule.flavor, rule.label, rule.value] for rule in config.flavors],
        "volumes": dict(config.volumes),
        _PULL_SECRET: bool(config.pull_secret),
    }


def decode_config(data: Mapping[str, Any]) -> ClusterConfig:
    """What it does not say has its default; what it says beyond our words, a newer centre wrote."""
    told: dict[str, Any] = {name: value for name, value in data.items() if name in _FIELDS}
    told |= {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
    told["flavors"] = tuple(FlavorRule(*rule) for rule in data.get("flavors", ()))
    return ClusterConfig(**told)


def _decode_contact(data: Mapping[str, Any] | None) -> Contact:
    told: dict[str, Any] = {name: value for name, value in (data or {}).items() if name in _TOLD}
    told["drift"] = tuple(told.get("drift", ()))
    return Contact(**told)
