"""Shapes of allocations, of requests for them and their changes, and of the record of decisions."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Su

Reason = Annotated[Prose, Field(min_length=1, max_length=1000, examples=["agreed by the board on 3 March"])]
Share = Annotated[Plain, Field(max_length=40, description="a part of one, a decimal text", examples=["0.6"])]
Number = Annotated[StrictInt, Field(ge=1, le=2**53)]


class SourceIn(Body):
    """What a grant pays: so many SU, or a share of the whole."""

    grant: Name
    su: Su | None = None
    share: Share | None = None


Sources = Annotated[list[SourceIn], Field(min_length=1, max_length=100)]


class DatedSharesIn(Body):
    """How each hold is split over the grants from then on; exactly one in all."""

    from_ms: Ms
    shares: Annotated[dict[Name, Share], Field(min_length=1, max_length=100)] = Field(
        examples=[{"moef-2026": "0.6", "wb-77": "0.4"}]
    )


class InstalmentIn(Body):
    """The first is paid at once; each other on a day, or when somebody accepts a report."""

    su: Su
    due_ms: Ms | None = None
    on_report: StrictBool = False


class TermsIn(Body):
    sources: Sources
    su: Su | None = Field(default=None, description="the whole, where sources are shares of it")
    shares: Annotated[list[DatedSharesIn], Field(max_length=100)] = Field(default_factory=list)
    instalments: Annotated[list[InstalmentIn], Field(max_length=100)] = Field(default_factory=list)
    reason: Reason


class AllocationIn(TermsIn):
    project: Name
    starts_ms: Ms
    ends_ms: Ms


class ApprovalIn(TermsIn):
    """Times that are left out are those that were asked for."""

    starts_ms: Ms | None = None
    ends_ms: Ms | None = None


class RequestIn(Body):
    project: Name
    su: Su
    starts_ms: Ms
    ends_ms: Ms
    purpose: Reason


class ReasonIn(Body):
    reason: Reason


class TopUpIn(Body):
    """Without `sources`, the allocation's own grants pay, each as much more as it pays already."""

    su: Su | None = None
    sources: Annotated[list[SourceIn], Field(max_length=100)] = Field(default_factory=list)
    reason: Reason


class ExtendIn(Body):
    ends_ms: Ms
    reason: Reason


class TransferIn(Body):
    su: Su
    to: Number = Field(description="the allocation that receives it")
    reason: Reason


class SplitIn(Body):
    """What is left out is as it is of the allocation that is split."""

    su: Su
    project: Name | None = None
    starts_ms: Ms | None = None
    ends_ms: Ms | None = None
    reason: Reason


class ReclaimIn(Body):
    su: Su | None = Field(default=None, description="all that is available, if it is left out")
    reason: Reason


class ReleaseIn(Body):
    instalment: Number
    reason: Reason


class ChangeApprovalIn(Body):
    sources: Annotated[list[SourceIn], Field(max_length=100)] = Field(
        default_factory=list, description="of a top-up: the grants that pay it, together at most what was asked for"
    )
    reason: Reason


class SourceOut(Shape):
    grant: str
    su: str
    returned_su: str
    money: str | None = Field(description="what the SU that were not returned were bought for, of a grant in money")
    currency: str | None


class DatedSharesOut(Shape):
    from_ms: int
    shares: dict[str, str]


class InstalmentOut(Shape):
    number: int
    su: str
    due_ms: int | None
    on_report: bool
    released_ms: int | None


class AllocationOut(Shape):
    id: int
    project: str
    su: str
    state: str
    starts_ms: int
    ends_ms: int
    asked_su: str | None
    purpose: str
    requested_by: str | None
    sources: list[SourceOut]
    shares: list[DatedSharesOut]
    instalments: list[InstalmentOut]
    committed_su: str
    available_su: str
    held_su: str
    consumed_su: str
    returned_su: str
    runs_out_ms: int | None = Field(
        description="at the pace of the last 14 days; null: not before it ends, or not open"
    )
    version: int


class DecisionOut(Shape):
    id: int
    step: str
    by: str | None = Field(description="null: the centre itself, by its calendar or a rule")
    reason: str
    at_ms: int
    facts: dict[str, str | int | dict[str, str]]


class ChangeOut(Shape):
    id: int
    allocation: int
    project: str
    kind: str
    state: str
    su: str | None
    to: int | None
    to_project: str | None
    starts_ms: int | None
    ends_ms: int | None
    instalment: int | None
    sources: list[SourceIn]
    reason: str
    requested_by: str | None
    requested_ms: int
    decided_by: str | None
    decided_ms: int | None
    answer: str


class ChangedOut(Shape):
    """`state` is `approved` if it was decided at once, `requested` if somebody else must decide `change` first."""

    state: Literal["approved", "requested"]
    change: ChangeOut | None
    allocation: AllocationOut
    other: AllocationOut | None = Field(description="the allocation that received of it, or was split off")
