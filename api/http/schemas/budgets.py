"""Shapes of funders, grants, prices, notices and the rule by which time is reclaimed."""

from typing import Annotated

from pydantic import Field, StrictInt

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Su, Title

Reason = Annotated[Prose, Field(min_length=1, max_length=1000, examples=["agreed with the ministry on 3 March"])]
Currency = Annotated[Plain, Field(max_length=40, description="ISO 4217, in capitals", examples=["USD"])]
Money = Annotated[Plain, Field(max_length=40, description="an amount of money, a decimal text", examples=["2.5"])]


class FunderIn(Body):
    name: Name
    title: Title


class ConditionsIn(Body):
    """What a grant pays for; what is left out is not limited."""

    flavors: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list, examples=[["h100-80gb"]])
    sectors: Annotated[list[Title], Field(max_length=100)] = Field(
        default_factory=list, description="of the tenants", examples=[["education"]]
    )
    classification: Plain | None = Field(
        default=None, description="the most sensitive class of data", examples=["internal"]
    )


class GrantIn(Body):
    """Either `su`, or `amount` and `currency`."""

    name: Name
    funder: Name
    su: Su | None = None
    amount: Money | None = None
    currency: Currency | None = None
    starts_ms: Ms
    ends_ms: Ms
    conditions: ConditionsIn = Field(default_factory=ConditionsIn)


class GrantPatch(Body):
    state: Plain = Field(examples=["suspended"])
    reason: Reason


class Both(Shape):
    """An amount in SU and in the grant's currency; null where it is not one to be told."""

    su: str | None
    money: str | None


class ConditionsOut(Shape):
    flavors: list[str]
    sectors: list[str]
    classification: str | None


class GrantOut(Shape):
    """`committed` is promised to allocations in instalments and not paid out yet; `allocated` has all that allocations
    got and did not give back, also what of it is `committed` or `consumed`; `left` is not given to any.

    Of a grant in money, what is `granted` and `left` is told in SU at the price for all kinds of tenants, if there is one.
    """

    id: int
    name: str
    funder: str
    su: str | None
    currency: str | None
    amount: str
    available_su: str | None
    starts_ms: int
    ends_ms: int
    state: str
    conditions: ConditionsOut
    granted: Both
    committed: Both
    allocated: Both
    consumed: Both
    left: Both
    version: int


class PriceIn(Body):
    currency: Currency
    amount: Money = Field(description="of one SU")
    tenant_kind: Plain | None = Field(
        default=None, description="null: all kinds without a price of their own", examples=["startup"]
    )
    from_ms: Ms | None = Field(default=None, description="null: now")
    reason: Reason


class PriceOut(Shape):
    currency: str
    amount: str
    tenant_kind: str | None
    from_ms: int
    state: str
    author: str | None
    reason: str
    created_ms: int


class ReclaimRuleIn(Body):
    """All four in force, or none of them: nothing is reclaimed."""

    after_percent: Annotated[StrictInt, Field(ge=0, le=100)] | None = Field(
        default=None, description="of the allocation's time gone", examples=[50]
    )
    used_below_percent: Annotated[StrictInt, Field(ge=0, le=100)] | None = Field(
        default=None, description="of its SU consumed", examples=[25]
    )
    keep_percent: Annotated[StrictInt, Field(ge=0, le=100)] | None = Field(
        default=None, description="of its SU that stay available", examples=[10]
    )
    notice: Plain | None = Field(default=None, description="how long before", examples=["14d"])
    from_ms: Ms | None = Field(default=None, description="null: now")
    reason: Reason


class ReclaimRuleOut(Shape):
    from_ms: int
    state: str
    after_percent: int | None
    used_below_percent: int | None
    keep_percent: int | None
    notice: str | None
    author: str | None
    reason: str
    created_ms: int


class NoticeOut(Shape):
    id: int
    kind: str
    allocation: int
    project: str
    at_ms: int
    message: str
    facts: dict[str, int | str]
    read: bool


class ReadIn(Body):
    ids: Annotated[list[Annotated[StrictInt, Field(ge=1, le=2**53)]], Field(min_length=1, max_length=1000)]


class ReadOut(Shape):
    read: int
