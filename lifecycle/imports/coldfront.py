"""Projects, their people and allocations from an export of ColdFront 1.x: how each maps is in docs/import.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation

from domain.access import Role
from domain.accounts import AccountState
from domain.errors import Invalid
from domain.quantities import MICRO, format_su
from lifecycle.grants import check_amount
from lifecycle.imports.fixture import Fixture, Record, read_fixture
from lifecycle.imports.words import (
    Budget,
    Bundle,
    Faults,
    Finding,
    Funder,
    GrantOf,
    Member,
    Options,
    Person,
    Place,
    Project,
    Tenant,
    first_ms,
    last_ms,
    read_day,
    slug,
)

# What may be spent goes on; all else of an allocation's states has been, or is not yet.
SPENDABLE = frozenset({"Active", "Renewal Requested", "Paid", "Payment Requested"})
SU_ATTRIBUTES = (("SU", MICRO), ("Service Units", MICRO), ("Accelerator Usage (Hours)", MICRO))
ACCOUNT_NAME = "slurm_account_name"
_NO_INSTITUTION = frozenset({"", "None"})
_TITLE_LENGTH = 200

# Models that are read, and those that say nothing about people or money.
_READ = frozenset(
    {
        "auth.user", "project.project", "project.projectuser", "project.projectstatuschoice",
        "project.projectuserstatuschoice", "project.projectuserrolechoice", "allocation.allocation",
        "allocation.allocationattribute", "allocation.allocationattributetype", "allocation.allocationattributeusage",
        "allocation.allocationstatuschoice", "grant.grant", "grant.grantfundingagency", "grant.grantstatuschoice",
        "resource.resource",
    }
)  # fmt: skip
_OF_NO_USE = re.compile(
    r"(\w+\.historical\w+|\w+\.\w*(type|choice)|auth\.(permission|group)|user\.userprofile|\w+\.grantfundingagency)"
)


@dataclass(slots=True)
class _Reader:
    site: Fixture
    options: Options
    faults: Faults
    bundle: Bundle
    projects: dict[int, str] = field(default_factory=dict)  # key there -> name here
    people: dict[str, Person] = field(default_factory=dict)
    funders: dict[str, Funder] = field(default_factory=dict)

    def unmapped(self, what: str, record: Record, name: str, why: str) -> None:
        self.bundle.unmapped.append(Finding(what, name, why, str(record.place)))

    def status(self, model: str, record: Record) -> str:
        return self.site.name_of(model, record.fields.get("status"))


def read(files: Mapping[str, str], options: Options) -> Bundle:
    """All that an export says of projects, people and allocations. Raises Invalid with every fault of the file."""
    faults, bundle = Faults(), Bundle()
    if len(files) != 1:
        faults.add(Place("export", 1), None, f"{len(files)} files were given", "bring one export at a time")
        faults.done()
    (file,) = files
    site = read_fixture(file, files[file], faults)
    faults.done()
    assert site is not None, "a file without faults is read"
    reader = _Reader(site, options, faults, bundle)
    _tell_what_is_absent(reader, file)
    _read_projects(reader)
    _read_members(reader)
    _read_allocations(reader)
    faults.done()
    bundle.people += sorted(reader.people.values(), key=lambda person: person.name)
    bundle.funders += sorted(reader.funders.values(), key=lambda funder: funder.name)
    _tell_what_is_left_out(reader)
    return bundle


def _tell_what_is_absent(reader: _Reader, file: str) -> None:
    for model in ("project.project", "project.projectuser", "auth.user", "project.projectstatuschoice"):
        if not reader.site.records.get(model):
            fix = "coldfront dumpdata project allocation grant resource user auth.user"
            reader.faults.add(Place(file, 1), model, "there is no record of this model", fix)
    reader.faults.done()


def _tell_what_is_left_out(reader: _Reader) -> None:
    """A note for each model that is not brought along, and on users who are in no project."""
    for model, records in sorted(reader.site.records.items()):
        if model not in _READ and not _OF_NO_USE.fullmatch(model):
            reader.bundle.notes.append(f"{len(records)} records of {model} are not brought along")
    idle = len(reader.site.records.get("auth.user", {})) - len(reader.people)
    if idle > 0:
        reader.bundle.notes.append(f"{idle} users are in no project that is brought along")


def _read_projects(reader: _Reader) -> None:
    accounts = _account_names(reader)
    taken: dict[str, Record] = {}
    tenants: dict[str, Tenant] = {}
    for record in reader.site.each("project.project"):
        title = record.text("title")[:_TITLE_LENGTH]
        state = reader.status("project.projectstatuschoice", record)
        tenant = _tenant(reader, record, tenants)
        name = _project_name(reader, record, accounts)
        if state not in {"Active", "New", "Archived"}:
            reader.unmapped("project", record, name, f"its status is {state or 'not told'}")
        elif name in taken:
            why = f"record {taken[name].place.row} has that name too: give one of them another with --map-project"
            reader.unmapped("project", record, name, why)
        elif tenant is None:
            reader.unmapped("project", record, name, "it names no institution: name a tenant with --tenant")
        else:
            taken[name] = record
            reader.projects[record.pk] = name
            closed = AccountState.CLOSED.value if state == "Archived" else None
            reader.bundle.projects.append(Project(name, tenant, title or name, None, closed, record.place))
    reader.bundle.tenants += [tenant for name, tenant in tenants.items() if name not in taken]


def _tenant(reader: _Reader, record: Record, tenants: dict[str, Tenant]) -> str | None:
    """The name of the project's institution as a tenant; the one of ``--tenant`` if it names none."""
    options = reader.options
    said = record.text("institution")
    if said in _NO_INSTITUTION:
        return options.tenant
    name = options.tenants.get(said) or slug(said)
    if not name:
        return options.tenant
    if said not in options.tenants and name not in tenants:
        tenants[name] = Tenant(name, said[:_TITLE_LENGTH], options.tenant_kind, None, None, None, record.place)
    return name


def _project_name(reader: _Reader, record: Record, accounts: Mapping[int, set[str]]) -> str:
    """As the options say; else its code; else its account in Slurm, if it has one; else its title, numbered."""
    given = reader.options.projects
    if (found := given.get(str(record.pk)) or given.get(record.text("title"))) is not None:
        return found
    if code := slug(record.text("project_code")):
        return code
    if len(names := accounts.get(record.pk, set())) == 1:
        return next(iter(names))
    return f"{slug(record.text('title'), 40) or 'project'}-{record.pk}"


def _account_names(reader: _Reader) -> dict[int, set[str]]:
    """Project → the names that its allocations have in Slurm, of which sacct will tell; none that two projects share."""
    site = reader.site
    found: dict[int, set[str]] = {}
    for attribute in site.each("allocation.allocationattribute"):
        kind = site.name_of("allocation.allocationattributetype", attribute.fields.get("allocation_attribute_type"))
        allocation = site.find("allocation.allocation", attribute.fields.get("allocation"))
        name = slug(attribute.text("value"))
        if kind == ACCOUNT_NAME and name and allocation is not None:
            project = site.find("project.project", allocation.fields.get("project"))
            if project is not None:
                found.setdefault(project.pk, set()).add(name)
    owners: dict[str, int] = {}
    for names in found.values():
        for name in names:
            owners[name] = owners.get(name, 0) + 1
    return {pk: {name for name in names if owners[name] == 1} for pk, names in found.items()}


def _read_members(reader: _Reader) -> None:
    """The PI and managers lead; users are members. Only those who are active in the project."""
    site = reader.site
    roles: dict[tuple[str, str], Member] = {}
    for record in site.each("project.project"):
        if (project := reader.projects.get(record.pk)) is not None:
            _join(reader, roles, record, project, record.fields.get("pi"), Role.LEAD)
    for record in site.each("project.projectuser"):
        found = site.find("project.project", record.fields.get("project"))
        name = reader.projects.get(found.pk) if found is not None else None
        user = site.name_of("auth.user", record.fields.get("user"), "username")
        state = reader.status("project.projectuserstatuschoice", record)
        if name is None:
            reader.unmapped("member", record, user, "the project is not brought along")
        elif state != "Active":
            reader.unmapped("member", record, f"{name}/{user}", f"the status is {state or 'not told'}")
        else:
            manages = site.name_of("project.projectuserrolechoice", record.fields.get("role")) == "Manager"
            _join(reader, roles, record, name, record.fields.get("user"), Role.LEAD if manages else Role.MEMBER)
    reader.bundle.members += [roles[key] for key in sorted(roles)]


def _join(
    reader: _Reader, roles: dict[tuple[str, str], Member], record: Record, project: str, link: object, role: Role
) -> None:
    user = reader.site.find("auth.user", link)
    if user is None:
        reader.unmapped("member", record, project, f"user {link!r} is not in the file")
        return
    login = user.text("username")
    name = reader.options.users.get(login) or slug(login)
    if not name or user.fields.get("is_active") is False:
        reader.unmapped("member", record, f"{project}/{login}", "the user is not active" if name else "it has no name")
        return
    person = _person(name, user)
    if reader.people.setdefault(name, person).place != person.place:
        reader.unmapped("user", user, login, f"another one is {name!r} here already: rename with --map-user")
        return
    if (project, name) not in roles or role is Role.LEAD:
        roles[project, name] = Member(project, name, role.value, record.place)


def _person(name: str, user: Record) -> Person:
    title = f"{user.text('first_name')} {user.text('last_name')}".strip()
    return Person(name, (title or name)[:_TITLE_LENGTH], user.text("email") or None, user.place)


def _read_allocations(reader: _Reader) -> None:
    amounts = _amounts(reader)
    for record in reader.site.each("allocation.allocation"):
        project = reader.site.find("project.project", record.fields.get("project"))
        name = reader.projects.get(project.pk) if project is not None else None
        label = f"{name or 'project not brought along'}/{record.pk}"
        why = _why_not(reader, record, name, amounts)
        if why is not None:
            reader.unmapped("allocation", record, label, why)
            continue
        assert name is not None, "an allocation without a project does not map"
        assert project is not None, "and a project has its record"
        budget, grant = _budget(reader, record, project, name, *amounts[record.pk])
        if budget is None or grant is None:
            reader.unmapped("allocation", record, label, "nobody pays it: name a funder with --funder")
            continue
        reader.bundle.budgets.append(budget)
        reader.bundle.grants.append(grant)


def _why_not(
    reader: _Reader, record: Record, project: str | None, amounts: Mapping[int, tuple[int, int]]
) -> str | None:
    """Why the allocation is not brought along; None if it is."""
    links = record.fields.get("resources")
    found = [reader.site.name_of("resource.resource", link) for link in links] if isinstance(links, list) else []
    on = ", ".join(filter(None, found))[:80] or "no resource"
    state = reader.status("allocation.allocationstatuschoice", record)
    if project is None:
        return "the project is not brought along"
    if state not in SPENDABLE:
        return f"its status is {state or 'not told'} ({on})"
    if record.pk not in amounts:
        return f"no attribute of it counts SU ({on}): name one with --su-attribute"
    given, used = amounts[record.pk]
    if given <= used:
        return f"all of its {format_su(given)} SU are used"
    try:
        starts, ends = (read_day(record.text(key)) for key in ("start_date", "end_date"))
        check_amount(given - used, "su", starts.toordinal(), ends.toordinal() + 1)
    except Invalid as error:
        return f"its dates or amount: {error.message}"
    return None


def _amounts(reader: _Reader) -> dict[int, tuple[int, int]]:
    """Allocation → what it was given and has used, in micro-SU, by the first of the attributes that count SU."""
    site = reader.site
    wanted = reader.options.su_attributes or SU_ATTRIBUTES
    rank = {name: (position, unit) for position, (name, unit) in enumerate(wanted)}
    found: dict[int, tuple[int, int, int]] = {}
    for attribute in site.each("allocation.allocationattribute"):
        kind = site.name_of("allocation.allocationattributetype", attribute.fields.get("allocation_attribute_type"))
        allocation = site.find("allocation.allocation", attribute.fields.get("allocation"))
        if kind not in rank or allocation is None:
            continue
        position, unit = rank[kind]
        given = _micro(attribute.text("value"), unit)
        if given is None:
            said = f"{attribute.text('value')[:40]!r} of {kind} is no amount"
            reader.unmapped("attribute", attribute, str(allocation.pk), said)
        elif allocation.pk not in found or position < found[allocation.pk][0]:
            usage = site.records.get("allocation.allocationattributeusage", {}).get(attribute.pk)
            used = _micro(str(usage.fields.get("value", 0)), unit) if usage is not None else 0
            found[allocation.pk] = (position, given, used or 0)
    return {pk: (given, used) for pk, (_, given, used) in found.items()}


def _micro(text: str, unit: int) -> int | None:
    """A decimal text of so many micro-SU each, rounded down; None if it is no amount."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return int(amount * unit) if amount.is_finite() and 0 <= amount < 10**15 else None


def _budget(
    reader: _Reader, record: Record, project: Record, name: str, given: int, used: int
) -> tuple[Budget, GrantOf] | tuple[None, None]:
    """What is left of the allocation, and a grant of just that of whoever pays it."""
    options = reader.options
    starts, ends = read_day(record.text("start_date")), read_day(record.text("end_date"))
    funder = _funder(reader, project, starts, ends)
    if funder is None:
        return None, None
    reader.funders.setdefault(funder.name, funder)
    span = first_ms(starts, options.zone), last_ms(ends, options.zone)
    grant = f"{slug(f'{options.origin}-{funder.name}', 45)}-{record.pk}"
    note = f"{format_su(given)} SU, of which {format_su(used)} are used" if used else ""
    left = given - used
    return (
        Budget(str(record.pk), name, grant, left, *span, record.place, note),
        GrantOf(grant, funder.name, left, *span, record.place, own=True),
    )


def _funder(reader: _Reader, project: Record, starts: date, ends: date) -> Funder | None:
    """The agency of the project's only active grant that covers the days; else the one of ``--funder``."""
    site = reader.site
    found: dict[str, Funder] = {}
    for grant in site.each("grant.grant"):
        of = site.find("project.project", grant.fields.get("project"))
        if of is None or of.pk != project.pk or reader.status("grant.grantstatuschoice", grant) != "Active":
            continue
        agency = site.name_of("grant.grantfundingagency", grant.fields.get("funding_agency"))
        title = grant.text("other_funding_agency") or agency if agency in {"", "Other"} else agency
        try:
            covers = read_day(grant.text("grant_start")) <= starts and ends <= read_day(grant.text("grant_end"))
        except Invalid:
            covers = False
        if covers and (name := slug(title)):
            found[name] = Funder(name, title[:_TITLE_LENGTH], grant.place)
    if len(found) == 1:
        return next(iter(found.values()))
    return Funder(reader.options.funder, reader.options.funder, project.place) if reader.options.funder else None
