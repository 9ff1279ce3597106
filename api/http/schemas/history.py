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
    nodes: int
    gpus: int = Field(description="devices of a node")
    cpus: int
    memory: str
    labels: dict[str, str]


class AccountPlanOut(Shape):
    parent: str
    weight: int
    quotas: dict[str, dict[str, int | None]]


class ScenarioOut(Shape):
    """The centre as it is, as a scenario document of `baray simulate`."""

    date: str
    accounts: dict[str, AccountPlanOut]
    capacity: list[CapacityOut]
    policy: dict[str, Any]
