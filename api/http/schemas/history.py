"""The history and the centre as a scenario."""

from typing import Any

from pydantic import Field

from api.http.schemas.base import Shape


class PastOut(Shape):
    """A job (or a task of an array) that ran to its end. Amounts are over all its nodes."""

    job: str = Field(examples=["1842", "1842_7"])
    tenant: str
    project: str
    user: str
    qos: str
    flavor: str
    gpus: int
    nodes: int
    cpus: int
    memory_bytes: int
    submitted_ms: int
    started_ms: int
    ended_ms: int
    walltime_ms: int
    state: str


class CapacityOut(Shape):
    cluster: str
    flavor: str
    gpus: int = Field(description="devices of a node")
    cpus: int
    memory: str
    labels: dict[str, str]
    names: list[str]


class WindowOut(Shape):
    """Seconds since 1970. Either devices of a flavor or nodes; no account is maintenance."""

    name: str
    account: str | None = None
    cluster: str | None = None
    flavor: str | None = None
    gpus: int | None = None
    nodes: list[str] | None = None
    starts: int
    ends: int


class AccountPlanOut(Shape):
    parent: str
    weight: int
    quotas: dict[str, dict[str, int | None]]


class ScenarioOut(Shape):
    """The centre as it is, as a scenario document of `baray simulate`."""

    date: str
    accounts: dict[str, AccountPlanOut]
    capacity: list[CapacityOut]
    windows: list[WindowOut]
    policy: dict[str, Any]
