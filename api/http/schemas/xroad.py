"""Shapes of the rights of X-Road clients."""

from typing import Annotated

from pydantic import Field

from api.http.schemas.base import Body, Name, Plain, Prose, Shape
from lifecycle.rights import Service

Client = Annotated[
    Plain,
    Field(
        min_length=1,
        max_length=3_060,
        description="instance/class/member[/subsystem], each part percent-encoded",
        examples=["KH/GOV/0001/statistics"],
    ),
]


class RightIn(Body):
    client: Client
    service: Service = Field(strict=False, description="what it may ask")
    tenant: Name | None = Field(description="about which tenant; null: about all of them")
    reason: Annotated[Prose, Field(min_length=1, max_length=1000, examples=["agreement 12/2026"])]


class RightOut(Shape):
    id: int
    client: str
    service: Service
    tenant: str | None
    created_ms: int
