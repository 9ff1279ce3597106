"""What files say, held against what is there: what an import would add, and what it would not, and why. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.access import Role
from domain.accounts import Account, AccountKind
from domain.fleet import CPU_FLAVOR, Flavor
from domain.people import User
from domain.quantities import format_su
from lifecycle.brought import Kept, RunKey
from lifecycle.imports.words import (
    Budget,
    Bundle,
    Finding,
    Funder,
    GrantOf,
    Member,
    Options,
    Person,
    Project,
    Tenant,
)

WHAT = ("tenant", "project", "user", "member", "funder", "grant", "allocation", "run")


@dataclass(frozen=True, slots=True)
class GrantThere:
    """A grant in SU that is there, and what of it nobody has yet; ``open`` if more may be given of it."""

    funder: str
    micro_su: int
    left: int
    starts_ms: int
    ends_ms: int
    open: bool = True


@dataclass(frozen=True, slots=True)
class There:
    """The part of the centre that files may speak of. ``things`` maps an allocation's key at its origin to its facts."""

    now_ms: int
    accounts: Mapping[str, Account]
    users: Mapping[str, User]
    roles: Mapping[tuple[str, str], frozenset[str]]
    funders: frozenset[str]
    grants: Mapping[str, GrantThere]
    things: Mapping[str, str]
    flavors: Mapping[str, Flavor]
    rates: Mapping[str, Sequence[tuple[int, int]]]
    runs: Mapping[RunKey, Kept]
    closed: Sequence[tuple[str, int, int]] = ()  # months into which nothing is posted any more: name, from, until
    importer: str = ""  # who asks: nobody gives to a project of their own
    own: frozenset[str] = frozenset()  # accounts in which the importer has a part, there or above

    def parent_of(self, account: Account) -> str:
        return next((one.name for one in self.accounts.values() if one.id == account.parent_id), "")


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that is to be brought along, in our words: see ``lifecycle.brought.RunRecord``."""

    job: str
    started_ms: int
    gres: str
    project: str
    user: str
    flavor: str
    qos: str
    state: str
    milli: int
    nodes: int
    cpus: int
    memory_bytes: int
    submitted_ms: int
    ended_ms: int
    elapsed_ms: int
    walltime_ms: int | None
    gpu_ms: int
    worth: int  # what it would cost here, in micro-SU: the use that fair share remembers


@dataclass(slots=True)
class Plan:
    """What would be added, in this order; what is there already, counted; what differs or does not map, with the reasons."""

    tenants: list[Tenant] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    funders: list[Funder] = field(default_factory=list)
    grants: list[GrantOf] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    runs: list[PastRun] = field(default_factory=list)
    same: dict[str, int] = field(default_factory=dict)
    differs: list[Finding] = field(default_factory=list)
    unmapped: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)  # names of projects here that are others than the files mean

    @property
    def adds(self) -> Mapping[str, Sequence[object]]:
        parts: tuple[Sequence[object], ...] = (
            self.tenants, self.projects, self.people, self.members, self.funders, self.grants, self.budgets, self.runs,
        )  # fmt: skip
        return dict(zip(WHAT, parts, strict=True))

    @property
    def empty(self) -> bool:
        return not any(self.adds.values())

    def digest(self, kind: str, options: Options) -> str:
        """Names exactly this: SHA-256 of all that would be added, and of all that would not."""
        told = hashlib.sha256(f"{kind} {options.origin} {options.funder} {options.charge}\n".encode())
        for part in (*self.adds.values(), self.differs, self.unmapped, self.notes):
            told.update(b"\n")
            for one in part:
                told.update(repr(one).encode(errors="backslashreplace"))
        return told.hexdigest()

    def is_there(self, what: str) -> None:
        self.same[what] = self.same.get(what, 0) + 1

    def compare(self, what: str, name: str, place: object, *pairs: tuple[str, object, object]) -> None:
        """It is there: tell where the files say otherwise. A None says nothing."""
        wrong = [f"{field} is {there!r} here, {said!r} there" for field, said, there in pairs if _other(said, there)]
        if wrong:
            self.differs.append(Finding(what, name, "; ".join(wrong), str(place)))
        else:
            self.is_there(what)


def _other(said: object, there: object) -> bool:
    return said is not None and said != there


def plan(bundle: Bundle, there: There) -> Plan:
    """What an import of this would add to this. An import never changes what is there."""
    found = Plan(unmapped=list(bundle.unmapped), notes=list(bundle.notes))
    _tenants(found, bundle, there)
    _projects(found, bundle, there)
    _people(found, bundle, there)
    _members(found, bundle, there)
    _money(found, bundle, there)
    return found


def facts_of(budget: Budget) -> str:
    """What is remembered of an allocation that was brought along, to see later whether the files still say so."""
    facts = {
        "project": budget.project, "su": format_su(budget.micro_su), "starts_ms": budget.starts_ms,
        "ends_ms": budget.ends_ms, "grant": budget.grant,
    }  # fmt: skip
    return json.dumps(facts, sort_keys=True)


def _tenants(found: Plan, bundle: Bundle, there: There) -> None:
    for one in bundle.tenants:
        account = there.accounts.get(one.name)
        if account is None:
            found.tenants.append(one)
        elif account.kind not in {AccountKind.TENANT, AccountKind.GROUP}:
            found.unmapped.append(
                Finding("tenant", one.name, f"there is a {account.kind} of that name", str(one.place))
            )
        else:
            found.compare(
                "tenant", one.name, one.place, ("title", one.title, account.title),
                ("kind", one.kind, account.tenant_kind), ("sector", one.sector, account.sector),
                ("province", one.province, account.province), ("weight", one.weight, account.weight),
            )  # fmt: skip


def _projects(found: Plan, bundle: Bundle, there: There) -> None:
    tenants = {one.name for one in found.tenants} | {
        name for name, one in there.accounts.items() if one.kind in {AccountKind.TENANT, AccountKind.GROUP}
    }
    for one in bundle.projects:
        account = there.accounts.get(one.name)
        if account is not None and account.kind is AccountKind.PROJECT:
            if (parent := there.parent_of(account)) != one.tenant:  # another project: it must not get this one's money
                why = f"there is a project of that name, of {parent}, not of {one.tenant}"
                found.unmapped.append(Finding("project", one.name, why, str(one.place)))
                found.strangers.add(one.name)
                continue
            found.compare(
                "project", one.name, one.place,
                ("title", one.title, account.title), ("weight", one.weight, account.weight),
                ("state", one.state, account.state.value),
            )  # fmt: skip
        elif account is not None or one.name in tenants:
            kind = "tenant" if account is None else account.kind
            found.unmapped.append(Finding("project", one.name, f"there is a {kind} of that name", str(one.place)))
        elif one.tenant not in tenants:
            found.unmapped.append(Finding("project", one.name, f"there is no tenant {one.tenant!r}", str(one.place)))
        else:
            found.projects.append(one)


def _people(found: Plan, bundle: Bundle, there: There) -> None:
    for one in bundle.people:
        user = there.users.get(one.name)
        if user is None:
            found.people.append(one)
        else:
            title = None if one.title == one.name else one.title  # nothing was said but the login
            found.compare("user", one.name, one.place, ("name", title, user.title), ("email", one.email, user.email))


def _members(found: Plan, bundle: Bundle, there: There) -> None:
    projects = _projects_then(found, there)
    people = there.users.keys() | {one.name for one in found.people}
    for one in bundle.members:
        name = f"{one.project}/{one.user}"
        held = there.roles.get((one.project, one.user), frozenset()) & {Role.LEAD.value, Role.MEMBER.value}
        if one.project not in projects:
            found.unmapped.append(Finding("member", name, _no_project(one.project, found.strangers), str(one.place)))
        elif one.user not in people:
            found.unmapped.append(Finding("member", name, f"there is no user {one.user!r}", str(one.place)))
        elif not held:
            found.members.append(one)
        elif one.role in held:
            found.is_there("member")
        else:
            found.compare("member", name, one.place, ("role", one.role, "/".join(sorted(held))))


def _of_importer(bundle: Bundle, there: There) -> set[str]:
    """The projects of whoever imports, as they are and as they would be."""
    own = {Role.LEAD.value, Role.MEMBER.value}
    known = {project for (project, user), roles in there.roles.items() if user == there.importer and roles & own}
    known |= there.own | {one.name for one in bundle.projects if one.tenant in there.own}
    return known | {one.project for one in bundle.members if one.user == there.importer}


def _no_project(name: str, strangers: set[str]) -> str:
    return f"the project {name!r} here is another" if name in strangers else f"there is no project {name!r}"


def _label(budget: Budget) -> str:
    """The allocation as people are told of it."""
    return f"{budget.project}/{budget.key.rpartition('/')[2]}"


def _projects_then(found: Plan, there: There) -> set[str]:
    """The projects that there would be, of those that the files mean."""
    known = {name for name, one in there.accounts.items() if one.kind is AccountKind.PROJECT}
    return {one.name for one in found.projects} | (known - found.strangers)


def _money(found: Plan, bundle: Bundle, there: There) -> None:
    """Grants that stand for themselves; then allocations, each with the grant of its own if it has one."""
    made: dict[str, GrantOf] = {}
    own = {grant.name: grant for grant in bundle.grants if grant.own}
    for grant in bundle.grants:
        if grant.own:
            continue
        if (known := there.grants.get(grant.name)) is None:
            made[grant.name] = grant
            continue
        found.compare(
            "grant", grant.name, grant.place, ("funder", grant.funder, known.funder),
            ("SU", format_su(grant.micro_su), format_su(known.micro_su)),
            ("starts_ms", grant.starts_ms, known.starts_ms), ("ends_ms", grant.ends_ms, known.ends_ms),
        )  # fmt: skip
    left = {name: grant.left for name, grant in there.grants.items()}
    left |= {name: grant.micro_su for name, grant in made.items()}
    projects, own_projects = _projects_then(found, there), _of_importer(bundle, there)
    for budget in bundle.budgets:
        if (before := there.things.get(budget.key)) is not None:
            _known(found, budget, before)
        elif budget.project not in projects:
            said = _no_project(budget.project, found.strangers)
            found.unmapped.append(Finding("allocation", _label(budget), said, str(budget.place)))
        elif budget.project in own_projects:
            said = f"{there.importer} is lead or member of it: let another administrator import it"
            found.unmapped.append(Finding("allocation", _label(budget), said, str(budget.place)))
        elif (why := _why_not(budget, there, own, made, left)) is not None:
            found.unmapped.append(Finding("allocation", _label(budget), why, str(budget.place)))
        else:
            found.budgets.append(budget)
            if budget.grant in own:
                made[budget.grant] = own[budget.grant]
            else:
                left[budget.grant] -= budget.micro_su
    found.grants += made.values()
    used = {grant.funder for grant in made.values()}
    found.funders += [funder for funder in bundle.funders if funder.name in used - there.funders]


def _known(found: Plan, budget: Budget, before: str) -> None:
    said, then = json.loads(facts_of(budget)), json.loads(before)
    pairs = [(name, said[name], then.get(name)) for name in said]
    found.compare("allocation", _label(budget), budget.place, *pairs)


def _why_not(
    budget: Budget, there: There, own: Mapping[str, GrantOf], made: Mapping[str, GrantOf],
    left: Mapping[str, int],
) -> str | None:  # fmt: skip
    """Why the allocation is not brought along; None if it is."""
    if budget.ends_ms <= there.now_ms:
        return "it is over; what was used comes with the runs of the past"
    if budget.grant in own:
        if budget.grant in there.grants or budget.grant in made:
            return f"there is a grant {budget.grant!r} already"
        return None
    grant = there.grants.get(budget.grant) or made.get(budget.grant)
    if grant is None:
        return f"there is no grant {budget.grant!r}"
    if isinstance(grant, GrantThere) and not grant.open:
        return f"grant {budget.grant} is not open, or in money"
    if budget.starts_ms < grant.starts_ms or budget.ends_ms > grant.ends_ms:
        return f"grant {budget.grant} does not cover all of its days"
    if budget.micro_su > left[budget.grant]:
        return f"grant {budget.grant} has {format_su(left[budget.grant])} SU left, not {format_su(budget.micro_su)}"
    return None


def flavor_of(gres: str, options: Options) -> str:
    """The flavor that a kind of GPU has here, there or not."""
    return options.gpus.get(gres) or gres or CPU_FLAVOR
