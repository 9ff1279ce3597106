"""Roles with an end, officers of funders, acting on behalf of users, and what takes a second person."""

from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Su
from domain.access import Role
from domain.oversight import ApprovalState

Reason = Annotated[Prose, Field(min_length=1, max_length=1_000, examples=["the user asked for help with job 1842"])]


class RoleGiven(Body):
    account: Name
    role: Plain = Field(examples=["allocator"])
    until_ms: Ms | None = Field(None, description="when it ends by itself; without it, it does not")


class RoleHeld(Shape):
    account: str
    role: str
    from_ms: int
    until_ms: int | None


class OfficerIn(Body):
    user: Name


class OfficerOut(Shape):
    funder: str
    user: str


class ActIn(Body):
    user: Name
    reason: Reason
    minutes: Annotated[StrictInt, Field(ge=1, le=480, description="how long, at the most")] = 60


class ActingOut(Shape):
    """`open`: it may be used now."""

    id: int
    by: str
    user: str
    reason: str
    from_ms: int
    until_ms: int
    ended_ms: int | None
    open: bool


class FourEyesIn(Body):
    """What is left out needs no second person."""

    su: Su | None = Field(None, description="decisions that move more SU than so many")
    gpus: Annotated[StrictInt, Field(ge=0, le=10**6)] | None = Field(
        None, description="quotas that change by more GPUs than so many"
    )
    roles: Annotated[
        list[Annotated[Role, Field(strict=False)]],
        Field(max_length=len(Role), description="giving or taking one of these"),
    ] = Field(default_factory=list, examples=[["centre-admin", "allocator"]])
    rates: StrictBool = Field(False, description="rates, prices, and the rules of charging, reclaiming and planning")
    reason: Reason


class FourEyesOut(Shape):
    su: str | None
    gpus: float | int | None
    roles: list[str]
    rates: bool


class ApprovalOut(Shape):
    """A request that waits for a second person, or what became of it. `facts` say why it takes two, and name nobody."""

    id: int
    action: str
    subject: str
    request: dict[str, Any] = Field(description="what was asked: the parts of the address, the query and the body")
    facts: dict[str, Any]
    state: ApprovalState
    asked_by: str | None
    asked_ms: int
    expires_ms: int
    decided_by: str | None
    decided_ms: int | None
    reason: str | None


class ApprovedOut(Shape):
    """`result` is what the request itself was answered with."""

    approval: ApprovalOut
    result: Any


class VerdictIn(Body):
    reason: Reason


class PermissionOut(Shape):
    """Who has it: `roles` on the account in question or above it; everybody; officers of a funder, over its money."""

    name: str
    meaning: str
    roles: list[str]
    everybody: bool
    waiting: bool
    officers: bool
    acting: bool
    acting_changes: bool
    step_up: bool


class RouteOut(Shape):
    method: str
    path: str
    permission: str


class PermissionsOut(Shape):
    permissions: list[PermissionOut]
    routes: list[RouteOut]
