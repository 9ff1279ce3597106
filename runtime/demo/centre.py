"""The example centre: who there is, what they may hold and spend, and on what. Made up, every name of it."""

import time
from dataclasses import dataclass

from client import Baray
from domain.quantities import DAY_MS
from runtime.clock import SystemClock
from runtime.demo.scaling import Pool

H100, A100 = "h100-80gb", "a100-40gb"
POOL = Pool(flavors=2, nodes=2, gpus=2)
# GPUs are what is scarce here: there are far more virtual cores and memory than eight jobs ask for.
NODES = ";".join(
    f"{name}:{flavor}={POOL.gpus},cpus=64,memory=512Gi"
    for name, flavor in (("krasang-1", H100), ("krasang-2", H100), ("romdeng-1", A100), ("romdeng-2", A100))
)

_RATES = {H100: "2", A100: "1"}  # SU an hour
_RATE_FROM_MS = 700  # a new rate begins in the future; the set-up takes about that long
_YEAR_MS = 365 * DAY_MS


@dataclass(frozen=True, slots=True)
class Tenant:
    """``guaranteed`` and ``borrow`` are GPUs of H100 and A100; None borrows without limit."""

    name: str
    title: str
    kind: str
    sector: str
    province: str
    guaranteed: tuple[int, int]
    borrow: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Project:
    """``paid`` is SU by grant."""

    name: str
    tenant: str
    title: str
    lead: str
    member: str
    paid: dict[str, str]


TENANTS = (
    Tenant("tonle-sap-uni", "Tonle Sap University", "university", "education", "KH-17", (1, 1)),
    Tenant("cardamom-uni", "Cardamom University", "university", "education", "KH-12", (1, 1)),
    Tenant("mekong-tech", "Mekong Institute of Technology", "university", "education", "KH-3", (1, 0)),
    Tenant("romduol-ai", "Romduol AI", "startup", "software", "KH-12", (0, 1), (2, 3)),
    Tenant("kampot-robotics", "Kampot Robotics", "startup", "agriculture", "KH-7", (0, 0), (2, 4)),
    Tenant("land-water", "Ministry of Land and Water", "ministry", "government", "KH-12", (1, 1)),
)  # fmt: skip

FUNDERS = {"science-fund": "National Science Fund", "digital-fund": "Digital Economy Fund"}
GRANTS = {"science-2026": ("science-fund", "40000"), "digital-2026": ("digital-fund", "25000")}

# The first project gets the busiest tenant of a replayed workload, and so on.
PROJECTS = (
    Project("khmer-asr", "tonle-sap-uni", "Speech recognition for Khmer", "bopha", "sokha", {"science-2026": "9000"}),
    Project("flood-forecast", "land-water", "Flood forecasts for the lake", "vanna", "rithy",
            {"science-2026": "3000", "digital-2026": "3000"}),
    Project("crop-vision", "mekong-tech", "Rice diseases from photographs", "dara", "sreymom", {"science-2026": "6000"}),
    Project("shop-chat", "romduol-ai", "An assistant for small shops", "piseth", "kunthea", {"digital-2026": "5000"}),
    Project("khmer-ocr", "cardamom-uni", "Reading palm-leaf manuscripts", "nary", "visal",
            {"science-2026": "4000", "digital-2026": "1000"}),
    Project("pepper-sort", "kampot-robotics", "Sorting pepper by sight", "chenda", "samnang", {"digital-2026": "2000"}),
    Project("wing-design", "cardamom-uni", "Wings for small drones", "nary", "theary", {"science-2026": "2000"}),
)  # fmt: skip

STAFF = {"kosal": "allocator", "sothea": "auditor", "maly": "support"}
OFFICERS = {"ratana": "science-fund"}  # who sees what a funder's money did


@dataclass(frozen=True, slots=True)
class Centre:
    """``tokens`` are those of the projects' members, by project."""

    tokens: dict[str, str]
    users: int


def set_up(admin: Baray) -> Centre:
    """Everything through the API, as an administrator would do it."""
    clock = SystemClock()
    for flavor, rate in _RATES.items():
        rates_from_ms = clock.now_ms() + _RATE_FROM_MS
        admin.flavors.add_rate(flavor, rates_from_ms, rate)
    now_ms = clock.now_ms()
    _add_tenants(admin)
    users = _add_people(admin)
    _add_projects(admin)
    _add_money(admin, now_ms)
    tokens = {
        project.name: admin.users.add_token(project.member, "demo", now_ms + DAY_MS)["token"] for project in PROJECTS
    }
    time.sleep(max(0, rates_from_ms - clock.now_ms()) / 1_000)
    return Centre(tokens, users)


def _add_tenants(admin: Baray) -> None:
    for tenant in TENANTS:
        admin.tenants.add(
            tenant.name, title=tenant.title, kind=tenant.kind, sector=tenant.sector, province=tenant.province
        )
        for flavor, guaranteed, borrow in zip((H100, A100), tenant.guaranteed, tenant.borrow, strict=True):
            admin.quotas.change(tenant.name, flavor, guaranteed=guaranteed, borrow_limit=borrow)
        if tenant.kind == "startup":
            admin.quotas.change_limits(tenant.name, queued_jobs=1_000, gpus_per_job=POOL.widest, walltime="24h")


def _add_people(admin: Baray) -> int:
    """Users, and the roles of those who work for the centre."""
    people = sorted({name for project in PROJECTS for name in (project.lead, project.member)})
    for name in (*people, *STAFF, *OFFICERS):
        admin.users.add(name, title=name.capitalize())
    for name, role in STAFF.items():
        admin.users.add_role(name, "centre", role)
    return len(people) + len(STAFF) + len(OFFICERS)


def _add_projects(admin: Baray) -> None:
    for project in PROJECTS:
        admin.projects.add(project.name, tenant=project.tenant, title=project.title, lead=project.lead)
        admin.projects.add_member(project.name, project.member, "member")


def _add_money(admin: Baray, now_ms: int) -> None:
    begins, ends = now_ms - DAY_MS, now_ms + _YEAR_MS
    for name, title in FUNDERS.items():
        admin.budgets.add_funder(name, title)
    for name, funder in OFFICERS.items():
        admin.oversight.add_officer(funder, name)
    for name, (funder, su) in GRANTS.items():
        admin.budgets.add_grant(name=name, funder=funder, su=su, starts_ms=begins, ends_ms=ends)
    for project in PROJECTS:
        admin.allocations.add(
            project=project.name,
            starts_ms=begins,
            ends_ms=ends,
            sources=[{"grant": grant, "su": su} for grant, su in project.paid.items()],
            reason="as the example has it",
        )
