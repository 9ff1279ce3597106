"""Shapes of gates and terms of use."""

from typing import Annotated

from pydantic import Field

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Title

Reason = Annotated[Prose, Field(min_length=1, max_length=1000, description="why; it stays on record")]


class GateIn(Body):
    gate: Plain = Field(max_length=63, examples=["terms-accepted"])
    account: Name = Field(description="it applies to this account and all below it", examples=["centre"])
    reason: Reason
    ask: Title | None = Field(default=None, description="the person or role to turn to", examples=["ethics office"])
    from_ms: Ms | None = None
    until_ms: Ms | None = None


class GateOut(Shape):
    id: int
    gate: str
    account: str
    state: str
    from_ms: int
    until_ms: int | None
    ask: str
    author: str
    reason: str
    created_ms: int


class TermsIn(Body):
    version: Name = Field(examples=["2026-10"])
    title: Title
    text: Annotated[Prose, Field(max_length=65_536)] = ""
    url: Title | None = Field(default=None, examples=["https://gpu.centre.example/terms/2026-10"])
    from_ms: Ms | None = None


class TermsOut(Shape):
    version: str
    title: str
    text: str
    url: str | None
    from_ms: int
    state: str
    accepted_ms: int | None


class AcceptanceIn(Body):
    version: Name = Field(examples=["2026-10"])
