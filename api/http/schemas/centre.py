"""Shapes of tenants, projects, users, flavors, quotas, grants, allocations and usage."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Listing, Ms, Name, Plain, Shape, Su, Title, Weight, Whole

Amount = Annotated[StrictInt, Field(ge=0, le=1_000_000, description="devices of the flavor, or cores")]
Count = Annotated[StrictInt, Field(ge=0, le=10**9)]


Registration = Annotated[Plain, Field(min_length=1, max_length=40, description="its number in the centre's registry")]


class TenantIn(Body):
    """Without a registration, title and kind must be given; with one, what the registry does not tell."""

    name: Name
    title: Title | None = None
    kind: Plain | None = Field(default=None, examples=["university"])
    sector: Title | None = None
    province: Title | None = Field(default=None, description="ISO 3166-2", examples=["KH-12"])
    registration: Registration | None = Field(default=None, examples=["00012345"])
    weight: Weight = 1


class ProjectIn(Body):
    name: Name
    tenant: Name
    title: Title
    lead: Name | None = None
    weight: Weight = 1


class AccountPatch(Body):
    title: Title | None = None
    state: Plain | None = Field(default=None, examples=["suspended"])
    weight: Weight | None = None


class GroupIn(Body):
    name: Name
    under: Name = Field(description="the account above it", examples=["cadt"])
    title: Title
    weight: Weight = 1


class MoveIn(Body):
    under: Name = Field(description="the account above it from now on", examples=["cadt"])
    overcommit: StrictBool = Field(default=False, description="more than there is may be guaranteed after it")


class AccountOut(Shape):
    name: str
    kind: str
    under: str | None
    path: str
    title: str
    state: str
    weight: int
    version: int


class TenantOut(Shape):
    name: str
    title: str
    kind: str
    sector: str | None
    province: str | None
    state: str
    weight: int
    registration: str | None
    version: int


class RegistrationIn(Body):
    number: Registration | None = Field(
        default=None, description="left out: the one that it has", examples=["00012345"]
    )


class RegistrationOut(Shape):
    """Where what is filled comes from: an attestation, not a copy of a document."""

    registry: str
    number: str
    status: str | None = Field(description="the registry's own word")
    in_force: bool
    fields: dict[str, str] = Field(description="what the registry says; read-only here")
    fetched_ms: int
    message_id: str = Field(description="X-Road-Id of the message")
    sha256: str = Field(description="of the registry's answer")


class ProjectOut(Shape):
    name: str
    tenant: str
    title: str
    state: str
    weight: int
    version: int


class MemberIn(Body):
    user: Name
    role: Plain = Field(examples=["member"])
    until_ms: Ms | None = Field(None, description="when it ends by itself; without it, it does not")


class RoleIn(Body):
    account: Name
    role: Plain = Field(examples=["allocator"])


class SecretIn(Body):
    value: Annotated[Whole, Field(max_length=65536, json_schema_extra={"writeOnly": True})]


class SecretOut(Shape):
    name: str


class FlavorIn(Body):
    name: Name
    title: Title
    milli: Annotated[StrictInt, Field(ge=1, le=1000, description="thousandths of a GPU a device")] = 1000
    rate_su_per_hour: Su | None = Field(None, description="without one, jobs that ask for it are refused")


class FlavorOut(Shape):
    name: str
    title: str
    milli: int
    rate_su_per_hour: str | None
    total: int
    used: int


class RateIn(Body):
    from_ms: Ms
    su_per_hour: Su


class QuotaIn(Body):
    guaranteed: Amount = 0
    borrow_limit: Amount | None = None
    lend_limit: Amount | None = None
    overcommit: StrictBool = Field(default=False, description="more than there is may be guaranteed")


class QuotaOut(Shape):
    account: str
    flavor: str
    guaranteed: int
    borrow_limit: int | None
    lend_limit: int | None
    held: int | float


class PromiseOut(Shape):
    """How much of a flavor is guaranteed in all, how much there is, and what may still be promised."""

    flavor: str
    guaranteed: int
    capacity: int
    free: int


class QuotasOut(Listing[QuotaOut]):
    warnings: list[str]
    promises: list[PromiseOut]


class LimitsIn(Body):
    running_jobs: Count | None = None
    queued_jobs: Count | None = None
    gpus_per_job: Count | None = None
    walltime: Plain | None = Field(default=None, examples=["24h"])
    user_running_jobs: Count | None = None
    user_queued_jobs: Count | None = None
    submissions_per_minute: Count | None = None
    user_submissions_per_minute: Count | None = None


class StoredOut(Shape):
    sha256: str
    size: int


class UsageLine(Shape):
    key: str
    gpu_ms: dict[str, int]
    total_gpu_ms: int
    charged_su: str


class UsageOut(Shape):
    by: str
    from_ms: int | None
    to_ms: int | None
    rows: list[UsageLine]
    total: UsageLine
    metered: dict[str, int]
    agrees: bool | None


class StatusOut(Shape):
    version: str
    clusters: dict[str, str]
    notes: list[str]
