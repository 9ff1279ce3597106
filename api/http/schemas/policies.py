"""Shapes of policies."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.schemas.base import Body, Ms, Plain, Prose, Shape

Document = Annotated[dict[str, Any], Field(description="a policy, see docs/policy.md", examples=[{"half_life": "7d"}])]
Reason = Annotated[Prose, Field(min_length=1, max_length=1000, examples=["exam weeks: students first"])]
Digest = Annotated[Plain, Field(min_length=1, max_length=80, description="SHA-256 of the full document, in hex")]


class PolicyIn(Body):
    document: Document


class PolicyApply(Body):
    document: Document
    reason: Reason
    from_ms: Ms | None = Field(default=None, description="from then on; now if it is left out")
    digest: Digest | None = Field(default=None, description="of what was rehearsed; 409 if the document is another")


class PolicyOut(Shape):
    id: int
    state: Literal["past", "in force", "to come"]
    from_ms: int
    digest: str
    document: dict[str, Any]
    author: str | None
    reason: str
    created_ms: int | None


class PolicyChange(Shape):
    field: str
    before: Any
    after: Any


class RehearsalOut(Shape):
    digest: str
    document: dict[str, Any]
    changes: list[PolicyChange]
    warnings: list[str]
