"""What a job file may ask for beyond resources: what to wait for, which nodes, and what its data demands."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.http.schemas.base import Body, Faults, Plain, checked
from domain.dependencies import MAX_AFTER, parse_dependency
from domain.errors import Invalid
from domain.jobs import ANYWHERE, CLASSIFICATIONS, Constraint, JobSpec

PRIORITY_MOST = 100
MAX_LABELS = 16

_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._/-]{0,61}[a-zA-Z0-9])?")
_LABEL_FIX = "use 1 to 63 letters, digits, '-', '_', '.' and '/', beginning and ending with a letter or digit"


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise Invalid(f"{text[:40]!r} is no label", fix=_LABEL_FIX)
    return text


def _dependency(text: str) -> str:
    parse_dependency(text)
    return text


def _classification(text: str) -> str:
    if text not in CLASSIFICATIONS:
        raise Invalid(f"{text[:40]!r} is no class of data", fix=f"use one of {', '.join(CLASSIFICATIONS)}")
    return text


def listed(given: Any) -> Any:
    """One text as a list of it."""
    return [given] if isinstance(given, str) else given


def names_schema(most: int) -> WithJsonSchema:
    """A text or a list of texts, for the documentation."""
    texts = {"type": "array", "items": {"type": "string"}, "maxItems": most}
    return WithJsonSchema({"anyOf": [{"type": "string"}, texts]})


Label = Annotated[Plain, checked(_label)]
Labels = Annotated[dict[Label, Label], Field(max_length=MAX_LABELS)]
After = Annotated[
    list[Annotated[Plain, checked(_dependency)]],
    Field(max_length=MAX_AFTER, examples=[["ok:1842"]]),
    BeforeValidator(listed),
    names_schema(MAX_AFTER),
]


class ConstraintFile(Body):
    """Labels of the nodes that may be used; `together` names one whose value all nodes of the job must share."""

    require: Labels = Field(default_factory=dict, examples=[{"nvlink": "yes"}])
    forbid: Labels = Field(default_factory=dict)
    together: Label | None = Field(default=None, examples=["rack"])


class DataFile(Body):
    """What the job's data demands of the cluster: that it is cleared for its class, and where it is."""

    classification: Annotated[Plain, checked(_classification)] | None = Field(default=None, examples=["confidential"])
    residency: Label | None = Field(default=None, examples=["kh"])


def to_constraint(constraint: ConstraintFile, data: DataFile, faults: Faults) -> Constraint:
    """Both in the domain's words."""
    for name, value in constraint.require.items():
        if constraint.forbid.get(name) == value:
            faults.add(
                f"constraint.forbid.{name}", f"{name}={value} is required and forbidden", "leave one of them out"
            )
    found = Constraint(
        tuple(sorted(constraint.require.items())),
        tuple(sorted(constraint.forbid.items())),
        constraint.together,
        data.classification,
        data.residency,
    )
    return ANYWHERE if found == ANYWHERE else found


def show_wishes(spec: JobSpec) -> dict[str, Any]:
    """The part of the job file that would be read as these wishes."""
    constraint = spec.constraint
    return {
        "after": [str(dependency) for dependency in spec.after],
        "priority": spec.priority,
        "constraint": {
            "require": dict(constraint.require),
            "forbid": dict(constraint.forbid),
            "together": constraint.together,
        },
        "data": {"classification": constraint.classification, "residency": constraint.residency},
    }
