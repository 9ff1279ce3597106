"""What may be asked, and the shapes of the answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Month = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="a month of the centre's calendar", examples=["2026-03"]),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", examples=["speech"])]
Decimal = Annotated[str, Field(description="a decimal number as text", examples=["1500.25"])]
Ms = Annotated[int, Field(description="ms since the epoch, UTC", examples=[1767225600000])]


class Question(BaseModel):
    """Unknown parameters are refused: a misspelt one would answer another question."""

    model_config = ConfigDict(extra="forbid")


class UsageQuestion(Question):
    from_: Month = Field(alias="from", description="the first month")
    until: Month = Field(description="the last month, at most the twelfth")
    tenant: Name | None = Field(None, description="one tenant; left out, all that you may ask about", examples=["cadt"])


class AllocationQuestion(Question):
    project: Name | None = Field(None, description="whose allocation it should be; this, or tenant")
    tenant: Name | None = Field(None, description="of which institution it should be", examples=["cadt"])


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FaultOut(Shape):
    """What went wrong at the centre. `type` is stable."""

    type: str = Field(examples=["Baray.not-allowed"])
    message: str
    detail: str = Field(description="what to do")


class MonthOut(Shape):
    """The use of a tenant's projects in a month. Nothing in it is about a person."""

    month: Month
    tenant: str
    title: str
    kind: str | None
    sector: str | None
    province: str | None
    gpu_hours: Decimal = Field(description="of all flavors but cpu, rounded down to six decimals")
    gpu_ms: dict[str, int] = Field(description="milliseconds of devices by flavor; of cores for cpu")
    charged_su: Decimal = Field(description="service units")
    final: bool = Field(description="the month's books are closed: it will not change any more")


class UsageOut(Shape):
    from_: Month = Field(serialization_alias="from")
    until: Month
    months: list[MonthOut]


class HeadOut(Shape):
    """The newest signed head of the tree that seals ledger and audit trail."""

    number: int
    size: int
    root: str = Field(description="SHA-256 in hex")
    at_ms: Ms
    note: str = Field(description="the head as a C2SP signed note")
    key: str = Field(description="the key that signed it, as a C2SP verifier key")


class AllocationOut(Shape):
    """Whether the allocation is there, of that project or tenant, and may be spent. Of `unknown` ones nothing is told."""

    number: int
    status: Literal["valid", "upcoming", "suspended", "over", "unknown"]
    at_ms: Ms = Field(description="when this was true")
    project: str | None
    tenant: str | None
    starts_ms: Ms | None
    ends_ms: Ms | None = Field(description="the first moment after it")
    su: Decimal | None = Field(description="service units granted")
    returned_su: Decimal | None
    consumed_su: Decimal | None
    available_su: Decimal | None
    head: HeadOut | None = Field(description="what it can be checked against; null until the first is signed")
