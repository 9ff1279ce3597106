"""Shapes of charging rules, refunds, adjustments and closed periods."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Su

Document = Annotated[
    dict[str, Any],
    Field(description="charging rules, see docs/ledger.md", examples=[{"qos_factors": {"urgent": "1.5"}}]),
]
Reason = Annotated[Prose, Field(min_length=1, max_length=1000, examples=["the cooling failed on the tenth"])]
Attempt = Annotated[Plain, Field(max_length=60, examples=["1842_7.2"])]
Signed = Annotated[
    Plain,
    Field(min_length=1, max_length=40, description="service units to add, or to take off", examples=["-2.5"]),
]
Month = Annotated[Plain, Field(max_length=20, description="a month of the centre", examples=["2026-10"])]
Duration = Annotated[Plain, Field(max_length=40, examples=["2h"])]


class RulesApply(Body):
    document: Document
    reason: Reason
    from_ms: Ms | None = Field(default=None, description="from then on; now if it is left out")


class RulesOut(Shape):
    id: int
    state: Literal["past", "in force", "to come"]
    from_ms: int
    document: dict[str, Any]
    author: str | None
    reason: str
    created_ms: int | None


class RateOut(Shape):
    from_ms: int
    su_per_hour: str
    author: str | None
    created_ms: int | None


class RefundIn(Body):
    attempt: Attempt
    su: Su | None = Field(default=None, description="all that it cost, if left out")
    reason: Reason


class AdjustmentIn(Body):
    """Either one attempt, by so many SU; or all that was used of a flavor in a span, to another rate."""

    attempt: Attempt | None = None
    su: Signed | None = None
    flavor: Name | None = None
    from_ms: Ms | None = None
    to_ms: Ms | None = None
    su_per_hour: Su | None = None
    reason: Reason
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        one = (self.attempt, self.su)
        span = (self.flavor, self.from_ms, self.to_ms, self.su_per_hour)
        if all(value is not None for value in one) and not any(value is not None for value in span):
            return self
        if all(value is not None for value in span) and not any(value is not None for value in one):
            return self
        raise ValueError("give attempt and su; or flavor, from_ms, to_ms and su_per_hour")

    def span(self) -> tuple[str, int, int, str]:
        """What is re-rated: the flavor, from when, until when, and to which rate."""
        assert self.flavor is not None, "checked"
        assert self.from_ms is not None, "checked"
        assert self.to_ms is not None, "checked"
        assert self.su_per_hour is not None, "checked"
        return self.flavor, self.from_ms, self.to_ms, self.su_per_hour


class CorrectionOut(Shape):
    """`su` is what it adds to what the attempt cost; below 0 it was given back."""

    transaction: str
    kind: Literal["refund", "adjust"]
    attempt: str
    project: str
    su: str
    period: str
    from_ms: int | None
    to_ms: int | None
    su_per_hour: str | None
    author: str | None
    reason: str
    created_ms: int


class AdjustmentOut(Shape):
    """`count` corrections that come to `su`; `items` are the first thousand. `posted` is false for a rehearsal."""

    posted: bool
    count: int
    su: str
    items: list[CorrectionOut]


class PeriodIn(Body):
    period: Month
    reason: Reason


class PeriodOut(Shape):
    period: str
    from_ms: int
    until_ms: int
    author: str | None
    reason: str
    created_ms: int


class ExtendJobIn(Body):
    """One of both: so much more, or so much in all."""

    by: Duration | None = None
    to: Duration | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.by is None) == (self.to is None):
            raise ValueError("give by, how much longer; or to, how long in all")
        return self
