"""Shapes of reservations."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Ms, Name, Plain, Shape

NodeName = Annotated[Plain, Field(min_length=1, max_length=253)]
Word = Annotated[Plain, Field(max_length=40)]


class ReservationIn(Body):
    name: Name
    account: Name | None = Field(default=None, description="a tenant or a project; or else maintenance")
    maintenance: StrictBool = False
    cluster: Name | None = None
    nodes: Annotated[list[NodeName], Field(max_length=1_000)] = Field(
        default=[], description="whole nodes of the cluster; all of them, if neither nodes nor a flavor is named"
    )
    flavor: Name | None = None
    gpus: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    starts_ms: Ms
    length: Word = Field(examples=["2h"])
    repeat: Word = Field(default="none", description="none, daily or weekly")
    days: Annotated[list[Word], Field(max_length=7)] = Field(default=[], examples=[["tue", "thu"]])
    until_ms: Ms | None = Field(default=None, description="no occurrence starts then or later")
    utc_offset: Word = Field(default="+07:00", description="whose days and weekdays they are")


class OccurrenceOut(Shape):
    starts_ms: int
    ends_ms: int


class ReservationOut(Shape):
    name: str
    account: str | None
    maintenance: bool
    cluster: str | None
    nodes: list[str]
    flavor: str | None
    gpus: int | None
    starts_ms: int
    length: str
    repeat: str
    days: list[str]
    until_ms: int | None
    utc_offset: str
    next: list[OccurrenceOut]


class ReservationShown(ReservationOut):
    warnings: list[str]
