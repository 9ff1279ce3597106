"""What the API answers about funders, grants, prices and notices."""

from typing import Any, NotRequired, TypedDict


class Funder(TypedDict):
    name: str
    title: str


class Both(TypedDict):
    su: str | None
    money: str | None


class Conditions(TypedDict, total=False):
    flavors: list[str]
    sectors: list[str]
    classification: str | None


class Grant(TypedDict):
    id: int | str
    name: str
    funder: str
    su: str | None
    starts_ms: int
    ends_ms: int
    available_su: NotRequired[str | None]
    currency: NotRequired[str | None]
    amount: NotRequired[str]
    state: NotRequired[str]
    conditions: NotRequired[Conditions]
    granted: NotRequired[Both]
    committed: NotRequired[Both]
    allocated: NotRequired[Both]
    consumed: NotRequired[Both]
    left: NotRequired[Both]
    version: NotRequired[int]


class Notice(TypedDict):
    id: int
    kind: str
    allocation: int
    project: str
    at_ms: int
    message: str
    facts: NotRequired[dict[str, Any]]
    read: bool


class ReclaimRule(TypedDict):
    """Without shares: nothing is taken back."""

    from_ms: int
    after_percent: int | None
    used_below_percent: int | None
    keep_percent: int | None
    notice: str | None
    state: NotRequired[str]
    author: NotRequired[str | None]
    reason: NotRequired[str]
    created_ms: NotRequired[int]


class Price(TypedDict):
    """``tenant_kind`` None: of all kinds without a price of their own."""

    currency: str
    amount: str
    tenant_kind: str | None
    from_ms: int
    state: NotRequired[str]
    author: NotRequired[str | None]
    reason: NotRequired[str]
    created_ms: NotRequired[int]
