"""Shapes of imports."""

from typing import Annotated, Literal

from pydantic import Field

from api.http.schemas.base import Body, Name, Plain, Shape, Su, Whole
from api.http.schemas.policies import Reason

FILES_MOST = 10
PAIRS_MOST = 10_000

FileName = Annotated[Plain, Field(min_length=1, max_length=200, examples=["projects.csv"])]
Said = Annotated[Plain, Field(min_length=1, max_length=300)]
Pairs = Annotated[dict[Said, Name], Field(max_length=PAIRS_MOST)]


class ImportFile(Body):
    name: FileName
    text: Whole = Field(
        description="all that is in it", examples=["name,title,kind\nrupp,Royal University,university\n"]
    )


class SuAttribute(Body):
    name: Said = Field(examples=["Core Usage (Hours)"])
    su: Su = Field(description="how many SU one of its units is")


class ImportOptions(Body):
    """How names and amounts of elsewhere become ours; see docs/import.md."""

    origin: Name | None = Field(default=None, description="what the place is called that it comes from; else the kind")
    tenant: Name | None = Field(default=None, description="whose the projects are that name no institution")
    tenant_kind: Name = "university"
    funder: Name | None = Field(default=None, description="who pays what names no funder of its own, and for the past")
    timezone: Plain = Field(default="UTC", max_length=64, examples=["+07:00", "Asia/Phnom_Penh"])
    su_attributes: list[SuAttribute] = Field(default=[], max_length=20)
    tenants: Pairs = Field(default={}, description="institution -> tenant")
    projects: Pairs = Field(default={}, description="key, title or Slurm account -> project")
    users: Pairs = Field(default={}, description="login -> user")
    gpus: Pairs = Field(default={}, description="kind of GPU -> flavor")
    charge: bool = Field(default=False, description="past use counts as SU spent too, not as time alone")


class ImportIn(Body):
    kind: Literal["csv", "coldfront", "sacct"]
    files: list[ImportFile] = Field(min_length=1, max_length=FILES_MOST)
    options: ImportOptions = ImportOptions()


class ImportApply(ImportIn):
    digest: Plain = Field(min_length=1, max_length=80, description="of what was rehearsed; 409 if it is another now")
    reason: Reason


class ImportSum(Shape):
    what: str
    add: int
    there: int
    differs: int
    unmapped: int


class ImportLine(Shape):
    what: str
    name: str
    detail: str
    place: str


class ImportPlanOut(Shape):
    """The first thousand lines of each list; `summary` counts all."""

    id: int | None
    kind: str
    origin: str
    digest: str
    applied: bool
    summary: list[ImportSum]
    adds: list[ImportLine]
    differs: list[ImportLine]
    unmapped: list[ImportLine]
    notes: list[str]


class ImportOut(Shape):
    id: int
    kind: str
    origin: str
    digest: str
    author: str | None
    reason: str
    created_ms: int
    counts: dict[str, int]
