"""A job's spec as the text of its column, and back. Specs never change, so decoded ones are kept."""

import json
import sys
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

from domain.jobs import ANYWHERE, Array, Constraint, Dependency, DependencyKind, JobSpec, Placement, Resources, Role
from domain.needs import NOTHING, Needs, needs_of
from domain.records import Part
from domain.tariffs import Rates

# What the planner must know of a spec, beside the job's own columns.
_DEMAND = ("qos", "resources", "array", "restartable", "grace_ms", "constraint", "needs")


@dataclass(frozen=True, slots=True)
class Demand:
    """The part of a spec that the planner sees."""

    qos: str
    resources: Resources
    array: Array | None
    restartable: bool
    grace_ms: int
    constraint: Constraint
    needs: Needs = NOTHING


def encode_spec(spec: JobSpec) -> tuple[str, str]:
    """The spec and its demand as compact JSON; what has its default value is left out."""
    r, array = spec.resources, spec.array
    data: dict[str, Any] = {
        "project": spec.project,
        "name": spec.name,
        "resources": [list(r.flavors), r.gpus, r.nodes, r.cpus, r.memory_bytes, r.walltime_ms],
        "run": spec.run,
        "command": list(spec.command),
        "array": None if array is None else [array.first, array.last, array.step, array.parallel],
        "qos": spec.qos,
        "image": spec.image,
        "env": spec.env,
        "secrets": list(spec.secrets),
        "source": spec.source,
        "outputs": list(spec.outputs),
        "restartable": spec.restartable,
        "stop_signal": spec.stop_signal,
        "grace_ms": spec.grace_ms,
        "held": spec.held,
        "after": [[d.kind.value, d.job_id, d.index, d.earlier] for d in spec.after],
        "priority": spec.priority,
        "constraint": None if spec.constraint == ANYWHERE else _constraint_values(spec.constraint),
        "volumes": spec.volumes,
        "roles": [[r.name, r.nodes, r.run, r.command, r.image, r.env] for r in spec.roles],
    }
    told = {key: value for key, value in data.items() if value}
    needs = needs_of(spec)
    demand = told if needs is NOTHING else {**told, "needs": astuple(needs)}
    return _compact(told), _compact({key: demand[key] for key in _DEMAND if key in demand})


_compact = json.JSONEncoder(separators=(",", ":")).encode  # made once: to make one costs more than to use it


@lru_cache(maxsize=100_000)
def decode_demand(text: str) -> Demand:
    """Equal parts of different demands are the same objects: there are many jobs and few shapes."""
    data = json.loads(text)
    array = data.get("array")
    constraint = data.get("constraint")
    return Demand(
        sys.intern(data["qos"]),
        _resources(json.dumps(data["resources"])),
        Array(*array) if array else None,
        data.get("restartable", False),
        data.get("grace_ms", 0),
        ANYWHERE if constraint is None else _same_constraint(json.dumps(constraint)),
        NOTHING if "needs" not in data else _same_needs(json.dumps(data["needs"])),
    )


@lru_cache(maxsize=100_000)
def _resources(text: str) -> Resources:
    flavors, *amounts = json.loads(text)
    return Resources(tuple(flavors), *amounts)


@lru_cache(maxsize=100_000)
def _same_constraint(text: str) -> Constraint:
    return _constraint(*json.loads(text))


@lru_cache(maxsize=100_000)
def _same_needs(text: str) -> Needs:
    images, volumes, files, roles = json.loads(text)
    return Needs(tuple(images), tuple(volumes), files, roles)


@lru_cache(maxsize=20_000)
def decode_spec(text: str) -> JobSpec:
    data = json.loads(text)
    flavors, gpus, nodes, cpus, memory_bytes, walltime_ms = data.pop("resources")
    array = data.pop("array", None)
    constraint = data.pop("constraint", None)
    return JobSpec(
        resources=Resources(tuple(flavors), gpus, nodes, cpus, memory_bytes, walltime_ms),
        array=Array(*array) if array else None,
        command=tuple(data.pop("command", ())),
        secrets=tuple(data.pop("secrets", ())),
        outputs=tuple(data.pop("outputs", ())),
        grace_ms=data.pop("grace_ms", 0),
        after=tuple(Dependency(DependencyKind(kind), *rest) for kind, *rest in data.pop("after", ())),
        constraint=ANYWHERE if constraint is None else _constraint(*constraint),
        roles=tuple(
            Role(name, nodes, run, tuple(command), image, env)
            for name, nodes, run, command, image, env in data.pop("roles", ())
        ),
        **data,
    )


def _constraint_values(constraint: Constraint) -> list[Any]:
    c = constraint
    return [c.require, c.forbid, c.together, c.classification, c.residency]


def _constraint(
    require: list[list[str]],
    forbid: list[list[str]],
    together: str | None,
    classification: str | None,
    residency: str | None,
) -> Constraint:
    return Constraint(_pairs(require), _pairs(forbid), together, classification, residency)


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values)


def encode_placements(placements: tuple[Placement, ...]) -> list[Any]:
    return [[placement.node, list(placement.devices)] for placement in placements]


def decode_placements(data: list[Any]) -> tuple[Placement, ...]:
    return tuple(Placement(node, tuple(devices)) for node, devices in data)


def encode_rates(rates: Rates) -> str | None:
    """Dated rates as JSON; None for none."""
    return _compact([list(step) for step in rates]) if rates else None


def decode_rates(text: str | None) -> Rates:
    return tuple((begins_ms, rate) for begins_ms, rate in json.loads(text)) if text else ()


def encode_parts(parts: tuple[Part, ...]) -> list[Any]:
    return [[part.allocation_id, part.grant_id, part.micro_su] for part in parts]


def decode_parts(data: list[Any]) -> tuple[Part, ...]:
    return tuple(Part(*numbers) for numbers in data)
